"""What a user asks of a build."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from edgekit.bundles import MANIFEST
from edgekit.contract import Task
from edgekit.conversion import SourceOptions
from edgekit.errors import InputError, UnknownName
from edgekit.plugins import TARGETS, find_plugins
from edgekit.precisions import order_precisions
from edgekit.releases.versions import parse_reference
from edgekit.target_profiles import find_profile

#: Called with what is being done, how many steps are done, and how many there are.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class BuildRequest:
    """What is to be made of *source*, and the bound that it must keep.

    *source* is a file or directory, or ``package.module:factory``, which is no path. *options* go with it. *target* names
    the profile of the devices that it is meant for. *formats* and *precisions* are those asked for; None asks for what
    pays on the target, or for what each format suggests. *max_drop* is absolute,
    in the metric's unit. *processing* is a file with a contract, or *task* asks for the usual one; where neither is given the source
    may bring one. *samples* is how many are taken of each set of data, and *golden_raw* lets items of them travel to every device.
    *threads* is how many each variant is timed with. *seed* decides every random choice. *digests*
    has by role (``source``, ``calibration``, ``evaluation``) what a recipe was written for; anything else is refused.
    *parent* is the release that this bundle is to take the place of, as ``digits@1.0.0``.
    """

    source: Path
    destination: Path
    name: str | None = None
    options: SourceOptions = field(default_factory=SourceOptions)
    target: str | None = None
    formats: tuple[str, ...] | None = None
    precisions: tuple[str, ...] | None = None
    calibration: Path | None = None
    evaluation: Path | None = None
    metric: str | None = None
    max_drop: float = 0.01
    processing: Path | None = None
    task: Task | None = None
    samples: int | None = None
    golden_raw: bool = False
    threads: int = 1
    seed: int = 0
    digests: Mapping[str, str] = field(default_factory=dict)
    parent: str | None = None

    def check(self) -> None:
        """Refuse, before any work, what cannot end well."""
        for name in self.formats or ():
            if name not in find_plugins(TARGETS):
                raise UnknownName("format", name, find_plugins(TARGETS))
        order_precisions(self.precisions or ())
        if self.target is not None:
            find_profile(self.target)
        if self.task is not None and self.task not in get_args(Task):
            raise UnknownName("task", self.task, get_args(Task))
        if self.processing is not None and self.task is not None:
            raise InputError("--task", "--processing names a contract already", "Give one of the two.")
        if self.parent is not None:
            parse_reference(self.parent)
        if self.metric is not None and self.evaluation is None:
            raise InputError("--metric", "there is nothing to measure it on", "Give labelled samples with --evaluation.")
        if self.destination.exists() and not _is_replaceable(self.destination):
            raise InputError(self.destination, "it exists and is not a bundle", "Choose a new directory with -o; nothing was changed.")

    def find_name(self) -> str:
        """The model's name: the one given, else the source's file name, or its factory's, in the letters that a name may have."""
        stem = self.source.name.rpartition(":")[2].split(".")[0]
        name = self.name or re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
            problem = "a name has 1 to 64 letters, digits, '-' and '_', the first a letter or digit"
            raise InputError(f"name {name!r}", problem, "Give one with --name.")
        return name

    def describe(self) -> dict[str, str]:
        """The options that decide what comes out, as text for the lineage."""
        options = {
            "target": self.target or "",
            "formats": ",".join(self.formats or ()),
            "precisions": ",".join(self.precisions or ()),
            "metric": self.metric or "",
            "max_drop": f"{self.max_drop:g}" if self.evaluation else "",
            "processing": "" if self.processing is None else self.processing.name,
            "task": self.task or "",
            "samples": "" if self.samples is None else str(self.samples),
            "golden_raw": "yes" if self.golden_raw else "",
            "seed": str(self.seed),
            "shapes": ",".join(f"{name}={format_sizes(sizes)}" for name, sizes in self.options.shapes.items()),
            "inputs": ",".join(map(str, self.options.inputs)),
            "dtypes": ",".join(f"{name}={dtype}" for name, dtype in self.options.dtypes.items()),
            "layouts": ",".join(f"{name}={':'.join(pair)}" for name, pair in self.options.layouts.items()),
            "allow_code": "yes" if self.options.allow_code else "",
        }
        return {name: value for name, value in options.items() if value}


def _is_replaceable(destination: Path) -> bool:
    return destination.is_dir() and ((destination / MANIFEST).is_file() or not any(destination.iterdir()))


def format_sizes(sizes: tuple[int | None, ...]) -> str:
    """*sizes* as users write them: ``?x3x224x224``, where a question mark leaves an axis as it is."""
    return "x".join("?" if size is None else str(size) for size in sizes)
