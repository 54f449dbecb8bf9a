"""Where the outputs of detectors have their boxes, and how each box gets its class and score."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from edgekit.arrays import Array
from edgekit.contract import Detect, Processing
from edgekit.errors import InputError
from edgekit.overlap import BoxSet
from edgekit.processing.activations import ACTIVATIONS, sigmoid, softmax
from edgekit.processing.labels import check_labels
from edgekit.processing.outputs import Output, find_length, find_output
from edgekit.tensors import Dimension, TensorSpec

#: Gives boxes in the model's own words: *corners* are the four numbers that it has for each.
Decode: TypeAlias = Callable[[Mapping[str, Array]], BoxSet]

# fmt: off
_FIELDS: dict[str, tuple[set[str], set[str]]] = {
    # layout            what it needs           what it may have besides
    "split":            ({"scores"},            set()),
    "classified":       ({"scores", "classes"}, {"counts"}),
    "yolo":             (set(),                 set()),
    "yolo-objectness":  (set(),                 set()),
}
# fmt: on


def prepare_layout(reading: Detect, contract: Processing, outputs: Sequence[TensorSpec]) -> Decode:
    """What decodes the reading's layout.

    Raises:
        InputError: an output is missing, too many, or of another shape, or labels or *background* do not fit; the message names the field.
    """
    needed, possible = _FIELDS[reading.layout]
    for name in ("scores", "classes", "counts"):
        given = getattr(reading, name) is not None
        if given != (name in needed) and not (given and name in possible):
            problem = f"the layout {reading.layout!r} {'has no' if given else 'needs'} {name}"
            raise InputError(f"answer.{name}", problem, "Correct answer.layout, or this field.")
    if reading.layout == "split":
        return _prepare_split(reading, contract, outputs)
    if reading.layout == "classified":
        return _prepare_classified(reading, outputs)
    return _prepare_yolo(reading, contract, outputs)


def _find_named(reading: Detect, name: str, outputs: Sequence[TensorSpec], *axes: str) -> Output:
    """The output that the reading's field *name* names, one sample of which has these *axes*: a number is a size, a word any size."""
    output = find_output(f"answer.{name}", getattr(reading, name), outputs)
    output.check_axes(*axes)
    if any(axis.isdigit() and size != int(axis) for axis, size in zip(axes, output.axes, strict=True)):
        raise output.refuse(f"[{', '.join(axes)}]")
    return output


def _prepare_split(reading: Detect, contract: Processing, outputs: Sequence[TensorSpec]) -> Decode:
    boxes = _find_named(reading, "boxes", outputs, "boxes", "4")
    scores = _find_named(reading, "scores", outputs, "boxes", "classes")
    _check_classes(reading, contract, scores, scores.axes[1])

    def decode(answers: Mapping[str, Array]) -> BoxSet:
        corners, values = boxes.take_one(answers), scores.take_one(answers)
        _check_lengths(boxes, len(corners), {scores: len(values)})
        return _find_best(reading, corners, values)

    return decode


def _prepare_yolo(reading: Detect, contract: Processing, outputs: Sequence[TensorSpec]) -> Decode:
    has_objectness = reading.layout == "yolo-objectness"
    axes = ("boxes", "5 + classes") if has_objectness else ("4 + classes", "boxes")
    boxes, extra = _find_named(reading, "boxes", outputs, *axes), 5 if has_objectness else 4
    columns = boxes.axes[1 if has_objectness else 0]
    _check_classes(reading, contract, boxes, columns if isinstance(columns, str) else columns - extra)

    def decode(answers: Mapping[str, Array]) -> BoxSet:
        rows = boxes.take_one(answers) if has_objectness else boxes.take_one(answers).T
        found = _find_best(reading, rows[:, :4], rows[:, extra:])
        return _weigh(reading, found, rows[:, 4]) if has_objectness else found

    return decode


def _prepare_classified(reading: Detect, outputs: Sequence[TensorSpec]) -> Decode:
    if reading.activation == "softmax" or (reading.background or 0) < 0:
        field = "activation" if reading.activation == "softmax" else "background"
        raise InputError(f"answer.{field}", "it asks for the scores of all classes, and in the layout 'classified' each box has one", "Leave it out.")
    boxes = _find_named(reading, "boxes", outputs, "boxes", "4")
    scores, classes = (_find_named(reading, name, outputs, "boxes") for name in ("scores", "classes"))
    counts = None if reading.counts is None else find_output("answer.counts", reading.counts, outputs)
    if counts is not None and find_length(counts) != 1:
        raise counts.refuse("one number")

    def decode(answers: Mapping[str, Array]) -> BoxSet:
        corners, values, numbers = (output.take_one(answers) for output in (boxes, scores, classes))
        _check_lengths(boxes, len(corners), {scores: len(values), classes: len(numbers)})
        count = len(corners) if counts is None else _read_count(counts.take_one(answers), len(corners))
        values = ACTIVATIONS[reading.activation](values).astype(np.float32)
        return BoxSet(corners, _read_classes(reading, numbers), values).take(slice(count))

    return decode


def _read_count(numbers: Array, most: int) -> int:
    """How many boxes count: what the model says, from none to *most*; none where it says NaN."""
    return int(np.clip(np.nan_to_num(numbers.reshape(-1)[0]), 0, most))


def _read_classes(reading: Detect, numbers: Array) -> Array:
    """The class of each box, int64, from the *numbers* that the model gives; -1 for the background and for what is no number."""
    # float32 holds every whole number up to this, and there are fewer labels.
    sound = np.abs(numbers) < 1 << 24
    classes = np.where(sound, np.rint(np.where(sound, numbers, 0)), -1 - reading.first_class).astype(np.int64) + reading.first_class
    return np.where(classes == reading.background, -1, classes) if reading.background is not None else classes


def _find_best(reading: Detect, corners: Array, scores: Array) -> BoxSet:
    """The class with the highest of *scores* (n, classes) for each box; one with a NaN among them has NaN, which argmax takes for the highest."""
    if reading.activation == "softmax":
        scores = softmax(scores)
    if reading.background is not None:
        scores = scores.copy()
        scores[:, reading.background] = -np.inf
    classes = scores.argmax(axis=1)
    best = np.take_along_axis(scores, classes[:, None], 1)[:, 0]
    # A sigmoid rises throughout, so what is highest before it is highest after it.
    best = sigmoid(best) if reading.activation == "sigmoid" else best
    return BoxSet(corners, classes.astype(np.int64), best.astype(np.float32))


def _weigh(reading: Detect, found: BoxSet, objectness: Array) -> BoxSet:
    """*found* with each score times how likely its box is an object at all; that goes through a sigmoid where scores do not come as shares."""
    weights = objectness if reading.activation == "none" else sigmoid(objectness)
    return replace(found, scores=(found.scores * weights).astype(np.float32))


def _check_classes(reading: Detect, contract: Processing, output: Output, classes: Dimension) -> None:
    """Refuse scores of no fixed number of *classes*, a background that is none of them, and labels that are not as many."""
    if isinstance(classes, str) or classes < 1:
        raise output.refuse("a fixed number of classes, one at least,")
    if reading.background is None:
        return check_labels(contract, output, classes)
    if not -classes <= reading.background < classes:
        raise InputError("answer.background", f"it is {reading.background}, and the output {output.spec} has {classes} classes", "Give one of these.")
    # Where it is the last, the others keep their numbers without a label for it.
    return check_labels(contract, output, classes, nameless=int(reading.background in (-1, classes - 1)))


def _check_lengths(boxes: Output, count: int, others: Mapping[Output, int]) -> None:
    """Refuse an answer whose outputs have different numbers of boxes."""
    wrong = next(((other, length) for other, length in others.items() if length != count), None)
    if wrong is not None:
        problem = f"it has {wrong[1]} boxes, and {boxes.spec.name!r} has {count}"
        raise InputError(f"output {wrong[0].spec.name!r}", problem, "Make the bundle again from a model that answers as it declares.")
