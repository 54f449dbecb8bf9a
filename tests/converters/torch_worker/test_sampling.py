"""Inputs to ask a model with: made up where nothing is known, else drawn from an example."""

import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.tensors import TensorSpec
from edgekit_converters.torch_worker.sampling import draw_samples, fit_sizes, is_telling

IMAGE = TensorSpec(name="image", dtype="float32", shape=("batch", 3, 8, 8))
IDS = TensorSpec(name="ids", dtype="int64", shape=("batch", "length"))


def test_samples_fit_their_inputs_and_repeat() -> None:
    """Samples have the inputs' dtypes and shapes, sixteen of what may vary, the same each time."""
    one, two = (draw_samples((IMAGE, IDS), None) for _ in range(2))
    assert (one["image"].dtype, one["ids"].dtype) == (np.float32, np.int64)
    assert one["image"].shape[1:] == (3, 8, 8)
    assert one["ids"].shape[1:] == (16,)
    assert len(one["image"]) == len(one["ids"]) >= 32
    np.testing.assert_array_equal(one["image"], two["image"])


def test_examples_say_what_integers_there_are() -> None:
    """Indices come from the values of an example, whose rows come first; its other sizes are kept."""
    known = np.array([[7, 40, 7], [9, 40, 9]])
    ids = draw_samples((IDS,), {"ids": known})["ids"]
    assert ids.shape[1:] == (3,)
    assert set(np.unique(ids)) == {7, 9, 40}
    np.testing.assert_array_equal(ids[:2], known)


def test_floats_are_as_wide_as_the_example() -> None:
    """Floats get the mean and spread of an example."""
    known = np.random.default_rng(0).normal(100, 5, (4, 3, 8, 8)).astype(np.float32)
    drawn = draw_samples((IMAGE,), {"image": known})["image"]
    assert drawn.dtype == np.float32
    assert 70 < drawn.min() < drawn.max() < 140
    assert drawn.std() > 1


def test_only_what_says_more_is_telling() -> None:
    """Pictures are made up as well anywhere; indices, axes that vary and examples are not."""
    assert not is_telling((IMAGE,), None)
    assert is_telling((IMAGE,), {"image": np.zeros((1, 3, 8, 8), np.float32)})
    assert is_telling((IMAGE, IDS), None)
    assert is_telling((TensorSpec(name="sound", dtype="float32", shape=("batch", "samples")),), None)


def test_absurd_inputs_are_refused() -> None:
    """An input of a billion elements is refused before any is made."""
    with pytest.raises(InputError, match=r"'image'.*1000000000 elements"):
        draw_samples((TensorSpec(name="image", dtype="float32", shape=("batch", 1000, 1000, 1000)),), None)


def test_samples_get_the_sizes_that_are_fixed() -> None:
    """A length that is fixed cuts samples that are longer, and repeats what is shorter."""
    ids = {"ids": np.arange(8).reshape(2, 4)}
    assert fit_sizes(ids, (TensorSpec(name="ids", dtype="int64", shape=("batch", 2)),))["ids"].tolist() == [[0, 1], [4, 5]]
    assert fit_sizes(ids, (TensorSpec(name="ids", dtype="int64", shape=(1, 6)),))["ids"].tolist() == [[0, 1, 2, 3, 0, 1], [4, 5, 6, 7, 4, 5]]
