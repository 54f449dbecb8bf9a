"""How near vectors are."""

import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.metrics.base import Answers
from edgekit.metrics.embeddings import COSINE

VECTORS = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, -2.0], [3.0, 4.0]], np.float32)
TRUE = [np.array(vector, np.float32) for vector in ([2.0, 0.0], [1.0, 0.0], [0.0, 1.0], [4.0, -3.0])]


@pytest.mark.parametrize(
    "answers", [Answers({"y": VECTORS}), Answers(None, [{"embedding": vector} for vector in VECTORS])], ids=["output", "reading"]
)
def test_it_is_the_mean_cosine(answers: Answers) -> None:
    """The same way is 1, at right angles 0, and the other way -1, whatever the lengths."""
    assert COSINE.each is not None
    assert COSINE.each(answers, TRUE).tolist() == pytest.approx([1.0, 0.5**0.5, -1.0, 0.0])
    assert COSINE.measure(answers, TRUE) == pytest.approx((0.5**0.5) / 4)


def test_what_is_no_vector_is_never_near() -> None:
    """Zeros point nowhere, and NaN and what is infinite are no point at all: none of them gains by that."""
    found = np.array([[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0], [1e300, 1e300]])
    assert COSINE.each is not None
    assert COSINE.each(Answers({"y": found}), [np.ones(2)] * 4).tolist()[:3] == [0.0, -1.0, -1.0]


def test_the_source_is_what_is_true_where_data_do_not_say_it() -> None:
    """Data with classes, or none, are held against the source model's own vectors."""
    assert COSINE.recall is not None
    assert not COSINE.needs_source(TRUE)
    assert COSINE.needs_source([0, 1, 2, 3])
    assert COSINE.needs_source([None, *TRUE[1:]])
    answers = Answers({"y": VECTORS})
    assert COSINE.measure(answers, COSINE.recall(answers)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("truths", "problem"),
    [([np.ones(3)] * 4, "of 3 numbers, and the model gives 2"), ([0, 1, 2, 3], "no vectors"), ([np.ones(2), *TRUE[:2], np.ones(3)], "no vectors")],
)
def test_truths_that_are_no_such_vectors_are_refused(truths: list[object], problem: str) -> None:
    """Vectors of another size, or of several, cannot be held against the answers."""
    with pytest.raises(InputError, match=problem):
        COSINE.measure(Answers({"y": VECTORS}), truths)


def test_answers_without_one_vector_are_refused() -> None:
    """Of two outputs nobody knows which is meant before a contract says it."""
    with pytest.raises(InputError, match=r"no vector.*--task embed"):
        COSINE.measure(Answers({"a": VECTORS, "b": VECTORS}), TRUE)
