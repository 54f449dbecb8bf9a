"""The port that every runtime's adapter fills."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from edgekit.arrays import Array
from edgekit.tensors import TensorSpec


class NativeSession(Protocol):
    """A loaded model as its runtime sees it: the file's own names, order, dtypes, layout and shapes."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs for *inputs*, both in the file's order. The arrays returned belong to the caller.

        Several threads may call it at once. A call knows nothing of the one before.

        Raises:
            InputError: the runtime refuses these inputs.
            DeviceError: the session was closed.
        """
        ...

    def close(self) -> None:
        """Give the memory back. Nothing may be run afterwards."""
        ...


class Runtime(Protocol):
    """An engine that can load one or more formats."""

    name: str
    formats: tuple[str, ...]

    def find_version(self) -> str | None:
        """The installed version; None where the runtime is not installed. Imports nothing heavy."""
        ...

    def open(self, path: Path, threads: int) -> NativeSession:
        """Load the model at *path* to run on *threads* threads.

        Raises:
            InputError: the file is not a model that this runtime can load; the message says why.
            DeviceError: the runtime is not installed.
        """
        ...
