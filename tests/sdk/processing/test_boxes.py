"""Boxes lie in the caller's picture, one for each object."""

import time

import numpy as np
import pytest

from edgekit.arrays import Array, Arrays
from edgekit.contract import Detect, Feature, Processing
from edgekit.errors import InputError
from edgekit.overlap import measure_overlap
from edgekit.processing.base import Fed, Scene
from edgekit.processing.boxes import MAX_CANDIDATES, prepare_boxes
from edgekit.tensors import TensorSpec

PICTURE = Feature(name="picture", kind="image", feeds="x")
SAME = Scene(size=(100, 80), model_size=(100, 80), scale=(1.0, 1.0), offset=(0.0, 0.0))
OTHER = [50.0, 50.0, 60.0, 60.0]


def read(corners: Array | list[list[float]], scores: Array | list[list[float]], scene: Scene | None = SAME, **options: object) -> Arrays:
    boxes, values = np.asarray(corners, np.float32).reshape(1, -1, 4), np.asarray(scores, np.float32)[None]
    contract = Processing(inputs=(PICTURE,), answer=Detect(boxes="b", scores="s", **options), labels=("cat", "dog")[: values.shape[2]])
    specs = [TensorSpec(name=name, dtype="float32", shape=("n", *array.shape[1:])) for name, array in (("b", boxes), ("s", values))]
    return prepare_boxes(contract.answer, contract, specs)({"b": boxes, "s": values}, Fed({}, scene))


def test_boxes_come_with_labels_and_the_highest_first() -> None:
    """An answer has float32 boxes and scores, int64 classes and labels as bytes, in the order of the scores."""
    answer = read([[0, 0, 10, 10], OTHER], [[0.3, 0.1], [0.2, 0.8]])
    assert answer["labels"].tolist() == [b"dog", b"cat"]
    assert answer["boxes"].tolist() == [OTHER, [0, 0, 10, 10]]
    assert {name: array.dtype.str for name, array in answer.items()} == {"labels": "|S3", "classes": "<i8", "scores": "<f4", "boxes": "<f4"}


@pytest.mark.parametrize(
    ("form", "numbers"),
    [("xyxy", [10, 20, 30, 60]), ("yxyx", [20, 10, 60, 30]), ("cxcywh", [20, 40, 20, 40]), ("xywh", [10, 20, 20, 40])],
)
@pytest.mark.parametrize("unit", ["pixels", "shares"])
def test_each_form_and_unit_is_the_same_box(form: str, numbers: list[float], unit: str) -> None:
    """Four numbers in whatever form, pixels or shares, are the same corners."""
    size = [80, 100, 80, 100] if form == "yxyx" else [100, 80, 100, 80]
    given = np.array(numbers) / (size if unit == "shares" else 1)
    np.testing.assert_allclose(read([given.tolist()], [[0.9]], form=form, unit=unit)["boxes"], [[10, 20, 30, 60]], rtol=1e-5)


def test_boxes_go_back_through_the_scene() -> None:
    """A box in a letterboxed picture lies where the object is in the caller's, cut off at its edges."""
    scene = Scene(size=(200, 100), model_size=(50, 50), scale=(0.25, 0.25), offset=(0.0, 12.5))
    assert read([[10, 15, 20, 60]], [[0.9]], scene)["boxes"].tolist() == [[40, 10, 80, 100]]


@pytest.mark.parametrize("box", [[0, 2, 40, 10], [-30, 20, -1, 30], [20, 20, 20, 40], [30, 30, 20, 20]])
def test_what_does_not_lie_in_the_picture_is_left_out(box: list[float]) -> None:
    """A box in the border of a letterbox, beyond an edge, without area or the wrong way round is no answer."""
    scene = Scene(size=(200, 100), model_size=(50, 50), scale=(0.25, 0.25), offset=(0.0, 12.5))
    assert len(read([box], [[0.9]], scene)["boxes"]) == 0


def test_only_what_reaches_the_threshold_is_answered() -> None:
    """A score exactly at the threshold is kept, and one below it is not."""
    answer = read([[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]], [[0.3], [0.2999], [0.31]], threshold=0.3)
    assert answer["boxes"][:, 0].tolist() == [40, 0]


def test_no_boxes_are_an_empty_answer() -> None:
    """A picture without objects has arrays of no rows, of the same dtypes and widths."""
    answer = read(np.zeros((3, 4)), np.zeros((3, 2)))
    assert {name: array.shape for name, array in answer.items()} == {"labels": (0,), "classes": (0,), "scores": (0,), "boxes": (0, 4)}
    assert len(read(np.zeros((0, 4)), np.zeros((0, 2)))["boxes"]) == 0


def test_of_overlapping_boxes_the_highest_stays() -> None:
    """Two boxes of one class on one object are one; of equal scores the first stays."""
    near = [[0, 0, 10, 10], [1, 0, 11, 10], [0, 1, 10, 11]]
    assert read(near, [[0.5], [0.9], [0.6]])["boxes"].tolist() == [near[1]]
    assert read(near, [[0.5], [0.5], [0.5]])["boxes"].tolist() == [near[0]]


@pytest.mark.parametrize(("iou", "count"), [(0.5, 2), (0.49, 1), (1.0, 2), (0.0, 1), (None, 2)])
def test_boxes_must_overlap_by_more_than_the_bound(iou: float | None, count: int) -> None:
    """Boxes that overlap by exactly the bound both stay, and all stay where there is none."""
    assert len(read([[0, 0, 10, 10], [0, 0, 10, 5]], [[0.9], [0.8]], iou=iou)["boxes"]) == count


def test_boxes_of_other_classes_stay() -> None:
    """The same box of two classes is two objects, wherever it lies: also left of and above the picture's corner."""
    for corner in (-5.0, 0.0, 70.0):
        same = [[corner, corner, corner + 10, corner + 10]] * 2
        assert read(same, [[0.9, 0.1], [0.1, 0.8]])["labels"].tolist() == [b"cat", b"dog"]


def test_classes_do_not_meet_where_boxes_begin_below_zero() -> None:
    """OpenCV moves each class away by the furthest coordinate, 30 here: moved so, the second box would lie on most of the first."""
    answer = read([[0, 0, 30, 30], [-25, -25, 5, 5]], [[0.9, 0.1], [0.1, 0.8]])
    assert answer["labels"].tolist() == [b"cat", b"dog"]


def test_what_has_no_class_is_no_answer() -> None:
    """A box whose class is NaN, or below zero once it is counted from where the contract says, is left out."""
    reading = Detect(boxes="b", scores="s", classes="c", layout="classified", first_class=-1)
    contract = Processing(inputs=(PICTURE,), answer=reading)
    answers = {"b": np.array([[OTHER, [0, 0, 9, 9], [20, 0, 29, 9]]]), "s": np.full((1, 3), 0.9), "c": np.array([[1.0, 0.0, np.nan]])}
    specs = [TensorSpec(name=name, dtype="float32", shape=("n", *array.shape[1:])) for name, array in answers.items()]
    assert prepare_boxes(reading, contract, specs)(answers, Fed({}, SAME))["boxes"].tolist() == [OTHER]


def suppress_by_hand(corners: Array, scores: Array, classes: Array, iou: float) -> list[int]:
    kept: list[int] = []
    for row in np.argsort(-scores, kind="stable"):
        rivals = [one for one in kept if classes[one] == classes[row]]
        if not (rivals and measure_overlap(corners[[row]], corners[rivals]).max() > iou):
            kept.append(int(row))
    return kept


def test_many_boxes_are_thinned_out_as_by_hand() -> None:
    """Of 400 random boxes of two classes those stay that a loop over all pairs keeps."""
    rng = np.random.default_rng(11)
    low = rng.uniform(0, 60, (400, 2))
    corners = np.hstack([low, low + rng.uniform(5, 20, (400, 2))]).astype(np.float32)
    scores = rng.uniform(0.3, 1, (400, 2)).astype(np.float32)
    answer = read(corners, scores, iou=0.4)
    kept = suppress_by_hand(corners, scores.max(axis=1), scores.argmax(axis=1), 0.4)
    np.testing.assert_allclose(answer["boxes"], corners[kept], rtol=1e-6)
    assert len(kept) < 300


def test_at_most_so_many_are_answered() -> None:
    """The most boxes that a contract allows are those with the highest scores."""
    corners = [[20.0 * column, 0.0, 20.0 * column + 9, 9.0] for column in range(5)]
    assert read(corners, [[0.5], [0.9], [0.7], [0.6], [0.8]], most=2)["boxes"][:, 0].tolist() == [20, 80]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_box_with_a_number_that_is_none_is_left_out(broken: float) -> None:
    """A coordinate or score that is NaN or infinite leaves its box out, and every other stays."""
    corners = np.array([[0, 0, 10, 10], OTHER, [20, 0, broken, 10]], np.float32)
    scores = np.array([[broken, 0.0], [0.9, 0.0], [0.9, 0.0]], np.float32)
    # A score of minus infinity is a low score like another: it is the class beside it that is the highest.
    assert read(corners, scores, threshold=0.1)["boxes"].tolist() == [OTHER]


@pytest.mark.filterwarnings("error")
def test_an_infinite_objectness_without_a_class_is_left_out() -> None:
    """Infinitely sure that there is something, and not at all of what it is: that is no number, and no box."""
    contract = Processing(inputs=(PICTURE,), answer=Detect(boxes="b", layout="yolo-objectness"))
    reader = prepare_boxes(contract.answer, contract, [TensorSpec(name="b", dtype="float32", shape=("n", 1, 6))])
    assert len(reader({"b": np.array([[[0, 0, 9, 9, np.inf, 0]]])}, Fed({}, SAME))["boxes"]) == 0


@pytest.mark.filterwarnings("error")
def test_coordinates_beyond_all_measure_harm_no_other_box() -> None:
    """A box that reaches to 1e38 covers the picture, and the boxes beside it stay as exact as they were."""
    answer = read([[-1e38, -1e38, 1e38, 1e38], [1, 1, 2, 2], OTHER], [[0.9, 0.1], [0.1, 0.8], [0.1, 0.7]])
    assert answer["boxes"].tolist() == [[0, 0, 100, 80], [1, 1, 2, 2], OTHER]


def test_more_boxes_than_can_be_compared_end_in_bounded_time() -> None:
    """Of a hundred thousand boxes that all are likely, the highest are held against each other, within seconds."""
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 16_000, (100_000, 2))
    wide = Scene(size=(16_384, 16_384), model_size=(16_384, 16_384), scale=(1.0, 1.0), offset=(0.0, 0.0))
    start_s = time.monotonic()
    answer = read(np.hstack([low, low + 1]), rng.uniform(0.5, 1, (100_000, 1)), wide, most=MAX_CANDIDATES)
    assert time.monotonic() - start_s < 30
    assert 0 < len(answer["boxes"]) <= MAX_CANDIDATES


@pytest.mark.parametrize(
    ("inputs", "message"), [((), "no input of the contract is one"), ((PICTURE, Feature(name="q", kind="image")), "there are 2")]
)
def test_there_must_be_one_picture(inputs: tuple[Feature, ...], message: str) -> None:
    """Boxes lie in the one picture that callers give."""
    contract = Processing(inputs=inputs, answer=Detect(boxes="b", layout="yolo"))
    with pytest.raises(InputError, match=message):
        prepare_boxes(contract.answer, contract, [TensorSpec(name="b", dtype="float32", shape=("n", 6, 9))])


def test_several_samples_are_refused() -> None:
    """An answer to two samples is none to one picture."""
    contract = Processing(inputs=(PICTURE,), answer=Detect(boxes="b", layout="yolo"))
    reader = prepare_boxes(contract.answer, contract, [TensorSpec(name="b", dtype="float32", shape=("n", 6, 9))])
    with pytest.raises(InputError, match="answers 2 samples"):
        reader({"b": np.zeros((2, 6, 9))}, Fed({}, SAME))
