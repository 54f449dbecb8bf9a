"""Texts in a CSV."""

from pathlib import Path

import pytest

from edgekit.contract import Feature
from edgekit.datasets.base import BadSample
from edgekit.datasets.csv_texts import open_texts
from edgekit.errors import InputError

TEXT = Feature(name="review", kind="text")


def test_texts(tmp_path: Path) -> None:
    """Each row is a text with its class, and one that is empty is a bad sample."""
    path = tmp_path / "a.csv"
    path.write_text('text,label\n"good, very",pos\nbad,neg\n ,neg\n')
    dataset = open_texts(path, (TEXT,))
    assert (dataset.keys, dataset.classes) == (("0", "1", "2"), ("neg", "pos"))
    sample = dataset.read("0")
    assert (sample.raws, sample.truth, dataset.find_class("0")) == ({"review": "good, very"}, 1, 1)
    with pytest.raises(BadSample, match="row 2: a text is empty"):
        dataset.read("2")
    assert dataset.find_file("0") is None


def test_pairs(tmp_path: Path) -> None:
    """Where the contract takes two texts, each has the column of its name, and one that is missing is named."""
    path = tmp_path / "a.csv"
    path.write_text("answer,question\nyes,is it\n")
    features = tuple(Feature(name=name, kind="text") for name in ("question", "answer"))
    assert open_texts(path, features).read("0").raws == {"question": "is it", "answer": "yes"}
    with pytest.raises(InputError, match="no column 'context'"):
        open_texts(path, (*features, Feature(name="context", kind="text")))


def test_split(tmp_path: Path) -> None:
    """Keys stay the numbers of rows where only a part of them is taken."""
    path = tmp_path / "a.csv"
    path.write_text("text,label,split\na,x,train\nb,y,val\n")
    dataset = open_texts(path, (TEXT,), ("y", "x"), "val")
    assert (dataset.keys, dataset.read("1").truth) == (("1",), 0)


def test_no_rows(tmp_path: Path) -> None:
    """A table without rows is refused."""
    (tmp_path / "a.csv").write_text("text\n")
    with pytest.raises(InputError, match="no rows"):
        open_texts(tmp_path / "a.csv", (TEXT,))
