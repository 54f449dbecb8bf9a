"""What a metric is: a figure from a model's answers and what is true."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from edgekit.arrays import Array, Arrays
from edgekit.datasets.base import Boxes, Truth
from edgekit.errors import InputError

#: What is true of each sample, in order.
Truths: TypeAlias = Sequence[Truth] | Array


@dataclass(frozen=True)
class Answers:
    """What a model answered to some items, in order.

    *outputs* are its tensors, with the items along the first axis; None where an item gave several samples. *readings* are
    what the contract read of them, item by item (edgekit.processing.base.Pipeline.read); empty where there is no contract.
    *classes* names the classes by number.
    """

    outputs: Arrays | None
    readings: Sequence[Arrays] = ()
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Metric:
    """A measure called *name*.

    *measure* gives the figure, or InputError where answers and truths do not fit it. *each* gives one figure for each item,
    whose mean is the metric: by these two models are compared in pairs; None where the metric is no mean.
    """

    name: str
    measure: Callable[[Answers, Truths], float]
    each: Callable[[Answers, Truths], Array] | None = None
    better: Literal["higher", "lower"] = "higher"

    def find_drop(self, source: float, value: float) -> float:
        """By how much *value* is worse than *source*; negative where it is better."""
        return source - value if self.better == "higher" else value - source


def check_boxes(truths: Truths) -> list[Boxes]:
    """The boxes of each item, or InputError where what is true of one are no boxes."""
    boxes = [truth for truth in truths if isinstance(truth, Boxes)]
    if len(boxes) != len(truths):
        raise InputError("labels", "they are no boxes, which this metric is about", "Give data with boxes (COCO, YOLO), or another --metric.")
    return boxes
