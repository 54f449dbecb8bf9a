"""The port between the probing and the runtimes."""

from typing import Protocol

from edgekit.operator_support import Judgement
from edgekit_converters.probing.cases import Case


class Prober(Protocol):
    """Finds out what one runtime does with cases, in child processes that last as long as the context."""

    runtime: str
    dialect: str

    def find_version(self) -> str:
        """The version of the runtime that is probed; DeviceError where it is not installed."""
        ...

    def list_tools(self) -> dict[str, str]:
        """What else takes part, with versions."""
        ...

    def __enter__(self) -> "Prober":
        """Make ready to probe."""
        ...

    def __exit__(self, *_: object) -> None:
        """End the child processes."""
        ...

    def probe(self, case: Case) -> Judgement | None:
        """What the runtime does with *case*; None where it proves nothing."""
        ...
