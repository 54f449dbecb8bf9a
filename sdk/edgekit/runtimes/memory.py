"""The runtime whose models are Python functions: the public twin of the real ones."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.arrays import Array
from edgekit.errors import InputError
from edgekit.runtimes.base import NativeSession
from edgekit.runtimes.packages import refuse_closed, refuse_run
from edgekit.tensors import TensorSpec


@dataclass(frozen=True)
class MemoryModel:
    """A model that lives in memory: *function* takes the arrays of *inputs* and gives those of *outputs*, in order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    function: Callable[[Sequence[Array]], Sequence[Array]]


class MemorySession:
    """A MemoryModel that was opened. It may be run by several threads, which then take turns."""

    def __init__(self, path: Path, model: MemoryModel) -> None:
        self.inputs = model.inputs
        self.outputs = model.outputs
        self._path = path
        self._model: MemoryModel | None = model
        self._turn = threading.Lock()

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The function's answers to *inputs*, copied so that they belong to the caller."""
        with self._turn:
            if self._model is None:
                raise refuse_closed(self._path)
            try:
                _check_shapes(inputs, self.inputs)
                return [np.array(answer) for answer in self._model.function(inputs)]
            except ValueError as error:
                raise refuse_run(self._path, "memory", error) from error

    def close(self) -> None:
        """Let go of the function, once the run that is under way has ended."""
        with self._turn:
            self._model = None


class MemoryRuntime:
    """Runs the models in *models*, by the path that they are opened with. *formats* may name any format, to stand in for it."""

    name = "memory"

    def __init__(self, models: Mapping[Path, MemoryModel] | None = None, formats: tuple[str, ...] = ("memory",)) -> None:
        self.formats = formats
        self._models = dict(models or {})

    def register(self, path: Path, model: MemoryModel) -> None:
        """Let *path* be opened as *model* from now on."""
        self._models[path] = model

    def find_version(self) -> str | None:
        """Always here, so always a version."""
        return "1"

    def open(self, path: Path, threads: int) -> NativeSession:  # noqa: ARG002 - a function runs on the caller's thread
        """The model registered for *path*, or InputError."""
        model = self._models.get(path)
        if model is None:
            raise InputError(path, "memory cannot load it: no model is registered for this path", "Register one with MemoryRuntime.register.")
        return MemorySession(path, model)


def _check_shapes(inputs: Sequence[Array], specs: tuple[TensorSpec, ...]) -> None:
    for spec, array in zip(specs, inputs, strict=True):
        if not spec.accepts(array.shape):
            raise ValueError(f"{spec} does not take the shape {list(array.shape)}")
