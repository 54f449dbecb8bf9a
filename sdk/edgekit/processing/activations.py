"""From a model's raw scores to shares between 0 and 1, without overflow whatever the scores are."""

from collections.abc import Callable

import numpy as np

from edgekit.arrays import Array
from edgekit.contract import Activation

_LARGEST = float(np.finfo(np.float32).max)


def softmax(scores: Array) -> Array:
    """exp(scores) along the last axis over their sum, float64.

    The highest is taken away first, so that nothing overflows. NaN stays where it is, and the others are as if it were not there.
    """
    # An infinite score is as the largest finite one; otherwise it would be NaN once the highest, itself, is taken away.
    finite = np.clip(scores.astype(np.float64), -_LARGEST, _LARGEST)
    raised = np.exp(finite - np.fmax.reduce(finite, axis=-1, keepdims=True))
    shares: Array = raised / np.nansum(raised, axis=-1, keepdims=True)
    return shares


def sigmoid(scores: Array) -> Array:
    """1 / (1 + exp(-scores)), float64; NaN stays NaN."""
    values = scores.astype(np.float64)
    # exp of what is not above zero never overflows.
    small = np.exp(-np.abs(values))
    shares: Array = np.where(values < 0, small, 1.0) / (1.0 + small)
    return shares


def keep(scores: Array) -> Array:
    """The scores as they are, float64."""
    return scores.astype(np.float64)


ACTIVATIONS: dict[Activation, Callable[[Array], Array]] = {"none": keep, "softmax": softmax, "sigmoid": sigmoid}
