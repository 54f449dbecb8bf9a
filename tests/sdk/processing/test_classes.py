"""The highest classes with their labels."""

import numpy as np
import pytest

from edgekit.arrays import Arrays
from edgekit.contract import Classify, Processing
from edgekit.errors import InputError
from edgekit.processing.base import Fed
from edgekit.processing.classes import prepare_classes
from edgekit.tensors import Quantization, TensorSpec

FED = Fed({})
LABELS = ("cat", "dog", "owl", "cow")


def read(scores: list[list[float]] | np.ndarray, labels: tuple[str, ...] = LABELS, spec: TensorSpec | None = None, **options: object) -> Arrays:
    values = np.asarray(scores)
    spec = spec or TensorSpec(name="y", dtype="float32", shape=("n", *values.shape[1:]))
    reading = Classify(output="y", **options)
    return prepare_classes(reading, Processing(answer=reading, labels=labels), [spec])({"y": values}, FED)


def test_the_highest_come_first() -> None:
    """The top classes are given with labels as bytes, numbers as int64 and scores as float32, the highest first."""
    answer = read([[0.1, 0.7, 0.0, 0.2]], top=3)
    assert answer["labels"].tolist() == [b"dog", b"cow", b"cat"]
    assert answer["classes"].tolist() == [1, 3, 0]
    np.testing.assert_allclose(answer["scores"], [0.7, 0.2, 0.1])
    assert (answer["classes"].dtype, answer["scores"].dtype) == (np.int64, np.float32)


def test_of_equal_scores_the_lower_class_goes_first() -> None:
    """Ties are decided the same way on every machine."""
    assert read([[1.0, 2.0, 2.0, 1.0]])["classes"].tolist() == [1, 2, 0, 3]
    # A sort that is not stable still keeps the order of a few.
    assert read([[0.5, 0.25] * 200], labels=(), top=200)["classes"].tolist() == list(range(0, 400, 2))


def test_only_what_reaches_the_threshold_is_answered() -> None:
    """A score exactly at the threshold is answered, one below it is not, and there may be no answer at all."""
    assert read([[0.7, 0.3, 0.29, 0.0]], threshold=0.3)["classes"].tolist() == [0, 1]
    nothing = read([[0.1, 0.2, 0.3, 0.4]], threshold=0.9)
    assert [len(array) for array in nothing.values()] == [0, 0, 0]


@pytest.mark.parametrize(("activation", "scores"), [("softmax", [0.8, 0.2]), ("sigmoid", [0.8, 0.5]), ("none", [np.log(4), 0.0])])
def test_scores_go_through_the_activation(activation: str, scores: list[float]) -> None:
    """Shares are taken over all classes before the top ones are chosen."""
    answer = read([[0.0, np.log(4)]], labels=(), activation=activation, top=2)
    np.testing.assert_allclose(answer["scores"], scores, rtol=1e-6)
    assert answer["labels"].tolist() == [b"1", b"0"]


def test_windows_of_one_item_are_averaged() -> None:
    """An item of three samples has the mean of their shares, not the share of their mean scores."""
    answer = read([[9.0, 0.0], [9.0, 0.0], [0.0, 1000.0]], labels=(), activation="softmax")
    assert answer["classes"].tolist() == [0, 1]
    np.testing.assert_allclose(answer["scores"], [2 / 3, 1 / 3], atol=1e-4)


@pytest.mark.parametrize("activation", ["none", "softmax", "sigmoid"])
def test_a_score_that_is_no_number_is_no_answer(activation: str) -> None:
    """A class whose score is NaN is left out, and the others stay; where all are NaN there is no answer."""
    assert read([[np.nan, 2.0, 1.0, np.nan]], activation=activation)["classes"].tolist() == [1, 2]
    assert len(read([[np.nan] * 4], activation=activation)["classes"]) == 0


@pytest.mark.filterwarnings("error")
def test_infinities_that_cancel_are_no_answer() -> None:
    """A class that is infinitely likely in one window and infinitely unlikely in another is left out."""
    assert read([[np.inf, 1.0], [-np.inf, 1.0]], labels=())["classes"].tolist() == [1]


def test_axes_of_one_around_the_row_are_no_matter() -> None:
    """Scores of shape (n, classes, 1, 1), as a convolution gives them, are a row."""
    assert read(np.array([[0.0, 3.0, 1.0, 2.0]]).reshape(1, 4, 1, 1), top=1)["labels"].tolist() == [b"dog"]


def test_quantised_scores_are_read_as_shares() -> None:
    """A source with int8 at its border answers in shares."""
    spec = TensorSpec(name="y", dtype="int8", shape=("n", 2), quantization=Quantization(scale=(1 / 256,), zero_point=(-128,)))
    answer = read(np.array([[-128, 64]], np.int8), labels=("no", "yes"), spec=spec)
    assert answer["labels"].tolist() == [b"yes", b"no"]
    np.testing.assert_allclose(answer["scores"], [0.75, 0.0])


@pytest.mark.parametrize(("labels", "shape", "subject"), [(("a",), ("n", 4), "labels"), ((), ("n", 4, 2), "answer.output")])
def test_outputs_that_are_no_row_of_the_labels_are_refused(labels: tuple[str, ...], shape: tuple[int | str, ...], subject: str) -> None:
    """A map of scores, or labels of another number, is refused before anything is read."""
    reading = Classify(output="y")
    with pytest.raises(InputError, match=f"^{subject}"):
        prepare_classes(reading, Processing(answer=reading, labels=labels), [TensorSpec(name="y", dtype="float32", shape=shape)])
