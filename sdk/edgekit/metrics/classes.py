"""How often the class is right, and how well each class is found."""

from functools import partial

import numpy as np

from edgekit.arrays import Array
from edgekit.errors import InputError
from edgekit.metrics.base import FEW_RESAMPLES, Answers, Figure, Truths, make_mean, make_whole
from edgekit.processing.libraries import load_library

_CONTRACT = "Let the contract read classes: edgekit convert --task classify, or give another --metric."
#: Stands for a class where a model gave none.
NO_CLASS = -1


def find_scores(answers: Answers) -> Array:
    """The scores of each class: (items, classes), from the one output that has them."""
    rows = list_scores(answers)
    if len(rows) != 1:
        shapes = {name: list(array.shape) for name, array in (answers.outputs or {}).items()}
        raise InputError("metric", f"it needs one output with a score for each class, and the outputs are {shapes}", _CONTRACT)
    return rows[0]


def list_scores(answers: Answers) -> list[Array]:
    """Each output that is a row of scores for each item: (items, classes)."""
    return [array for array in (answers.outputs or {}).values() if array.ndim == 2 and array.shape[1] > 1 and array.dtype.kind in "fiu"]


def find_likeliest(answers: Answers, k: int) -> tuple[Array, int | None]:
    """The *k* likeliest classes of each item, (items, k), the likeliest first; and how many classes there are, None where that is unknown.

    They are those that the contract reads. Where it reads fewer of an item, by its threshold for instance, they come from the
    one output that has scores, if there is one, else what is missing is NO_CLASS.
    """
    read = None if answers.list_read("boxes") else answers.list_read("classes")
    scores = list_scores(answers)
    count = scores[0].shape[1] if len(scores) == 1 else len(answers.classes) or None
    wanted = k if count is None else min(k, count)
    if read is None or (len(scores) == 1 and any(len(classes) < wanted for classes in read)):
        # As floats, since the negative of an unsigned integer is another positive one.
        order = np.argsort(-find_scores(answers).astype(np.float64), axis=1, kind="stable")
        return order[:, :k], order.shape[1]
    found = max(len(classes) for classes in read)
    if 0 < found < wanted:
        remedy = "Let its answer have a higher top and no threshold."
        raise InputError("metric", f"it looks at {wanted} classes of each item, and the contract reads {found}", remedy)
    likeliest = np.full((len(read), k), NO_CLASS, np.int64)
    for row, classes in enumerate(read):
        likeliest[row, : len(classes)] = classes[:k]
    return likeliest, count


def read_classes(truths: Truths, classes: int | None) -> Array:
    """The class of each item as a number, each checked to be one of *classes* where it is known how many there are."""
    if any(not isinstance(truth, int | np.integer) for truth in truths):
        raise InputError(
            "labels", "they are no numbers of classes, which this metric is about", "Give data with a class for each item, or another --metric."
        )
    labels = np.asarray(truths, np.int64)
    wrong = labels[(labels < 0) | (labels >= (np.iinfo(np.int64).max if classes is None else classes))]
    if wrong.size:
        last = "as many as there are" if classes is None else classes - 1
        raise InputError("labels", f"there is a label {wrong[0]}, and the model has the classes 0 to {last}", "Correct the labels.")
    return labels


def is_in_top(answers: Answers, truths: Truths, k: int) -> Array:
    """For each item 1 where its class is among the *k* likeliest, else 0."""
    likeliest, count = find_likeliest(answers, k)
    labels = read_classes(truths, count)
    found: Array = (likeliest == labels[:, None]).any(axis=1).astype(np.float64)
    return found


def prepare_f1(answers: Answers, truths: Truths) -> Figure:
    """Tells the mean over classes of F1, the harmonic mean of precision and recall (van Rijsbergen 1979), by scikit-learn.

    It is over the classes that are true of an item or were answered; an item without an answer is a miss.
    """
    measure = load_library("sklearn.metrics", "evaluate").f1_score
    likeliest, count = find_likeliest(answers, 1)
    labels, answered = read_classes(truths, count), likeliest[:, 0]

    def tell(rows: Array) -> float:
        true, found = labels[rows], answered[rows]
        known = np.setdiff1d(np.union1d(true, found), [NO_CLASS])
        return float(measure(true, found, labels=known, average="macro", zero_division=0.0))

    return tell


TOP1 = make_mean("top1", partial(is_in_top, k=1))
TOP5 = make_mean("top5", partial(is_in_top, k=5))
F1 = make_whole("f1", prepare_f1, partial(is_in_top, k=1), resamples=FEW_RESAMPLES)
