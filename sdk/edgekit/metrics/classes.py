"""How often the class is right."""

from functools import partial

import numpy as np

from edgekit.arrays import Array
from edgekit.errors import InputError
from edgekit.metrics.base import Answers, Metric, Truths

_REMEDY = "Leave --metric and --evaluation out, or give another metric."


def find_scores(answers: Answers) -> Array:
    """The scores of each class: (items, classes), from the one output that has them."""
    outputs = answers.outputs or {}
    rows = [array for array in outputs.values() if array.ndim == 2 and array.shape[1] > 1 and array.dtype.kind in "fiu"]
    if len(rows) != 1:
        shapes = {name: list(array.shape) for name, array in outputs.items()}
        raise InputError("metric", f"it needs one output with a score for each class, and the outputs are {shapes}", _REMEDY)
    return rows[0]


def read_classes(truths: Truths, classes: int) -> Array:
    """The class of each item as a number, each checked to be one of *classes*."""
    labels = np.asarray(truths)
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise InputError("labels", "they are no numbers of classes, which this metric is about", _REMEDY)
    if labels.min(initial=0) < 0 or labels.max(initial=0) >= classes:
        wrong = labels[(labels < 0) | (labels >= classes)][0]
        raise InputError("labels", f"there is a label {wrong}, and the model has the classes 0 to {classes - 1}", "Correct the labels.")
    return labels


def is_in_top(answers: Answers, truths: Truths, k: int) -> Array:
    """For each item 1 where its class is among the *k* highest, else 0."""
    scores = find_scores(answers)
    labels = read_classes(truths, scores.shape[1])
    # As floats, since the negative of an unsigned integer is another positive one.
    best = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")[:, :k]
    found: Array = (best == labels[:, None]).any(axis=1).astype(np.float64)
    return found


def _top_k(name: str, k: int) -> Metric:
    return Metric(name, lambda answers, truths: float(is_in_top(answers, truths, k).mean()), partial(is_in_top, k=k))


TOP1 = _top_k("top1", 1)
TOP5 = _top_k("top5", 5)
