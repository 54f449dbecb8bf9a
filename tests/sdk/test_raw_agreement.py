"""How far two answers agree, for each thing that a contract reads."""

import numpy as np
import pytest

from edgekit.raw_agreement import measure_agreement


def boxes(*corners: tuple[float, ...], classes: list[int]) -> dict[str, np.ndarray]:
    """A detector's answer."""
    found = np.array(corners, np.float32).reshape(-1, 4)
    return {"labels": np.array([str(one).encode() for one in classes]), "classes": np.array(classes), "scores": np.ones(len(found)), "boxes": found}


BOX, FAR = (0, 0, 10, 10), (50, 50, 60, 60)


@pytest.mark.parametrize(
    ("expected", "actual", "share"),
    [
        ({"labels": np.array([b"cat", b"dog"])}, {"labels": np.array([b"cat", b"owl"])}, 1.0),
        ({"labels": np.array([b"cat"])}, {"labels": np.array([b"dog"])}, 0.0),
        ({"labels": np.array([], "S1")}, {"labels": np.array([], "S1")}, 1.0),
        ({"labels": np.array([b"cat"])}, {}, 0.0),
        (boxes(BOX, FAR, classes=[0, 1]), boxes(BOX, FAR, classes=[0, 1]), 1.0),
        (boxes(BOX, FAR, classes=[0, 1]), boxes(BOX, FAR, classes=[0, 2]), 0.5),
        (boxes(classes=[]), boxes(classes=[]), 1.0),
        ({"mask": np.array([[0, 1], [2, 3]])}, {"mask": np.array([[0, 1], [2, 0]])}, 0.75),
        ({"mask": np.zeros((2, 2))}, {"mask": np.zeros((2, 3))}, 0.0),
        ({"embedding": np.array([1.0, 0.0])}, {"embedding": np.array([2.0, 0.0])}, 1.0),
        ({"embedding": np.array([1.0, 0.0])}, {"embedding": np.array([-1.0, 0.0])}, 0.0),
        ({"embedding": np.zeros(2)}, {"embedding": np.zeros(2)}, 0.0),
        ({"score": np.array([2.0]), "is_anomaly": np.array([True])}, {"score": np.array([1.0]), "is_anomaly": np.array([False])}, 0.5),
        ({"score": np.array([0.0])}, {"score": np.array([0.0])}, 1.0),
        ({"score": np.array([1.0])}, {"score": np.array([np.nan])}, 0.0),
        ({"text": np.array([b"yes"])}, {"text": np.array([b"yes"])}, 1.0),
        ({"text": np.array([b"yes"])}, {"text": np.array([b"no"])}, 0.0),
        ({"y": np.array([[0.0, 10.0]]), "z": np.array([[1.0]])}, {"y": np.array([[1.0, 10.0]]), "z": np.array([[1.0]])}, 0.95),
        ({"y": np.array([[0.0, 10.0]])}, {"y": np.array([[0.0]])}, 0.0),
        ({"y": np.array([[b"a", b"b"]])}, {"y": np.array([[b"a", b"c"]])}, 0.5),
        ({"y": np.array([[np.inf, 1.0, 0.0]])}, {"y": np.array([[np.nan, 1.0, 0.0]])}, 0.0),
    ],
)
def test_answers_agree_by_what_they_say(expected: dict[str, np.ndarray], actual: dict[str, np.ndarray], share: float) -> None:
    """The share is that of what a task is about: classes, boxes, pixels, direction, size, words, values."""
    with np.errstate(invalid="ignore"):
        assert measure_agreement(expected, actual) == pytest.approx(share)


@pytest.mark.parametrize(
    "recorded",
    [
        {"boxes": np.zeros((2, 4))},
        {"boxes": np.zeros((2, 3)), "classes": np.zeros(2), "scores": np.zeros(2)},
        {"boxes": np.zeros((2, 4)), "classes": np.zeros(1), "scores": np.zeros(2)},
        {"boxes": np.full((2, 4), b"box"), "classes": np.zeros(2), "scores": np.zeros(2)},
        {"score": np.zeros(0)},
        {"score": np.array([b"high"])},
        {"mask": np.full((2, 2), b"cat")},
        {"embedding": np.array([b"here", b"there"])},
        {"labels": np.zeros((0, 3))},
        {"y": np.array([[b"a", b"b"]])},
    ],
)
def test_recorded_answers_that_are_none_agree_with_nothing(recorded: dict[str, np.ndarray]) -> None:
    """What a stranger recorded in another form than a contract answers is no crash, and no agreement."""
    answer = boxes(BOX, FAR, classes=[0, 1]) | {"score": np.zeros(1), "mask": np.zeros((2, 2)), "embedding": np.ones(2), "y": np.zeros((1, 2))}
    assert measure_agreement(recorded, answer) == 0.0
