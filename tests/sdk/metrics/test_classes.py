"""The measures of classes."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from edgekit.errors import InputError
from edgekit.metrics.base import Answers
from edgekit.metrics.classes import F1, TOP1, TOP5

SCORES = {"logits": np.array([[3.0, 1, 2, 0, -1, -2], [0, 1, 2, 3, 4, 5], [9, 8, 7, 6, 5, 4]])}


def top1(outputs, labels):
    return TOP1.measure(Answers(outputs), labels)


def top5(outputs, labels):
    return TOP5.measure(Answers(outputs), labels)


def read(*classes: list[int]) -> list[dict[str, np.ndarray]]:
    """Readings of those classes, the likeliest first."""
    return [{"classes": np.array(found, np.int64), "scores": np.linspace(1, 0.5, len(found))} for found in classes]


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


@pytest.mark.parametrize("labels", [["a", "b", "c"], [0.5, 1.0, 2.0], [None, 0, 1], [np.zeros(2), np.zeros(3), 1]])
def test_labels_that_are_no_classes_are_refused(labels: list[object]) -> None:
    """Texts, figures, what is unknown and arrays are no classes."""
    with pytest.raises(InputError, match="no numbers of classes"):
        top1(SCORES, labels)


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


def test_classes_are_those_that_the_contract_reads() -> None:
    """Where items gave several samples each, what the contract read of them is all that there is."""
    answers = Answers(None, read([2, 0], [1, 2], [0, 1]))
    assert TOP1.measure(answers, [2, 2, 0]) == pytest.approx(2 / 3)


def test_what_a_contract_leaves_out_is_found_in_the_outputs() -> None:
    """A threshold that lets fewer classes through than a metric looks at makes no other figure where the scores are there."""
    answers = Answers(SCORES, read([0], [], [0]))
    assert TOP1.measure(answers, [0, 5, 0]) == 1.0
    assert TOP5.measure(answers, [4, 1, 4]) == 1.0


def test_an_item_without_an_answer_is_wrong() -> None:
    """Below the threshold there is no class, and without scores no answer is right."""
    assert TOP1.measure(Answers(None, read([0], [], [])), [0, 0, 0]) == pytest.approx(1 / 3)


def test_a_contract_that_reads_too_few_classes_is_named() -> None:
    """The five highest cannot be told from the highest one."""
    with pytest.raises(InputError, match=r"looks at 5.*reads 1.*higher top"):
        TOP5.measure(Answers(None, read([0], [1], [2])), [0, 1, 2])


def test_three_of_three_classes_are_enough_for_top5() -> None:
    """Where a model has fewer than five classes, all of them are the five highest."""
    answers = Answers(None, read([0, 1, 2], [2, 1, 0]), ("a", "b", "c"))
    assert TOP5.measure(answers, [2, 0]) == 1.0


def test_boxes_are_no_classes_of_a_picture() -> None:
    """The classes of boxes do not say what a whole picture is."""
    reading = {"classes": np.array([0]), "scores": np.ones(1), "boxes": np.zeros((1, 4))}
    with pytest.raises(InputError, match="one output with a score for each class"):
        TOP1.measure(Answers(None, [reading]), [0])


def test_f1_is_the_mean_over_classes() -> None:
    """F1 weighs rare classes as much as frequent ones, unlike top-1."""
    rng = np.random.default_rng(0)
    truth, found = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    answers = Answers({"scores": np.eye(4, dtype=np.float32)[found]})
    assert F1.measure(answers, truth) == pytest.approx(f1_score(truth, found, average="macro"))
    rows = rng.integers(0, 200, 200)
    assert F1.prepare_figure(answers, truth)(rows) == pytest.approx(f1_score(truth[rows], found[rows], average="macro"))


def test_no_answer_is_no_class_of_f1() -> None:
    """An item without an answer is missed by its own class, and is no class of its own: by hand (2/3 + 1) / 2."""
    answers = Answers(None, read([0], [], [1]))
    assert F1.measure(answers, [0, 0, 1]) == pytest.approx((2 / 3 + 1) / 2)
