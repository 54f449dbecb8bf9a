"""The task's measures."""

import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.metrics.base import Answers
from edgekit.metrics.classes import TOP1, TOP5

SCORES = {"logits": np.array([[3.0, 1, 2, 0, -1, -2], [0, 1, 2, 3, 4, 5], [9, 8, 7, 6, 5, 4]])}


def top1(outputs, labels):
    return TOP1.measure(Answers(outputs), labels)


def top5(outputs, labels):
    return TOP5.measure(Answers(outputs), labels)


def test_top1_and_top5() -> None:
    """Top-1 counts the highest class, top-5 any of the five highest."""
    labels = np.array([0, 0, 5])
    assert top1(SCORES, labels) == pytest.approx(1 / 3)
    assert top5(SCORES, labels) == pytest.approx(1 / 3)
    assert top5(SCORES, np.array([4, 1, 4])) == 1.0


@pytest.mark.parametrize("kind", [np.uint8, np.int8])
def test_scores_may_be_integers(kind: type) -> None:
    """A quantised model's scores are compared as numbers: the negative of an unsigned one, and of the lowest, is no number to sort by."""
    scores = {"scores": np.array([[np.iinfo(kind).min, 1, np.iinfo(kind).max], [0, 3, 2]], kind)}
    assert top1(scores, np.array([2, 1])) == 1.0


@pytest.mark.parametrize("label", [-1, 6])
def test_labels_out_of_range_are_refused(label: int) -> None:
    """A label that is no class of the model is refused with its value and the range."""
    with pytest.raises(InputError, match=f"label {label}.*0 to 5"):
        top1(SCORES, np.array([0, label, 1]))


def test_outputs_without_classes_are_refused() -> None:
    """A model without one row of scores cannot be measured by top-1."""
    with pytest.raises(InputError, match="boxes"):
        top1({"boxes": np.zeros((3, 2, 4))}, np.zeros(3, int))


def test_labels_in_words_are_no_scores() -> None:
    """An output of strings beside the scores is not mistaken for them."""
    words = {"names": np.array([[b"cat", b"dog"]] * 3)}
    assert top1(SCORES | words, np.array([0, 5, 0])) == 1.0


def test_each_item_has_a_figure_of_its_own() -> None:
    """The metric is the mean of a figure for each item, by which two models can be compared item by item."""
    labels = np.array([0, 0, 5])
    assert TOP1.each is not None
    assert TOP1.each(Answers(SCORES), labels).tolist() == [1.0, 0.0, 0.0]
