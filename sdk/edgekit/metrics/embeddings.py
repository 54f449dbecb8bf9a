"""How near vectors are to those that they should be."""

import numpy as np

from edgekit.arrays import Array
from edgekit.errors import InputError
from edgekit.metrics.base import Answers, Truths, make_mean, refuse_answers


def measure_cosines(answers: Answers, truths: Truths) -> Array:
    """For each item the cosine of the angle between its vector and the true one: 1 where they point the same way, -1 at most apart.

    A vector of zeros points nowhere, and has 0; one that holds NaN or infinity is no vector, and has -1.
    """
    found, true = find_vectors(answers), _check_vectors(truths)
    if found.shape != true.shape:
        problem = f"they are vectors of {true.shape[1]} numbers, and the model gives {found.shape[1]}"
        raise InputError("labels", problem, "Give those that the source model gives.")
    found, true = _normalise(found), _normalise(true)
    # A vector of finite numbers that are too large for their sum of squares is no vector either.
    cosines: Array = np.nan_to_num(np.clip((found * true).sum(axis=1), -1.0, 1.0), nan=-1.0)
    return cosines


def find_vectors(answers: Answers) -> Array:
    """The vector of each item: (items, size), float64; by the contract, or the one output that has them."""
    read = answers.list_read("embedding")
    if read is not None:
        return np.stack(read).astype(np.float64)
    rows = [array for array in (answers.outputs or {}).values() if array.ndim == 2 and array.dtype.kind == "f"]
    if len(rows) != 1:
        raise refuse_answers("cosine", "vector", "Let the contract read one: edgekit convert --task embed")
    return rows[0].astype(np.float64)


def _check_vectors(truths: Truths) -> Array:
    vectors = [truth for truth in truths if isinstance(truth, np.ndarray) and truth.ndim == 1 and truth.dtype.kind in "fiu"]
    if len(vectors) != len(truths) or len({len(vector) for vector in vectors}) > 1:
        problem = "they are no vectors of one size, which this metric is about"
        raise InputError("labels", problem, "Give the source model's own vectors, as an array labels (n, size) in an .npz, or another --metric.")
    return np.stack(vectors).astype(np.float64)


def _normalise(vectors: Array) -> Array:
    with np.errstate(invalid="ignore", over="ignore"):
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(lengths == 0, 1.0, lengths)


COSINE = make_mean("cosine", measure_cosines, recall=lambda answers: list(find_vectors(answers)))
