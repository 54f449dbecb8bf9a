"""Vectors of items: pooled over what was said, averaged over windows, of length one."""

import numpy as np
import pytest

from edgekit.arrays import Array
from edgekit.contract import Embed, Feature, Processing, Tokenize
from edgekit.errors import InputError
from edgekit.processing.base import Fed
from edgekit.processing.vectors import prepare_vectors
from edgekit.tensors import TensorSpec

TEXT = Feature(name="text", kind="text", steps=(Tokenize(file="t.json", feeds={"ids": "ids", "attention": "mask"}),))


def read(values: Array, mask: Array | None = None, **options: object) -> Array:
    reading = Embed(output="y", **options)
    contract = Processing(inputs=() if mask is None else (TEXT,), answer=reading)
    spec = TensorSpec(name="y", dtype="float32", shape=("n", *values.shape[1:]))
    fed = Fed({} if mask is None else {"ids": mask, "attention": mask})
    return prepare_vectors(reading, contract, [spec])({"y": values}, fed)["embedding"]


def test_a_vector_has_length_one() -> None:
    """The vector keeps its direction, and is float32 of length 1."""
    vector = read(np.array([[3.0, 4.0]]))
    np.testing.assert_allclose(vector, [0.6, 0.8], rtol=1e-6)
    assert vector.dtype == np.float32


def test_length_is_left_where_that_is_asked_for() -> None:
    """Without normalising the numbers are the model's own."""
    assert read(np.array([[3.0, 4.0]]), normalize=False).tolist() == [3.0, 4.0]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("values", "expected"), [([0.0, 0.0], [0.0, 0.0]), ([3e38, 3e38], [0.5**0.5] * 2), ([np.nan, 1.0], [np.nan] * 2)])
def test_odd_vectors_have_a_meaning(values: list[float], expected: list[float]) -> None:
    """Zeros stay zeros, lengths beyond float32 are found all the same, and NaN is never made a point."""
    np.testing.assert_allclose(read(np.array([values], np.float32)), expected, rtol=1e-6)


TOKENS = np.array([[[1.0, 0.0], [3.0, 2.0], [100.0, 100.0]]], np.float32)


def test_the_mean_leaves_the_filling_out() -> None:
    """Tokens that the attention mask does not count have no part in the mean."""
    assert read(TOKENS, np.array([[1, 1, 0]]), pool="mean", normalize=False).tolist() == [2.0, 1.0]


def test_a_broken_number_in_the_filling_is_left_out_too() -> None:
    """What the model answers for the filling may be anything."""
    values = TOKENS.copy()
    values[0, 2] = np.nan
    assert read(values, np.array([[1, 1, 0]]), pool="mean", normalize=False).tolist() == [2.0, 1.0]


def test_without_a_mask_all_tokens_count() -> None:
    """A model that takes no mask, as one of pictures, has all its tokens in the mean."""
    np.testing.assert_allclose(read(TOKENS, pool="mean", normalize=False), [104 / 3, 34])


def test_the_first_token_stands_for_all() -> None:
    """Pooling by the first takes the first token, whatever the mask says."""
    assert read(TOKENS, np.array([[1, 1, 0]]), pool="first", normalize=False).tolist() == [1.0, 0.0]


@pytest.mark.filterwarnings("error")
def test_nothing_but_filling_is_zero() -> None:
    """Where no token counts, the vector is zero and no NaN."""
    assert read(TOKENS, np.array([[0, 0, 0]]), pool="mean").tolist() == [0.0, 0.0]


def test_windows_of_one_item_are_averaged_before_the_length() -> None:
    """The mean over an item's windows is made of length 1, not the mean of vectors of length 1."""
    np.testing.assert_allclose(read(np.array([[3.0, 0.0], [3.0, 8.0]])), [0.6, 0.8], rtol=1e-6)


def test_a_mask_of_another_length_is_refused() -> None:
    """An output that has not a vector for each token that was fed is refused."""
    with pytest.raises(InputError, match=r"output 'y': it has shape \[1, 3, 2\], and \[1, 4\] tokens were fed"):
        read(TOKENS, np.ones((1, 4)), pool="mean")


@pytest.mark.parametrize(("shape", "pool"), [(("n", 5, 8), "none"), (("n", 8), "mean"), (("n", 8), "first")])
def test_axes_must_be_those_that_are_pooled(shape: tuple[int | str, ...], pool: str) -> None:
    """A vector for each token needs pooling, and a single vector needs none."""
    reading = Embed(output="y", pool=pool)
    with pytest.raises(InputError, match=r"^answer\.output: it names the output y"):
        prepare_vectors(reading, Processing(answer=reading), [TensorSpec(name="y", dtype="float32", shape=shape)])
