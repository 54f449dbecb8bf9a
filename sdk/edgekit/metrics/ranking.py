"""How well a score ranks what is unusual above what is not: the area under the ROC curve."""

from collections.abc import Callable

import numpy as np

from edgekit.arrays import Array
from edgekit.errors import InputError
from edgekit.metrics.base import FEW_RESAMPLES, Answers, Figure, Truths, make_whole, refuse_answers
from edgekit.metrics.classes import list_scores, read_classes
from edgekit.processing.libraries import load_library

#: Names of the class that is not unusual, in sets for anomaly detection (MVTec AD, MIMII, DCASE).
NORMAL = ("normal", "good", "ok")
_TWO = "The class 1 is what is to be found, and 0 all else; or call the class of what is as it should be normal, good or ok."


def prepare_auc(answers: Answers, truths: Truths) -> Figure:
    """Tells the share of all pairs of an item that is positive and one that is not in which the positive one has the higher score.

    It is scikit-learn's ``roc_auc_score``; NaN where all items are of one kind. A score that is NaN is taken for the highest, as
    an anomaly is read.
    """
    measure: Callable[[Array, Array], float] = load_library("sklearn.metrics", "evaluate").roc_auc_score
    scores, positive = rank_scores(answers), find_positives(answers, truths)
    if positive.all() or not positive.any():
        raise InputError("labels", "they are all of one class, and auc is about telling two apart", _TWO)

    def tell(rows: Array) -> float:
        chosen = positive[rows]
        return float(measure(chosen, scores[rows])) if chosen.any() and not chosen.all() else float("nan")

    return tell


def place_items(answers: Answers, truths: Truths) -> Array:
    """For each item the share of those of the other kind from which its score tells it apart, half of it where both are equal.

    Their means over the positive ones, and over the others, are both the area (DeLong et al. 1988).
    """
    scores, positive = rank_scores(answers), find_positives(answers, truths)
    placed = np.empty(len(scores))
    for kind in (True, False):
        others = np.sort(scores[positive != kind])
        below, upto = (np.searchsorted(others, scores[positive == kind], side) for side in ("left", "right"))
        shares = (below + upto) / (2 * max(1, len(others)))
        placed[positive == kind] = shares if kind else 1 - shares
    return placed


def rank_scores(answers: Answers) -> Array:
    """The place of each item's score among all, equal ones having the same: what is infinite has a place too, and NaN the last."""
    places: Array = np.unique(find_figures(answers), return_inverse=True)[1]
    return places


def find_figures(answers: Answers) -> Array:
    """One score for each item, float64: that of an anomaly, or of two classes by how much the second one's is higher."""
    read = answers.list_read("score")
    if read is not None:
        return np.array([score[0] for score in read], np.float64)
    pairs = _read_pairs(answers) or _take_pairs(answers)
    if pairs is None:
        remedy = "Let the contract read an anomaly, or the scores of two classes"
        raise refuse_answers("auc", "score of an anomaly, nor of two classes", remedy)
    first, second = pairs
    # Two that are infinite make NaN of each other.
    with np.errstate(invalid="ignore"):
        return second - first


def _read_pairs(answers: Answers) -> tuple[Array, Array] | None:
    """The scores of both classes of each item, where the contract reads both of all items."""
    classes, scores = answers.list_read("classes"), answers.list_read("scores")
    if classes is None or scores is None or any(sorted(found.tolist()) != [0, 1] for found in classes):
        return None
    pairs = np.array([score[np.argsort(found)] for found, score in zip(classes, scores, strict=True)], np.float64)
    return pairs[:, 0], pairs[:, 1]


def _take_pairs(answers: Answers) -> tuple[Array, Array] | None:
    """The scores of both classes from the one output that has two, or that has one for the second class."""
    rows = [array for array in list_scores(answers) if array.shape[1] == 2]
    if len(rows) == 1:
        both = rows[0].astype(np.float64)
        return both[:, 0], both[:, 1]
    single = [array for array in (answers.outputs or {}).values() if array.dtype.kind in "fiu" and array.size == len(array) > 0]
    return (np.zeros(len(single[0])), single[0].reshape(-1).astype(np.float64)) if len(single) == 1 else None


def find_positives(answers: Answers, truths: Truths) -> Array:
    """Which items are what is to be found: those of class 1, or where a class is called one of NORMAL all others."""
    labels = read_classes(truths, len(answers.classes) or None)
    normal = [number for number, name in enumerate(answers.classes) if name.lower() in NORMAL]
    if normal:
        return ~np.isin(labels, normal)
    if labels.max(initial=0) > 1:
        raise InputError("labels", f"there is a class {labels.max()}, and auc is about two", _TWO)
    positive: Array = labels == 1
    return positive


AUC = make_whole("auc", prepare_auc, place_items, resamples=FEW_RESAMPLES)
