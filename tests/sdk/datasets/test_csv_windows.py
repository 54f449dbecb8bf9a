"""Tables of figures, cut into windows."""

import csv
from pathlib import Path

import numpy as np
import pytest

from edgekit.contract import Feature, Fit, Scale, Windows
from edgekit.datasets.base import BadSample
from edgekit.datasets.csv_windows import find_window, open_windows
from edgekit.errors import InputError

WINDOWS = Windows(length=4, hop=4)
FEATURE = Feature(name="acc", kind="series", columns=("x", "y"), steps=(Scale(factor=0.1), WINDOWS))
WHOLE = Feature(name="acc", kind="series", columns=("x", "y"))


def _write(path: Path, rows: list[list[object]], names: str = "t,x,y,label,recording") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([names.split(","), *rows])
    return path


def test_equal_to_npz(tmp_path: Path) -> None:
    """Windows that were written as rows are read back as they were, with their classes."""
    windows = np.random.default_rng(0).integers(-4000, 4000, (30, 4, 2)).astype(np.int16)
    labels = np.arange(30) % 3
    rows = [[i, *row.tolist(), "abc"[labels[i]], i // 5] for i, window in enumerate(windows) for row in window]
    dataset = open_windows(_write(tmp_path / "a.csv", rows), FEATURE, ("a", "b", "c"))
    samples = [dataset.read(key) for key in dataset.keys]
    assert np.array_equal(np.stack([sample.raws["acc"] for sample in samples]), windows)
    assert [sample.truth for sample in samples] == labels.tolist() == [dataset.find_class(key) for key in dataset.keys]
    assert dataset.keys[:2] == ("0", "4")


def test_recordings(tmp_path: Path) -> None:
    """No window reaches over the end of a recording; what is left of one is not used, and one that is too short is named."""
    rows: list[list[object]] = [[0, i, i, "a", "one"] for i in range(9)] + [[0, 0, 0, "b", "two"]] * 3
    dataset = open_windows(_write(tmp_path / "a.csv", rows), FEATURE)
    assert dataset.keys == ("0", "4", "9")
    with pytest.raises(BadSample, match="9: it has 3 rows, and a window has 4"):
        dataset.read("9")
    assert dataset.find_class("9") is None


def test_hop(tmp_path: Path) -> None:
    """Windows overlap as the contract says."""
    path = _write(tmp_path / "a.csv", [[0, i, i, "a", 1] for i in range(8)])
    feature = Feature(name="acc", kind="series", columns=("x",), steps=(Windows(length=4, hop=2),))
    dataset = open_windows(path, feature)
    assert dataset.keys == ("0", "2", "4")
    assert dataset.read("2").raws["acc"].tolist() == [[2], [3], [4], [5]]


def test_mixed_label(tmp_path: Path) -> None:
    """A window has the label of most of its rows, and of two as frequent the earlier."""
    labels = "aaabbbaa"
    dataset = open_windows(_write(tmp_path / "a.csv", [[0, 0, 0, label, 1] for label in labels]), FEATURE)
    assert [dataset.classes[dataset.find_class(key) or 0] for key in dataset.keys] == ["a", "b"]


def test_folder(tmp_path: Path) -> None:
    """A folder has a recording in each CSV; one that is damaged is a bad sample among the others."""
    _write(tmp_path / "set" / "a.csv", [[0, i, i, "a", 1] for i in range(8)])
    _write(tmp_path / "set" / "deep" / "b.csv", [[0, i, i, "b", 1] for i in range(4)])
    _write(tmp_path / "set" / "c.csv", [[0, 1, 1, "a"]])
    dataset = open_windows(tmp_path / "set", FEATURE)
    assert dataset.keys == ("a.csv#0", "a.csv#4", "c.csv", "deep/b.csv#0")
    with pytest.raises(BadSample, match=r"c.csv: row 1 has 4 cells, and there are 5 columns"):
        dataset.read("c.csv")
    assert [path.name for path in dataset.files] == ["a.csv", "c.csv", "b.csv"]


def test_without_windows(tmp_path: Path) -> None:
    """Where the contract cuts no windows a recording is a sample, or a row where nothing says what belongs together."""
    _write(tmp_path / "set" / "a.csv", [[i, i] for i in range(3)], "x,y")
    dataset = open_windows(tmp_path / "set", WHOLE)
    assert (dataset.keys, dataset.read("a.csv").raws["acc"].shape) == (("a.csv",), (3, 2))
    alone = open_windows(tmp_path / "set" / "a.csv", WHOLE)
    assert (alone.keys, alone.read("1").raws["acc"].tolist()) == (("0", "1", "2"), [[1, 1]])
    named = open_windows(_write(tmp_path / "b.csv", [[0, i, i, "a", i // 2] for i in range(4)]), WHOLE)
    assert (named.keys, named.read("2").raws["acc"].tolist()) == (("0", "2"), [[2, 2], [3, 3]])


def test_columns(tmp_path: Path) -> None:
    """Without a contract all columns of figures are read, but for the time; one that the contract names must be there."""
    path = _write(tmp_path / "a.csv", [[0, 1, 2, "a", 1]], "time,x,y,label,recording")
    assert open_windows(path, Feature(name="series", kind="series")).columns == ("x", "y")
    with pytest.raises(InputError, match=r"no columns z; it has time, x, y"):
        open_windows(path, Feature(name="acc", kind="series", columns=("x", "z")))


@pytest.mark.parametrize("cell", ["", "high", "nan", "inf", "1e99"])
def test_no_figure(tmp_path: Path, cell: str) -> None:
    """A cell that is no finite figure makes a bad sample of its window alone."""
    rows: list[list[object]] = [[0, i, cell if i == 5 else i, "a", 1] for i in range(8)]
    dataset = open_windows(_write(tmp_path / "a.csv", rows), FEATURE)
    assert dataset.read("0").raws["acc"].shape == (4, 2)
    with pytest.raises(BadSample, match="figure"):
        dataset.read("4")


@pytest.mark.parametrize(("names", "rows"), [("x,y", []), ("label,recording", [["a", 1]])])
def test_nothing(tmp_path: Path, names: str, rows: list[list[object]]) -> None:
    """A table without rows or without figures is refused."""
    with pytest.raises(InputError, match="it has no"):
        open_windows(_write(tmp_path / "a.csv", rows, names), Feature(name="series", kind="series"))


def test_find_window() -> None:
    """Windows are cut here only where no step before them changes the number of rows."""
    assert find_window(FEATURE) == WINDOWS
    assert find_window(Feature(name="acc", kind="series", steps=(Fit(length=8), WINDOWS))) is None
