"""The data that users bring, and what is said of data that does not fit."""

import re
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.samples import read_evaluation, read_samples
from edgekit.tensors import Quantization, TensorSpec

SPECS = (TensorSpec(name="image", dtype="float32", shape=("batch", 1, 4, 4)),)
GOOD = np.zeros((6, 1, 4, 4), np.float32)


def save(path: Path, **arrays: object) -> Path:
    np.savez(path / "data.npz", **arrays)  # type: ignore[arg-type]
    return path / "data.npz"


def test_good_data_is_read(tmp_path: Path) -> None:
    """The inputs are found by name, the labels beside them, and other arrays are left alone."""
    path = save(tmp_path, image=GOOD, labels=np.arange(6), names=np.arange(3))
    assert read_samples(path, SPECS).keys() == {"image"}
    assert read_evaluation(path, SPECS).labels.tolist() == [0, 1, 2, 3, 4, 5]


def test_a_fixed_batch_takes_any_number_of_samples(tmp_path: Path) -> None:
    """Data for a model that takes one sample at a time still has all samples along the first axis."""
    fixed = (TensorSpec(name="image", dtype="float32", shape=(1, 1, 4, 4)),)
    assert len(read_samples(save(tmp_path, image=GOOD), fixed)["image"]) == 6


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"picture": GOOD}, r"no array 'image'; it has \['picture'\]"),
        ({"image": GOOD.astype(np.float64)}, r"float64\[6, 1, 4, 4\], and float32\[n, 1, 4, 4\] is expected.*astype"),
        ({"image": GOOD[:, 0]}, r"float32\[6, 4, 4\], and float32\[n, 1, 4, 4\]"),
        ({"image": GOOD[:0]}, "no samples"),
        ({"image": np.float32(1)}, "is expected"),
        ({"image": np.full_like(GOOD, np.nan)}, "NaN"),
    ],
)
def test_unfit_inputs_are_refused(arrays: dict[str, object], told: str, tmp_path: Path) -> None:
    """A missing, misshapen, wrongly typed, empty or non-finite input is refused with file, field and what was expected."""
    with pytest.raises(InputError, match=rf"data\.npz.*{told}"):
        read_samples(save(tmp_path, **arrays), SPECS)


def test_names_that_are_no_keywords_are_shown_how_to_give(tmp_path: Path) -> None:
    """A missing array whose name numpy takes as no keyword is told with the call that writes it; what it writes is read."""
    spec = TensorSpec(name="serving_default_x:0", dtype="float32", shape=("n", 1, 4, 4))
    with pytest.raises(InputError, match=re.escape("by numpy.savez(path, **{'serving_default_x:0': array}).")):
        read_samples(save(tmp_path, image=GOOD), (spec,))
    assert len(read_samples(save(tmp_path, **{"serving_default_x:0": GOOD}), (spec,))[spec.name]) == 6


def test_reals_for_integers_are_told_their_scale(tmp_path: Path) -> None:
    """Reals for a quantised input are refused with the numpy that quantises them by the model's own scale; what it says fits."""
    spec = TensorSpec(name="x", dtype="int8", shape=("n", 2), quantization=Quantization(scale=(0.5,), zero_point=(10,)))
    reals = np.array([[-100.0, 0.0], [0.5, 90.0]], np.float32)
    with pytest.raises(InputError, match=r"int8\[n, 2\] is expected\. Convert it: .*clip") as refused:
        read_samples(save(tmp_path, x=reals), (spec,))
    written = refused.value.remedy.removeprefix("Convert it: ").removesuffix(".")
    converted = eval(written, {"array": reals})
    assert read_samples(save(tmp_path, x=converted), (spec,))["x"].tolist() == [[-128, 10], [11, 127]]
    whole = save(tmp_path, x=reals.astype(np.int64))
    with pytest.raises(InputError, match=r"Convert it: array\.astype\('int8'\)\."):
        read_samples(whole, (spec,))


@pytest.mark.parametrize(
    ("arrays", "told"),
    [({}, "no array 'labels'"), ({"labels": np.zeros(6)}, r"float64\[6\], and 6 integers"), ({"labels": np.arange(5)}, r"int64\[5\]")],
)
def test_unfit_labels_are_refused(arrays: dict[str, object], told: str, tmp_path: Path) -> None:
    """Labels that are missing, not integers, or of another number are refused."""
    with pytest.raises(InputError, match=told):
        read_evaluation(save(tmp_path, image=GOOD, **arrays), SPECS)


def test_strings_are_read_as_bytes(tmp_path: Path) -> None:
    """An input of strings takes numpy's text, which is how people write it."""
    specs = (TensorSpec(name="word", dtype="bytes", shape=("n", 1)),)
    words = read_samples(save(tmp_path, word=np.array([["cat"], ["ümläut"]])), specs)["word"]
    assert words.ravel().tolist() == [b"cat", "ümläut".encode()]
    with pytest.raises(InputError, match=r"int64\[2\], and bytes\[n, 1\] is expected"):
        read_samples(save(tmp_path, word=np.array([1, 2])), specs)
