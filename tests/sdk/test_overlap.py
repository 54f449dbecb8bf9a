"""Overlap is COCO's own, and boxes are matched one to one."""

import numpy as np
import pytest
from pycocotools import mask as coco

from edgekit.arrays import Array
from edgekit.overlap import BoxSet, match_boxes, measure_overlap, share_matched

ONE = [0, 0, 10, 10]


def boxes(corners: list[list[float]], classes: list[int] | None = None, scores: list[float] | None = None) -> BoxSet:
    count = len(corners)
    return BoxSet(
        np.array(corners, np.float32).reshape(-1, 4), np.array(classes or [0] * count, np.int64), np.array(scores or [0.9] * count, np.float32)
    )


def draw(rng: np.random.Generator, count: int) -> Array:
    low = rng.uniform(0, 80, (count, 2))
    return np.hstack([low, low + rng.uniform(0.5, 60, (count, 2))])


def test_overlap_is_that_of_pycocotools() -> None:
    """The overlaps of random boxes are those that COCO's own tool finds."""
    rng = np.random.default_rng(5)
    first, second = draw(rng, 40), draw(rng, 30)
    expected = coco.iou(*(np.hstack([one[:, :2], one[:, 2:] - one[:, :2]]) for one in (first, second)), np.zeros(30))
    np.testing.assert_allclose(measure_overlap(first, second), expected, atol=1e-12)


def test_boxes_without_area_overlap_with_nothing() -> None:
    """A point, a line and a box with its corners the wrong way round overlap neither with others nor with themselves."""
    odd = np.array([[5, 5, 5, 5], [0, 5, 10, 5], [8, 8, 2, 2]])
    assert not measure_overlap(odd, np.vstack([odd, [ONE]])).any()


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (0, 3), (3, 0)])
def test_no_boxes_have_an_empty_overlap(rows: int, columns: int) -> None:
    """Where one side has no boxes, the overlap has no entries and nothing is matched."""
    first, second = boxes([[0, 0, 1, 1]] * rows), boxes([[0, 0, 1, 1]] * columns)
    assert measure_overlap(first.corners, second.corners).shape == (rows, columns)
    assert match_boxes(first, second).shape == (0, 2)


def test_the_highest_score_takes_the_best_box() -> None:
    """Of two boxes on one object the one with the higher score gets it, though it overlaps less."""
    wanted = boxes([ONE])
    found = boxes([ONE, [0, 0, 10, 8]], scores=[0.5, 0.6])
    assert match_boxes(wanted, found).tolist() == [[0, 1]]


def test_each_box_is_matched_once() -> None:
    """Three boxes on two objects that lie close give two pairs, each with the object that it overlaps with most."""
    wanted = boxes([ONE, [2, 0, 12, 10]])
    found = boxes([[2, 0, 12, 10], [1, 0, 11, 10], [0, 0, 10, 10]], scores=[0.9, 0.8, 0.7])
    assert match_boxes(wanted, found).tolist() == [[1, 0], [0, 1]]


def test_other_classes_are_never_matched() -> None:
    """The same box of another class is no match."""
    assert len(match_boxes(boxes([ONE], [1]), boxes([ONE], [2]))) == 0


@pytest.mark.parametrize(("height", "matched"), [(5, 1), (4.99, 0)])
def test_an_overlap_by_half_is_enough(height: float, matched: int) -> None:
    """A box that overlaps by exactly half is matched, and one that overlaps by less is not."""
    assert len(match_boxes(boxes([ONE]), boxes([[0, 0, 10, height]]))) == matched


def test_boxes_that_do_not_touch_are_no_match_under_any_bound() -> None:
    """With a bound of 0 boxes apart from each other still have no match."""
    assert len(match_boxes(boxes([ONE]), boxes([[20, 20, 30, 30]]), iou=0.0)) == 0


def test_missing_and_extra_boxes_count_alike() -> None:
    """Of two boxes and one that is the same as one of them, two of three are matched, whichever side has more."""
    two, one = boxes([ONE, [20, 20, 30, 30]]), boxes([ONE])
    assert share_matched([(two, one)]) == share_matched([(one, two)]) == pytest.approx(2 / 3)


def test_the_share_is_over_all_boxes() -> None:
    """A picture with many boxes counts for more than one with a single box."""
    many = boxes([[20 * index, 0, 20 * index + 10, 10] for index in range(9)])
    assert share_matched([(many, many), (boxes([ONE]), boxes([[50, 50, 60, 60]]))]) == pytest.approx(0.9)


def test_no_boxes_at_all_are_unknown() -> None:
    """Where neither side has a box, nothing was compared; where one side has, none of them is matched."""
    assert share_matched([(boxes([]), boxes([]))]) is None
    assert share_matched([(boxes([]), boxes([ONE]))]) == 0.0
