"""Samples that are a file each: the class of each by its folder, by a table beside them, or unknown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.datasets.base import BadSample, Sample, Truth
from edgekit.datasets.folders import find_inside, read_inside


@dataclass(frozen=True)
class FileSamples:
    """The files *keys* below *root*, each given for the feature *feature*; *truths* has by key what is true of those of which it is known.

    *path* is what the user gave, and *files* are those that say what is true.
    """

    kind: str
    path: Path
    root: Path
    feature: str
    keys: tuple[str, ...]
    classes: tuple[str, ...] = ()
    truths: Mapping[str, Truth] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    def read(self, key: str) -> Sample:
        """The bytes of the file *key*; BadSample where it cannot be read, or lies elsewhere."""
        return Sample(key, {self.feature: read_inside(self.root, key)}, self.truths.get(key))

    def find_file(self, key: str) -> Path | None:
        """The file itself, or None where it is not there or lies elsewhere."""
        try:
            return find_inside(self.root, key)
        except BadSample:
            return None

    def find_class(self, key: str) -> int | None:
        """The number of its class; None where it has none."""
        truth = self.truths.get(key)
        return truth if isinstance(truth, int) else None
