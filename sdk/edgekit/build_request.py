"""What a user asks of a build."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgekit.bundles import MANIFEST
from edgekit.errors import InputError, UnknownName
from edgekit.plugins import TARGETS, find_plugins

#: What is tried where no precision is asked for.
PRECISIONS = ("fp32", "int8")

#: Called with what is being done, how many steps are done, and how many there are.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class BuildRequest:
    """What is to be made of *source*, and the bound that it must keep.

    *formats* and *precisions* are those asked for; None asks for all that can be made here. *max_drop* is absolute,
    in the metric's unit. *threads* is how many each variant is timed with. *seed* decides every random choice.
    """

    source: Path
    destination: Path
    name: str | None = None
    formats: tuple[str, ...] | None = None
    precisions: tuple[str, ...] | None = None
    calibration: Path | None = None
    evaluation: Path | None = None
    metric: str | None = None
    max_drop: float = 0.01
    threads: int = 1
    seed: int = 0

    def check(self) -> None:
        """Refuse, before any work, what cannot end well."""
        for name in self.formats or ():
            if name not in find_plugins(TARGETS):
                raise UnknownName("format", name, find_plugins(TARGETS))
        if self.metric is not None and self.evaluation is None:
            raise InputError("--metric", "there is nothing to measure it on", "Give labelled samples with --evaluation FILE.npz.")
        if self.destination.exists() and not _is_replaceable(self.destination):
            raise InputError(self.destination, "it exists and is not a bundle", "Choose a new directory with -o; nothing was changed.")

    def describe(self) -> dict[str, str]:
        """The options that decide what comes out, as text for the lineage."""
        options = {
            "formats": ",".join(self.formats or ()),
            "precisions": ",".join(self.precisions or ()),
            "metric": self.metric or "",
            "max_drop": f"{self.max_drop:g}" if self.evaluation else "",
            "seed": str(self.seed),
        }
        return {name: value for name, value in options.items() if value}


def _is_replaceable(destination: Path) -> bool:
    return destination.is_dir() and ((destination / MANIFEST).is_file() or not any(destination.iterdir()))
