"""The task's own measures: how often a model is right on labelled samples."""

from collections.abc import Callable, Mapping

import numpy as np

from edgekit.arrays import Array
from edgekit.errors import InputError, UnknownName

#: A metric takes the outputs by name and the labels, and gives a figure of which more is better.
Measure = Callable[[Mapping[str, Array], Array], float]


def top1(outputs: Mapping[str, Array], labels: Array) -> float:
    """The share of samples whose highest class is the label."""
    return _top_k(outputs, labels, 1)


def top5(outputs: Mapping[str, Array], labels: Array) -> float:
    """The share of samples whose label is among the five highest classes."""
    return _top_k(outputs, labels, 5)


METRICS: dict[str, Measure] = {"top1": top1, "top5": top5}


def find_metric(name: str) -> Measure:
    """The metric called *name*, or UnknownName."""
    try:
        return METRICS[name]
    except KeyError:
        raise UnknownName("metric", name, METRICS) from None


def _top_k(outputs: Mapping[str, Array], labels: Array, k: int) -> float:
    scores = _find_class_row(outputs)
    classes = scores.shape[1]
    if labels.min(initial=0) < 0 or labels.max(initial=0) >= classes:
        wrong = labels[(labels < 0) | (labels >= classes)][0]
        raise InputError("labels", f"there is a label {wrong}, and the model has the classes 0 to {classes - 1}", "Correct the labels.")
    # As floats, since the negative of an unsigned integer is another positive one.
    best = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")[:, :k]
    return float(np.mean((best == labels[:, None]).any(axis=1)))


def _find_class_row(outputs: Mapping[str, Array]) -> Array:
    rows = [array for array in outputs.values() if array.ndim == 2 and array.shape[1] > 1 and array.dtype.kind in "fiu"]
    if len(rows) != 1:
        shapes = {name: list(array.shape) for name, array in outputs.items()}
        raise InputError(
            "metric", f"it needs one output with a score for each class, and the outputs are {shapes}", "Leave --metric and --evaluation out."
        )
    return rows[0]
