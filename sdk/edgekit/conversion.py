"""The ports between the build and the converters: a source is read into ONNX, and a target is made from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgekit.arrays import Array, Arrays
from edgekit.artifacts import Artifact
from edgekit.tensors import TensorSpec


@dataclass(frozen=True)
class SourceModel:
    """What the user brought, as ONNX: the hub from which every target is made.

    *path* is an ONNX file that passed onnx's checker; *inputs* and *outputs* are what every variant will show.
    *tools* names the packages that took part, with their versions.
    """

    path: Path
    format: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    tools: dict[str, str]


@dataclass(frozen=True)
class Calibration:
    """Representative inputs: ``arrays[name]`` has *n* samples along its first axis."""

    arrays: Arrays

    @property
    def n(self) -> int:
        """The number of samples."""
        return len(next(iter(self.arrays.values())))

    def samples(self) -> Iterator[dict[str, Array]]:
        """One sample at a time, as a batch of one."""
        for index in range(self.n):
            yield {name: array[index : index + 1] for name, array in self.arrays.items()}


class SourceLoader(Protocol):
    """Reads one kind of model file."""

    format: str

    def accepts(self, path: Path) -> bool:
        """Whether *path* looks like this kind of model, by its name and first bytes."""
        ...

    def load(self, path: Path, workspace: Path) -> SourceModel:
        """Read *path*, leaving intermediate files in *workspace*; InputError where it is damaged or not such a model."""
        ...


class TargetConverter(Protocol):
    """Makes artifacts of one format."""

    format: str
    precisions: tuple[str, ...]

    def find_obstacle(self) -> str | None:
        """Why this format cannot be made on this machine, as a sentence with what to do; None where it can."""
        ...

    def convert(self, source: SourceModel, precision: str, calibration: Calibration | None, directory: Path) -> Artifact:
        """Write the model into *directory* (``model.onnx``, …), with file paths relative to it.

        Raises:
            ConversionError: this format cannot express the model; the message names the operator or tool.
        """
        ...

    def list_tools(self) -> dict[str, str]:
        """The packages that make this format, with their versions."""
        ...
