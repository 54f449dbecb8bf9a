"""Intersection over union of masks."""

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from edgekit.errors import InputError
from edgekit.metrics.base import Answers
from edgekit.metrics.masks import IOU, measure_items

RNG = np.random.default_rng(0)
TRUTHS = [RNG.integers(0, 4, (6, 8)).astype(np.uint8) for _ in range(5)]
MASKS = [np.where(RNG.random(truth.shape) < 0.6, truth, RNG.integers(0, 5, truth.shape)).astype(np.int32) for truth in TRUTHS]


def read(masks: list[np.ndarray]) -> Answers:
    return Answers(None, [{"mask": mask} for mask in masks])


def _by_hand(truths: list[np.ndarray], masks: list[np.ndarray]) -> float:
    true, found = (np.concatenate([array.ravel() for array in arrays]).astype(int) for arrays in (truths, masks))
    return float(jaccard_score(true, found, average="macro", zero_division=0))


def test_it_is_the_mean_over_classes_of_all_pixels() -> None:
    """It is scikit-learn's Jaccard score of all pixels together, with a class that is only ever answered among its classes."""
    assert IOU.measure(read(MASKS), TRUTHS) == pytest.approx(_by_hand(TRUTHS, MASKS))


def test_items_drawn_again_are_counted_anew() -> None:
    """The figure of some items, some of them twice, is that of their own pixels."""
    rows = np.array([4, 0, 4])
    wanted = _by_hand([TRUTHS[row] for row in rows], [MASKS[row] for row in rows])
    assert IOU.prepare_figure(read(MASKS), TRUTHS)(rows) == pytest.approx(wanted)


def test_each_item_is_judged_by_its_own_pixels() -> None:
    """Pictures of which two models make something else are told by a figure of their own."""
    assert measure_items(read(MASKS), TRUTHS).tolist() == pytest.approx([_by_hand([t], [m]) for t, m in zip(TRUTHS, MASKS, strict=True)])


def test_void_counts_for_nothing_and_what_was_not_seen_is_missed() -> None:
    """Pixels of 255 and below 0 are nobody's, and those that a crop cut away are a miss: 2 of 3 of class 1, and all of class 0."""
    truth = np.array([[0, 0, 255, -1], [1, 1, 1, 255]], np.int16)
    mask = np.array([[0, 0, 1, 1], [1, 1, -1, 0]], np.int32)
    assert IOU.measure(read([mask]), [truth]) == pytest.approx((1 + 2 / 3) / 2)


def test_a_picture_of_void_alone_is_judged_right() -> None:
    """Nothing can be wrong in it; alone it leaves the metric without a value."""
    void = np.full((2, 2), 255, np.uint8)
    assert measure_items(read([np.zeros((2, 2), np.int32)] * 2), [void, np.zeros((2, 2), np.uint8)]).tolist() == [1.0, 1.0]
    with pytest.raises(InputError, match="iou without a value"):
        IOU.measure(read([np.zeros((2, 2), np.int32)]), [void])


@pytest.mark.parametrize(
    ("truth", "problem"),
    [
        (np.zeros((3, 2), np.uint8), "2x3"),
        (np.full((2, 2), 1 << 30), "class 1073741824"),
        (np.zeros((2, 2)), "no masks"),
        (1, "no masks"),
    ],
    ids=["another size", "a huge number", "figures", "a class"],
)
def test_truths_that_are_no_masks_are_refused(truth: object, problem: str) -> None:
    """A mask of another size, a number that would take gigabytes to count, and what is no mask are named."""
    with pytest.raises(InputError, match=problem):
        IOU.measure(read([np.zeros((2, 2), np.int32)]), [truth])


def test_answers_without_masks_are_refused() -> None:
    """Scores for each pixel are no mask of the caller's picture before a contract reads them."""
    with pytest.raises(InputError, match=r"no mask.*--task segment"):
        IOU.measure(Answers({"y": np.zeros((1, 4, 2, 2))}), [np.zeros((2, 2), int)])
