"""The port between the probing and the runtimes."""

from types import TracebackType
from typing import Protocol, TypeVar

from edgekit.operator_support import Judgement
from edgekit_converters.probing.trials import Trial

T_contra = TypeVar("T_contra", bound=Trial, contravariant=True)


class Prober(Protocol[T_contra]):
    """Finds out what one runtime does with trials, in child processes that last as long as the context."""

    runtime: str
    dialect: str

    def find_version(self) -> str:
        """The version of the runtime that is probed; DeviceError where it is not installed."""
        ...

    def list_tools(self) -> dict[str, str]:
        """What else takes part, with versions."""
        ...

    def __enter__(self) -> object:
        """Make ready to probe."""
        ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /) -> None:
        """End the child processes."""
        ...

    def probe(self, trial: T_contra) -> Judgement | None:
        """What the runtime does with *trial*; None where it proves nothing."""
        ...
