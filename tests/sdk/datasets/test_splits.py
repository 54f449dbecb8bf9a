"""Parts of a set."""

from pathlib import Path

import pytest

from edgekit.datasets.splits import check_no_split, parse_split, select_split
from edgekit.errors import InputError, UnknownName


def test_parse(tmp_path: Path) -> None:
    """A part stands behind the last mark, unless the path with the mark is there."""
    assert parse_split(tmp_path / "data.yaml#val") == (tmp_path / "data.yaml", "val")
    assert parse_split(tmp_path / "data.yaml") == (tmp_path / "data.yaml", None)
    (tmp_path / "set#1").mkdir()
    assert parse_split(tmp_path / "set#1") == (tmp_path / "set#1", None)


def test_select() -> None:
    """The rows of a part are taken, in whatever case it is written; without one all are."""
    assert select_split(Path("x"), ["train", "Val", "train"], 3, "val") == [1]
    assert select_split(Path("x"), [], 3, None) == [0, 1, 2]


def test_unknown() -> None:
    """A part that no row is of, or that a set without parts is asked for, is refused."""
    with pytest.raises(UnknownName, match="Known here: test, train"):
        select_split(Path("x"), ["train", "test"], 2, "val")
    with pytest.raises(InputError, match="no parts"):
        check_no_split(Path("x"), "val")
