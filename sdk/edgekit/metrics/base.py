"""What a metric is: a figure from a model's answers and what is true."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from edgekit.arrays import Array, Arrays
from edgekit.datasets.base import Boxes, Truth
from edgekit.errors import InputError

#: What is true of each sample, in order.
Truths: TypeAlias = Sequence[Truth] | Array
#: Tells the metric of the items with the numbers *rows*, each as often as it is there; NaN where of these alone it is nothing.
Figure: TypeAlias = Callable[[Array], float]
Better: TypeAlias = Literal["higher", "lower"]

#: How often samples are drawn again to see how much a figure varies (intervals.py), and how often where each time costs a millisecond or more.
RESAMPLES, FEW_RESAMPLES = 1000, 200


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

    def take(self, rows: Array) -> "Answers":
        """Those to the items with the numbers *rows*."""
        outputs = None if self.outputs is None else {name: array[rows] for name, array in self.outputs.items()}
        return Answers(outputs, [self.readings[row] for row in rows.tolist()] if self.readings else (), self.classes)

    def list_read(self, name: str) -> list[Array] | None:
        """What the contract read under *name*, item by item; None where there is an item without."""
        found = [reading[name] for reading in self.readings if name in reading]
        return found if found and len(found) == len(self.readings) else None


@dataclass(frozen=True)
class Metric:
    """A measure called *name*.

    *measure* gives the figure, or InputError where answers and truths do not fit it. *each* gives one figure for each item,
    whose mean is the metric: by these two models are compared in pairs; None where the metric is no mean. Then *prepare* has
    what tells it of any of the items, without looking at all answers each time. *judge* gives for each item a figure by which
    two models are told apart on it; None where that is *each*, or where one item says nothing.

    *resamples* is how often samples are drawn again for its interval. *recall* makes truths of the source model's own answers,
    which are true where the data say nothing that this metric is about.
    """

    name: str
    measure: Callable[[Answers, Truths], float]
    each: Callable[[Answers, Truths], Array] | None = None
    better: Better = "higher"
    prepare: Callable[[Answers, Truths], Figure] | None = None
    judge: Callable[[Answers, Truths], Array] | None = None
    resamples: int = RESAMPLES
    recall: Callable[[Answers], Truths] | None = None

    def find_drop(self, source: float, value: float) -> float:
        """By how much *value* is worse than *source*; negative where it is better."""
        return source - value if self.better == "higher" else value - source

    def needs_source(self, truths: Sequence[Truth | None]) -> bool:
        """Whether answers are held against the source model's own, since *truths* are not what this metric is about."""
        return self.recall is not None and not all(isinstance(truth, np.ndarray) for truth in truths)

    def prepare_figure(self, answers: Answers, truths: Truths) -> Figure:
        """What tells the metric of any of the items; raises as *measure* does."""
        if self.each is not None:
            figures = self.each(answers, truths)
            return lambda rows: float(figures[rows].mean())
        if self.prepare is not None:
            return self.prepare(answers, truths)
        return lambda rows: self.measure(answers.take(rows), take_truths(truths, rows))

    def judge_items(self, answers: Answers, truths: Truths) -> Array | None:
        """A figure for each item, as *better* says; None where the metric says nothing of one item."""
        judge = self.judge or self.each
        return None if judge is None else judge(answers, truths)


def make_mean(name: str, each: Callable[[Answers, Truths], Array], *, recall: Callable[[Answers], Truths] | None = None) -> Metric:
    """The metric that is the mean of what *each* gives."""
    return Metric(name, lambda answers, truths: float(each(answers, truths).mean()), each, recall=recall)


def make_whole(
    name: str,
    prepare: Callable[[Answers, Truths], Figure],
    judge: Callable[[Answers, Truths], Array],
    *,
    better: Better = "higher",
    resamples: int = RESAMPLES,
) -> Metric:
    """The metric that *prepare* tells of all items together."""
    return Metric(name, lambda answers, truths: _tell_all(name, prepare, answers, truths), None, better, prepare, judge, resamples)


def _tell_all(name: str, prepare: Callable[[Answers, Truths], Figure], answers: Answers, truths: Truths) -> float:
    value = prepare(answers, truths)(np.arange(len(truths)))
    if not np.isfinite(value):
        raise InputError("labels", f"they leave {name} without a value", "Give data in which there is something to find.")
    return value


def take_truths(truths: Truths, rows: Array) -> Truths:
    """What is true of the items with the numbers *rows*."""
    return truths[rows] if isinstance(truths, np.ndarray) else [truths[row] for row in rows.tolist()]


def check_boxes(truths: Truths) -> list[Boxes]:
    """The boxes of each item, or InputError where what is true of one are no boxes."""
    boxes = [truth for truth in truths if isinstance(truth, Boxes)]
    if len(boxes) != len(truths):
        raise InputError("labels", "they are no boxes, which this metric is about", "Give data with boxes (COCO, YOLO), or another --metric.")
    return boxes


def refuse_answers(metric: str, needed: str, remedy: str) -> InputError:
    """The refusal of answers without what *metric* is about: *needed*, and how the contract reads it."""
    return InputError(f"metric {metric}", f"the answers have no {needed}", f"{remedy}, or give another --metric.")
