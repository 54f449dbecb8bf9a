"""What a model says of one item, in the words of its contract: labels, boxes, a mask, a vector, a score or a text."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from edgekit.arrays import Array, dtype_of
from edgekit.contract import Anomaly, Classify, Detect, Embed, Reading, Segment, Transcribe
from edgekit.quantities import format_share

#: So many classes, boxes or outputs stand in an answer's words.
_SHOWN = 5


@dataclass(frozen=True, repr=False, eq=False)
class Answer:
    """What a model says of one item. *arrays* has it by name, as the local API sends it (edgekit.processing.base.Pipeline.read).

    *reading* is how it was read; None where the contract leaves the model's outputs as they are, and *arrays* has these. Each
    property is None where such an answer has no such part.
    """

    arrays: Mapping[str, Array]
    reading: Reading | None = None

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The label of each class or box that was found, the highest score first."""
        found = self._find("labels")
        return None if found is None else tuple(label.decode() for label in found.tolist())

    @property
    def classes(self) -> Array | None:
        """The number of each class or box's class, int64."""
        return self._find("classes")

    @property
    def scores(self) -> Array | None:
        """The score of each class or box, float32."""
        return self._find("scores")

    @property
    def boxes(self) -> Array | None:
        """The boxes (n, 4) as x and y of two corners, in pixels of the picture that was given."""
        return self._find("boxes")

    @property
    def mask(self) -> Array | None:
        """The class of each pixel (rows, columns) of the picture that was given; -1 where it is unknown."""
        return self._find("mask")

    @property
    def embedding(self) -> Array | None:
        """The vector."""
        return self._find("embedding")

    @property
    def score(self) -> float | None:
        """How unusual the item is."""
        found = self._find("score")
        return None if found is None else float(found[0])

    @property
    def is_anomaly(self) -> bool | None:
        """Whether the score is above the contract's threshold; None too where there is no threshold."""
        found = self._find("is_anomaly")
        return None if found is None else bool(found[0])

    @property
    def text(self) -> str | None:
        """What was heard or read."""
        found = self._find("text")
        return None if found is None else str(found.tolist()[0].decode())

    def _find(self, name: str) -> Array | None:
        # A model's own output may have the same name, and is not what the property says.
        return None if self.reading is None else self.arrays.get(name)

    def __repr__(self) -> str:
        describe = _describe_tensors if self.reading is None else _DESCRIBERS[type(self.reading)]
        return f"Answer({describe(self)})"


def _shorten(parts: list[str], nothing: str) -> str:
    rest = [f"and {len(parts) - _SHOWN} more"] if len(parts) > _SHOWN else []
    return ", ".join(parts[:_SHOWN] + rest) or nothing


def _describe_classes(answer: Answer) -> str:
    pairs = zip(answer.labels or (), answer.arrays["scores"].tolist(), strict=True)
    return _shorten([f"{label} {score:.3g}" for label, score in pairs], "no class")


def _describe_boxes(answer: Answer) -> str:
    found = zip(answer.labels or (), answer.arrays["scores"].tolist(), answer.arrays["boxes"].tolist(), strict=True)
    return _shorten([f"{label} {score:.3g} at ({', '.join(f'{side:.0f}' for side in box)})" for label, score, box in found], "no box")


def _describe_mask(answer: Answer) -> str:
    mask = answer.arrays["mask"]
    classes, counts = np.unique(mask, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    shares = [f"class {classes[one]} {format_share(counts[one] / mask.size)}" for one in order]
    return f"mask of {' x '.join(map(str, mask.shape))}: {_shorten(shares, 'nothing')}"


def _describe_embedding(answer: Answer) -> str:
    return f"embedding of {answer.arrays['embedding'].size} numbers"


def _describe_score(answer: Answer) -> str:
    verdict = {None: "", True: ", an anomaly", False: ", no anomaly"}[answer.is_anomaly]
    return f"score {answer.score:.4g}{verdict}"


def _describe_text(answer: Answer) -> str:
    return repr(answer.text)


def _describe_tensors(answer: Answer) -> str:
    return _shorten([f"{name} {dtype_of(array)}{list(array.shape)}" for name, array in answer.arrays.items()], "nothing")


_DESCRIBERS: Mapping[type, Callable[[Answer], str]] = {
    Classify: _describe_classes,
    Detect: _describe_boxes,
    Segment: _describe_mask,
    Embed: _describe_embedding,
    Anomaly: _describe_score,
    Transcribe: _describe_text,
}
