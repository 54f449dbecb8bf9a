"""Sets of data in one .npz."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.contract import Feature, Tokenize
from edgekit.datasets.base import BadSample
from edgekit.datasets.npz import open_npz
from edgekit.errors import InputError
from edgekit.tensors import Quantization, TensorSpec

PHOTO = Feature(name="photo", kind="image", feeds="x")
PIXELS = np.arange(4 * 5 * 6 * 3, dtype=np.uint8).reshape(4, 5, 6, 3)
READY = np.arange(4 * 2, dtype=np.float32).reshape(4, 2)


def _save(tmp_path: Path, **arrays: Any) -> Path:
    np.savez(tmp_path / "a.npz", **arrays)
    return tmp_path / "a.npz"


def test_raw_pictures(tmp_path: Path) -> None:
    """Pixels under the feature's name go through the contract, with their classes."""
    dataset = open_npz(_save(tmp_path, photo=PIXELS, labels=np.array([2, 0, 1, 1])), (PHOTO,))
    sample = dataset.read("1")
    assert not sample.ready
    assert np.array_equal(sample.raws["photo"], PIXELS[1])
    assert (sample.truth, dataset.find_class("0"), dataset.keys) == (0, 2, ("0", "1", "2", "3"))


def test_grey_pictures(tmp_path: Path) -> None:
    """Grey pixels with an axis for their one channel are grey pixels."""
    dataset = open_npz(_save(tmp_path, photo=PIXELS[..., :1]), (PHOTO,))
    assert np.array_equal(dataset.read("3").raws["photo"], PIXELS[3, ..., 0])


def test_ready(tmp_path: Path) -> None:
    """Arrays under the names of the model's inputs are taken as they are, and so are all where there is no contract."""
    path = _save(tmp_path, x=READY, labels=np.arange(4))
    for features in ((PHOTO,), ()):
        sample = open_npz(path, features).read("2")
        assert sample.ready
        assert np.array_equal(sample.raws["x"], READY[2])


def test_others(tmp_path: Path) -> None:
    """Without a contract, arrays that have no row for each sample are left alone."""
    path = _save(tmp_path, x=READY, scale=np.float32(0.1), more=np.zeros((9, 2)), labels=np.arange(4))
    assert list(open_npz(path).arrays) == ["x"]
    path = _save(tmp_path, x=READY, y=READY, scale=np.float32(0.1), more=np.zeros((9, 2)))
    assert list(open_npz(path).arrays) == ["x", "y"]
    with pytest.raises(InputError, match="no samples"):
        open_npz(_save(tmp_path, scale=np.float32(0.1)))


def test_same_name(tmp_path: Path) -> None:
    """Where feature and input have one name, floats are no pixels, and so are what the model is fed with."""
    both = Feature(name="x", kind="image", feeds="x")
    assert open_npz(_save(tmp_path, x=PIXELS.astype(np.float32)), (both,)).ready
    assert not open_npz(_save(tmp_path, x=PIXELS), (both,)).ready


@pytest.mark.parametrize(
    ("kind", "array"),
    [("audio", np.zeros((4, 100), np.float32)), ("audio", np.zeros((4, 100, 2), np.int16)), ("series", np.zeros((4, 26, 3), np.int16))],
)
def test_raw_figures(tmp_path: Path, kind: Any, array: Any) -> None:
    """Sounds and tables may be arrays too."""
    dataset = open_npz(_save(tmp_path, given=array), (Feature(name="given", kind=kind, feeds="x"),))
    assert not dataset.ready
    assert np.array_equal(dataset.read("1").raws["given"], array[1])


def test_texts(tmp_path: Path) -> None:
    """Texts are strings, and the inputs that tokens become are known from the contract."""
    feature = Feature(name="words", kind="text", steps=(Tokenize(file="t.json", feeds={"ids": "ids", "mask": "mask"}),))
    dataset = open_npz(_save(tmp_path, words=np.array(["go", "grün"])), (feature,))
    assert dataset.read("1").raws == {"words": "grün"}
    tokens = open_npz(_save(tmp_path, ids=np.zeros((3, 8), np.int64), mask=np.ones((3, 8), np.int64)), (feature,))
    assert tokens.ready
    assert sorted(tokens.read("0").raws) == ["ids", "mask"]


def test_truths(tmp_path: Path) -> None:
    """What is true may be a class by name, a figure, a mask, or what was said."""
    names = open_npz(_save(tmp_path, x=READY, labels=np.array(["b", "a", "b", "a"])))
    assert (names.read("0").truth, names.classes, names.find_class("1")) == (1, ("a", "b"), 0)
    figures = open_npz(_save(tmp_path, x=READY, labels=np.array([0.5, 1, 2, 3])))
    assert (figures.read("0").truth, figures.find_class("0")) == (0.5, None)
    masks = open_npz(_save(tmp_path, x=READY, labels=np.ones((4, 2, 2), np.uint8)))
    assert np.array_equal(np.asarray(masks.read("0").truth), [[1, 1], [1, 1]])
    said = open_npz(_save(tmp_path, x=READY, labels=np.array(["go", "stop", "go", "no"])), spoken=True)
    assert (said.read("1").truth, said.find_class("1")) == ("stop", None)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"photo": PIXELS, "labels": np.arange(3)}, "differ in their number of samples"),
        ({"photo": PIXELS[:0]}, "no samples"),
        ({"photo": PIXELS, "labels": np.array([0, 1, 2, 5])}, "a label 5, and the classes are 0 to 1"),
        ({"photo": PIXELS, "labels": np.array([0, 1, -1, 1])}, "a label -1"),
        ({"photo": PIXELS, "labels": np.zeros(4, np.complex64)}, "field 'labels' is complex64"),
        ({"photo": PIXELS, "labels": np.array([0, 1, np.nan, 1])}, "field 'labels' holds NaN"),
        ({"picture": PIXELS}, r"neither what callers give, 'photo' \(uint8.*nor arrays for each input, \['x'\]; it has picture: uint8"),
    ],
)
def test_wrong(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    """What does not fit the contract is refused with what was expected and what is there."""
    with pytest.raises(InputError, match=message):
        open_npz(_save(tmp_path, **arrays), (PHOTO,), ("cat", "dog"))


def test_not_finite(tmp_path: Path) -> None:
    """A sample with NaN is bad, and the others are not."""
    dataset = open_npz(_save(tmp_path, x=np.array([[1.0], [np.nan]], np.float32)))
    assert dataset.read("0").raws["x"] == 1
    with pytest.raises(BadSample, match="row 1: 'x' holds NaN"):
        dataset.read("1")


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"y": READY}, r"a\.npz: it has no array 'x'; it has \['y'\].*float32\[n, 2\]"),
        ({"x": READY.astype(np.float64)}, r"field 'x' is float64\[4, 2\], and float32\[n, 2\] is expected. Convert it: array\.astype\('float32'\)"),
        ({"x": READY[:, :1]}, r"field 'x' is float32\[4, 1\], and float32\[n, 2\] is expected. Reshape it"),
    ],
)
def test_arrays_that_do_not_fit_the_model_are_told_whole(tmp_path: Path, arrays: dict[str, Any], told: str) -> None:
    """A wrong name, dtype or shape names the file, the field and what is expected, and what makes it fit."""
    with pytest.raises(InputError, match=told):
        open_npz(_save(tmp_path, **arrays)).check((TensorSpec(name="x", dtype="float32", shape=("n", 2)),))


def test_names_that_are_no_keywords_are_shown_how_to_give(tmp_path: Path) -> None:
    """A missing array whose name numpy takes as no keyword is told with the call that writes it; what it writes is read."""
    spec = TensorSpec(name="serving_default_x:0", dtype="float32", shape=("n", 2))
    with pytest.raises(InputError, match=re.escape("by numpy.savez(path, **{'serving_default_x:0': array}).")):
        open_npz(_save(tmp_path, x=READY)).check((spec,))
    open_npz(_save(tmp_path, **{"serving_default_x:0": READY})).check((spec,))


def test_reals_for_integers_are_told_their_scale(tmp_path: Path) -> None:
    """Reals for a quantised input are refused with the numpy that quantises them by the model's own scale; what it says fits."""
    spec = TensorSpec(name="x", dtype="int8", shape=("n", 2), quantization=Quantization(scale=(0.5,), zero_point=(10,)))
    reals = np.array([[-100.0, 0.0], [0.5, 90.0]], np.float32)
    with pytest.raises(InputError, match=r"int8\[n, 2\] is expected\. Convert it: .*clip") as refused:
        open_npz(_save(tmp_path, x=reals)).check((spec,))
    written = refused.value.remedy.removeprefix("Convert it: ").removesuffix(".")
    converted = eval(written, {"array": reals})
    assert converted.tolist() == [[-128, 10], [11, 127]]
    open_npz(_save(tmp_path, x=converted)).check((spec,))
    with pytest.raises(InputError, match=r"Convert it: array\.astype\('int8'\)\."):
        open_npz(_save(tmp_path, x=reals.astype(np.int64))).check((spec,))
