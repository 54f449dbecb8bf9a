"""How far two answers in the caller's words are the same, as a share from 0 to 1, whatever the task."""

from collections.abc import Mapping

import numpy as np

from edgekit.arrays import Array, is_text, to_plain
from edgekit.overlap import BoxSet, share_matched
from edgekit.parity import find_range


def measure_agreement(expected: Mapping[str, Array], actual: Mapping[str, Array]) -> float:
    """The share to which *actual* is *expected*, two answers of one contract to one item (edgekit.processing.base.Pipeline.read).

    Boxes: those that have their match in the other answer. Classes: 1 where the first one is the same. A mask: its pixels that
    are equal. An embedding: the cosine, 0 where it is negative. An anomaly's score: 1 less the difference as a share of the
    larger. A text: 1 where it is equal. Plain tensors: 1 less the mean deviation as a share of the range, of the output that
    agrees least. Answers of different shapes agree on nothing.
    """
    for name, measure in _MEASURES.items():
        if name in expected:
            return measure(expected, actual) if name in actual else 0.0
    return min((_compare_tensors(array, actual.get(name)) for name, array in expected.items()), default=1.0)


def _compare_boxes(expected: Mapping[str, Array], actual: Mapping[str, Array]) -> float:
    matched = share_matched([(_to_boxes(expected), _to_boxes(actual))])
    return 1.0 if matched is None else matched


def _to_boxes(answer: Mapping[str, Array]) -> BoxSet:
    return BoxSet(answer["boxes"], answer["classes"], answer["scores"])


def _compare_labels(expected: Mapping[str, Array], actual: Mapping[str, Array]) -> float:
    wanted, found = to_plain(expected["labels"][:1]).tolist(), to_plain(actual["labels"][:1]).tolist()
    return float(wanted == found)


def _compare_masks(expected: Mapping[str, Array], actual: Mapping[str, Array]) -> float:
    wanted, found = expected["mask"], actual["mask"]
    return float((wanted == found).mean()) if wanted.shape == found.shape and wanted.size else float(wanted.shape == found.shape)


def _compare_vectors(expected: Mapping[str, Array], actual: Mapping[str, Array]) -> float:
    wanted, found = (answer["embedding"].astype(np.float64).ravel() for answer in (expected, actual))
    length = float(np.linalg.norm(wanted) * np.linalg.norm(found)) if wanted.shape == found.shape else 0.0
    return _clip(float(wanted @ found) / length) if length else 0.0


def _compare_scores(expected: Mapping[str, Array], actual: Mapping[str, Array]) -> float:
    wanted, found = float(expected["score"][0]), float(actual["score"][0])
    larger = max(abs(wanted), abs(found))
    return _clip(1 - abs(wanted - found) / larger) if larger else 1.0


def _compare_texts(expected: Mapping[str, Array], actual: Mapping[str, Array]) -> float:
    return float(to_plain(expected["text"]).tolist() == to_plain(actual["text"]).tolist())


def _compare_tensors(expected: Array, actual: Array | None) -> float:
    if actual is None or actual.shape != expected.shape:
        return 0.0
    if is_text(expected):
        return float((to_plain(expected) == to_plain(actual)).mean()) if expected.size else 1.0
    difference = np.abs(expected.astype(np.float64) - actual.astype(np.float64)).mean() if expected.size else 0.0
    reach = find_range(expected)
    return _clip(1 - float(difference) / reach) if reach else float(difference == 0.0)


def _clip(share: float) -> float:
    """*share*, between 0 and 1; 0 where it is no number."""
    return min(1.0, max(0.0, share)) if np.isfinite(share) else 0.0


# The first that an answer has says what it is: boxes have labels too.
_MEASURES = {
    "boxes": _compare_boxes,
    "labels": _compare_labels,
    "mask": _compare_masks,
    "embedding": _compare_vectors,
    "score": _compare_scores,
    "text": _compare_texts,
}
