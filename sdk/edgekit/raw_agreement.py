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
    wanted, found = _to_boxes(expected), _to_boxes(actual)
    if wanted is None or found is None:
        return 0.0
    matched = share_matched([(wanted, found)])
    return 1.0 if matched is None else matched


def _to_boxes(answer: Mapping[str, Array]) -> BoxSet | None:
    """The boxes of *answer*; None where they are none, since a recorded answer may come from anybody."""
    parts = [answer.get(name, np.empty(0, "S1")) for name in ("boxes", "classes", "scores")]
    count = len(parts[0]) if parts[0].ndim == 2 else 0
    if [part.shape for part in parts] != [(count, 4), (count,), (count,)] or not all(_is_numeric(part) for part in parts):
        return None
    return BoxSet(*parts)


def _is_numeric(array: Array) -> bool:
    return array.dtype.kind in "biuf"


def _compare_labels(expected: Mapping[str, Array], actual: Mapping[str, Array]) -> float:
    wanted, found = to_plain(expected["labels"][:1]).tolist(), to_plain(actual["labels"][:1]).tolist()
    return float(wanted == found)


def _compare_masks(expected: Mapping[str, Array], actual: Mapping[str, Array]) -> float:
    wanted, found = expected["mask"], actual["mask"]
    if wanted.shape != found.shape or not _is_numeric(wanted):
        return 0.0
    return float((wanted == found).mean()) if wanted.size else 1.0


def _compare_vectors(expected: Mapping[str, Array], actual: Mapping[str, Array]) -> float:
    if expected["embedding"].shape != actual["embedding"].shape or not _is_numeric(expected["embedding"]):
        return 0.0
    wanted, found = (answer["embedding"].astype(np.float64).ravel() for answer in (expected, actual))
    length = float(np.linalg.norm(wanted) * np.linalg.norm(found))
    return _clip(float(wanted @ found) / length) if length else 0.0


def _compare_scores(expected: Mapping[str, Array], actual: Mapping[str, Array]) -> float:
    if any(answer["score"].shape != (1,) or not _is_numeric(answer["score"]) for answer in (expected, actual)):
        return 0.0
    wanted, found = float(expected["score"][0]), float(actual["score"][0])
    larger = max(abs(wanted), abs(found))
    return _clip(1 - abs(wanted - found) / larger) if larger else 1.0


def _compare_texts(expected: Mapping[str, Array], actual: Mapping[str, Array]) -> float:
    return float(to_plain(expected["text"]).tolist() == to_plain(actual["text"]).tolist())


def _compare_tensors(expected: Array, actual: Array | None) -> float:
    if actual is None or actual.shape != expected.shape or is_text(actual) != is_text(expected):
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
