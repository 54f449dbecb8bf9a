"""The ports between the build and the converters: a source is read, and targets are made from the forms that it has."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from edgekit.arrays import Array, Arrays, release_pages
from edgekit.artifacts import Artifact
from edgekit.contract import Processing
from edgekit.errors import ConversionError, InputError
from edgekit.golden import GoldenSamples
from edgekit.precisions import Precision
from edgekit.target_profiles import TargetProfile
from edgekit.tensors import DType, TensorSpec

#: Samples of mapped data that memory holds at once.
_HELD = 32
#: The form from which most targets are made: an ONNX file that passed onnx's checker.
HUB = "onnx"


@dataclass(frozen=True)
class SourceOptions:
    """What a user adds to a source model so that it can be read.

    *shapes* fixes sizes that may vary: a tensor's or an axis's name → sizes, of which None leaves an axis as it is.
    *example* is an ``.npz`` with one array for each input, and *inputs* says the same in words: what a program is traced
    with that does not know its own inputs. *dtypes* gives inputs another dtype at the border, as uint8 for a camera's bytes.
    *layouts* has for an input its layout in the source and the one that callers give it in, as ``("NCHW", "NHWC")``.
    *allow_code* lets a model file bring code that runs here.
    """

    shapes: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict)
    example: Path | None = None
    inputs: tuple[TensorSpec, ...] = ()
    dtypes: Mapping[str, DType] = field(default_factory=dict)
    layouts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    allow_code: bool = False

    def check_untraced(self, path: Path) -> None:
        """Refuse what says how a program is called, for a model at *path* whose file says that itself: InputError names the option."""
        for option, given in (("--input", self.inputs), ("--example", self.example)):
            if given:
                problem = f"its file says what it is called with, and {option} is for PyTorch and Hugging Face models, whose files do not"
                raise InputError(path, problem, f"Leave {option} out.")


@dataclass(frozen=True)
class SourceModel:
    """What the user brought, ready to be made into every target.

    *artifact*, whose files lie in *directory*, is how the source itself is run here: every variant is held against its
    answers. *inputs* and *outputs* are what every variant will show. *forms* has the model's file in each form that a
    target may start from (``onnx``, ``tflite``, ``openvino``, ``torch``), and *absent* says why a form is not there.
    *files* are those that the user brought, and *tools* the packages that took part, with their versions.

    *precision* is the number format that the model came in: one that came in int8 is kept as it is, and never quantised
    again. *suggested* names the precisions that are worth trying where none is asked for; empty where the target knows
    better. *witness* has the answers that the model's own framework gave to seeded inputs, where *artifact* is not the
    very file that was brought; the build holds the artifact against them first. *samples* are inputs to make golden samples
    from where no data is given: those of a language model are tokens that it knows, of a length that it reads.
    *processing* is the contract that comes with it, and *processing_files* where the files lie that it names. *processing_gap*
    says why there is none though the source tells of one that a contract cannot express.
    """

    format: str
    files: tuple[Path, ...]
    directory: Path
    artifact: Artifact
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    forms: Mapping[str, Path]
    absent: Mapping[str, str] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)
    precision: str = "fp32"
    suggested: tuple[str, ...] = ()
    witness: GoldenSamples | None = None
    samples: Arrays | None = None
    processing: Processing | None = None
    processing_files: Mapping[str, Path] = field(default_factory=dict)
    processing_gap: str = ""

    @property
    def path(self) -> Path:
        """The file that a runtime opens to run the source itself."""
        return self.directory / self.artifact.files[0].path

    def find_form(self, *names: str) -> Path:
        """The model's file in the first of the forms *names* that it has; ConversionError with the reason where it has none."""
        for name in names:
            if name in self.forms:
                return self.forms[name]
        reasons: dict[str, list[str]] = {}
        for name in names:
            reasons.setdefault(self.absent.get(name, f"a source in {self.format} has no such form"), []).append(name)
        problem = "; ".join(f"it is not there as {' or '.join(lacking)}: {reason}" for reason, lacking in reasons.items())
        raise ConversionError("this source", problem, "Leave this format out with --to.")


@dataclass(frozen=True)
class Calibration:
    """Representative inputs: ``arrays[name]`` has *n* samples along its first axis, which may be mapped from disk."""

    arrays: Arrays

    @property
    def n(self) -> int:
        """The number of samples."""
        return len(next(iter(self.arrays.values())))

    def samples(self) -> Iterator[dict[str, Array]]:
        """One sample at a time, as a batch of one."""
        for index in range(self.n):
            yield {name: array[index : index + 1] for name, array in self.arrays.items()}
            if index % _HELD == _HELD - 1:
                release_pages(self.arrays)


@dataclass(frozen=True)
class Order:
    """One variant that is to be made: its precision, the data to quantise by, and the class of device it is meant for, if one."""

    precision: Precision
    calibration: Calibration | None = None
    profile: TargetProfile | None = None


class SourceLoader(Protocol):
    """Reads one kind of model."""

    format: str

    def accepts(self, path: Path) -> bool:
        """Whether *path* looks like this kind of model, by its name and first bytes. It need not exist: ``package.module:factory``."""
        ...

    def load(self, path: Path, workspace: Path, options: SourceOptions) -> SourceModel:
        """Read *path*, leaving intermediate files in *workspace*.

        Raises:
            InputError: it is damaged or no such model, or it needs options that were not given; the message names them.
            DeviceError: what reads it is not installed here.
        """
        ...


class TargetConverter(Protocol):
    """Makes artifacts of one format. *precisions* names all that it can make, by the names of edgekit.precisions.

    *refusals* has for a precision that it does not make a sentence that says why, where more can be said than that it does not.
    """

    format: str
    precisions: tuple[str, ...]
    refusals: Mapping[str, str]

    def find_obstacle(self) -> str | None:
        """Why this format cannot be made on this machine, as a sentence with what to do; None where it can."""
        ...

    def suggest_precisions(self, source: SourceModel) -> tuple[str, ...]:
        """The precisions that are worth trying for *source* where the user asks for none."""
        ...

    def convert(self, source: SourceModel, order: Order, directory: Path) -> Artifact:
        """Write the model into *directory* (``model.onnx``, …), with file paths relative to it.

        Raises:
            ConversionError: this format cannot express the model; the message names the operator or tool.
        """
        ...

    def list_tools(self) -> dict[str, str]:
        """The packages that make this format, with their versions."""
        ...
