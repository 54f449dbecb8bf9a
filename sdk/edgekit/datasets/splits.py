"""Parts of one set: what is trained on, what is tested on."""

from collections.abc import Sequence
from pathlib import Path

from edgekit.errors import InputError, UnknownName

#: What people call the parts of a set where they are folders.
NAMES = ("train", "training", "val", "valid", "validation", "test", "testing", "dev", "eval")


def parse_split(path: Path) -> tuple[Path, str | None]:
    """*path* without a part that stands behind it, as in ``data.yaml#val``, and that part; a path that is there stays as it is."""
    stem, mark, split = path.name.rpartition("#")
    if not mark or not stem or not split or path.exists():
        return path, None
    return path.with_name(stem), split


def select_split(path: Path, cells: Sequence[str], count: int, split: str | None) -> list[int]:
    """The rows whose cell is *split*; all *count* of them where it is None.

    Raises:
        InputError: *split* is asked for and no row is of it.
    """
    if split is None:
        return list(range(count))
    rows = [row for row, cell in enumerate(cells) if cell.strip().lower() == split.lower()]
    if not rows:
        raise UnknownName(f"part of {path}", split, {cell.strip() for cell in cells[:10_000]})
    return rows


def check_no_split(path: Path, split: str | None) -> None:
    """Refuse a *split* of a set that has no parts."""
    if split is not None:
        raise InputError(path, f"it has no parts, and {split!r} is asked for", "Give the path without what stands behind the #.")
