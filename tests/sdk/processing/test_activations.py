"""Scores become shares without overflow."""

import numpy as np
import pytest

from edgekit.processing.activations import ACTIVATIONS, sigmoid, softmax

LARGEST = np.finfo(np.float32).max


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scores", [[1000.0, 0.0], [-1000.0, -2000.0], [np.inf, 0.0], [LARGEST, -LARGEST], [0.0, -np.inf]])
def test_softmax_is_stable(scores: list[float]) -> None:
    """However large the scores are, the highest has the share 1 and the sum is 1."""
    np.testing.assert_allclose(softmax(np.array(scores, np.float32)), [1.0, 0.0])


def test_softmax_is_along_the_last_axis() -> None:
    """Each row has shares of its own, whose logarithms are as far apart as the scores."""
    shares = softmax(np.array([[[1.0, 2.0, 4.0], [0.0, 0.0, 0.0]]], np.float32))
    np.testing.assert_allclose(shares.sum(axis=-1), 1)
    np.testing.assert_allclose(np.diff(np.log(shares[0, 0])), [1, 2])
    np.testing.assert_allclose(shares[0, 1], 1 / 3)


@pytest.mark.filterwarnings("error")
def test_what_is_no_number_stays_where_it_is() -> None:
    """NaN stays NaN, and the others have the shares that they would have without it."""
    np.testing.assert_allclose(softmax(np.array([np.nan, 0.0, 0.0])), [np.nan, 0.5, 0.5])
    np.testing.assert_allclose(sigmoid(np.array([np.nan, 0.0])), [np.nan, 0.5])
    assert np.isnan(softmax(np.array([np.nan, np.nan]))).all()


@pytest.mark.filterwarnings("error")
def test_sigmoid_is_stable_and_keeps_small_shares_apart() -> None:
    """At both ends it is 0 and 1 without a warning, and far below zero shares still differ."""
    np.testing.assert_allclose(sigmoid(np.array([-1e4, -np.inf, 0.0, 1e4, np.inf])), [0, 0, 0.5, 1, 1])
    assert sigmoid(np.array(-300.0)) < sigmoid(np.array(-299.0))
    np.testing.assert_allclose(sigmoid(np.array(2.0)), 1 / (1 + np.exp(-2.0)))


def test_every_activation_of_the_contract_is_there() -> None:
    """Whatever a contract may name can be carried out; none leaves the scores as they are."""
    assert set(ACTIVATIONS) == {"none", "softmax", "sigmoid"}
    assert ACTIVATIONS["none"](np.array([3.5])).tolist() == [3.5]
