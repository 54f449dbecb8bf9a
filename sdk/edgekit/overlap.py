"""How much boxes overlap, and which of two sets of boxes are the same objects."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edgekit.arrays import Array

#: Boxes overlap by half at least where they are said to be of the same object (PASCAL VOC, Everingham et al. 2010, section 4.2).
SAME_OBJECT = 0.5


@dataclass(frozen=True)
class BoxSet:
    """Boxes in one picture: *corners* (n, 4) as x and y of two corners, the number of each one's class (n), and its score (n)."""

    corners: Array
    classes: Array
    scores: Array

    @property
    def n(self) -> int:
        """The number of boxes."""
        return len(self.corners)

    def take(self, rows: Array | slice) -> "BoxSet":
        """Those of *rows*: numbers in the order wanted, a bool for each, or a slice."""
        return BoxSet(self.corners[rows], self.classes[rows], self.scores[rows])


def measure_overlap(first: Array, second: Array) -> Array:
    """The intersection of each of *first* (n, 4) with each of *second* (m, 4), over their union: (n, m), float64 from 0 to 1.

    Boxes are x and y of two corners. One without area overlaps with nothing.
    """
    first, second = first.astype(np.float64), second.astype(np.float64)
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0.0), axis=2)
    union = measure_area(first)[:, None] + measure_area(second)[None, :] - shared
    shares: Array = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return shares


def measure_area(corners: Array) -> Array:
    """The area of each of *corners* (n, 4): (n); 0 where the second corner does not lie right of and below the first."""
    area: Array = np.prod(np.maximum(corners[:, 2:] - corners[:, :2], 0.0), axis=1)
    return area


def match_boxes(wanted: BoxSet, found: BoxSet, iou: float = SAME_OBJECT) -> Array:
    """Which of *found* are which of *wanted*: (pairs, 2), the row in *wanted* and the row in *found*.

    The highest score goes first. Each takes, of the boxes of its class that no other has and that it overlaps with by *iou* or
    more, the one that it overlaps with most.
    """
    overlap = np.where(wanted.classes[:, None] == found.classes[None, :], measure_overlap(wanted.corners, found.corners), 0.0)
    pairs = []
    for column in np.argsort(-found.scores, kind="stable").tolist() if wanted.n else ():
        row = int(overlap[:, column].argmax())
        # With a bound of 0 a box that does not overlap at all is still no match.
        if overlap[row, column] >= iou and overlap[row, column] > 0:
            pairs.append((row, column))
            overlap[row] = 0.0
    return np.array(pairs, np.int64).reshape(-1, 2)


def share_matched(pairs: Iterable[tuple[BoxSet, BoxSet]], iou: float = SAME_OBJECT) -> float | None:
    """Of all boxes in *pairs* of sets, the share that have their match in the other set; None where there are no boxes at all.

    So a box that is missing in one set counts as much as one that only the other has.
    """
    matched = total = 0
    for wanted, found in pairs:
        matched += 2 * len(match_boxes(wanted, found, iou))
        total += wanted.n + found.n
    return matched / total if total else None
