"""How answers are read where nobody says it: what the shapes and names of a model's outputs tell."""

from collections.abc import Callable, Sequence
from math import isclose

from edgekit.contract import Anomaly, Classify, Detect, Embed, Segment, Transcribe
from edgekit.errors import InputError
from edgekit.processing.picture_tensors import PictureTensor
from edgekit.tensors import TensorSpec

_REMEDY = "Write the contract down, and give it with --processing FILE."
#: What tokenisers for connectionist temporal classification call the blank.
_BLANKS = ("<pad>", "[PAD]", "<blank>", "<blk>", "_")
_POOLED = ("embed", "pool", "feature")


def read_classes(subject: str, outputs: Sequence[TensorSpec], labels: Sequence[str] = ()) -> Classify:
    """Scores for each class; they go through softmax where the output is named logits, and are taken as they are else."""
    rows = {spec.name: count for spec in outputs if (count := count_classes(spec)) is not None}
    fitting = [name for name, count in rows.items() if count == len(labels)] if labels else list(rows)
    if len(fitting) != 1:
        wanted = f"{len(labels)} classes, as many as there are labels" if labels else "a score for each class"
        raise _lack(subject, f"which output has {wanted}", outputs)
    (name,) = fitting
    return Classify(output=name, activation="softmax" if "logit" in name.lower() else "none", top=min(5, rows[name]))


def count_classes(spec: TensorSpec) -> int | None:
    """How many scores one sample of *spec* has in a row, whatever axes of one lie around it; None where it is no row of two or more."""
    long = [size for size in spec.shape[1:] if size != 1]
    return long[0] if len(long) == 1 and isinstance(long[0], int) and long[0] > 1 and spec.dtype != "bytes" else None


def read_boxes(subject: str, outputs: Sequence[TensorSpec]) -> Detect:
    """Boxes as the detectors in wide use have them: Ultralytics' one output, transformers' DETR, TFLite's own post-processing."""
    found = _find_yolo(outputs) or _find_detr(outputs) or _find_tflite(outputs)
    if found is None:
        raise _lack(subject, "which output has boxes and which scores, in which form and unit,", outputs)
    return found


def _find_yolo(outputs: Sequence[TensorSpec]) -> Detect | None:
    """(4 + classes, n) or, of the older ones, (n, 5 + classes): there are many more boxes than classes."""
    rows = [spec for spec in outputs if len(spec.shape) == 3 and all(isinstance(size, int) for size in spec.shape[1:])]
    if len(outputs) != 1 or not rows:
        return None
    first, second = (int(size) for size in rows[0].shape[1:])
    if 5 <= first < second:
        return Detect(boxes=rows[0].name, layout="yolo", form="cxcywh", unit="pixels")
    return Detect(boxes=rows[0].name, layout="yolo-objectness", form="cxcywh", unit="pixels") if 6 <= second < first else None


def _find_detr(outputs: Sequence[TensorSpec]) -> Detect | None:
    """``logits`` (n, classes and one for no object) and ``pred_boxes`` (n, 4), as transformers exports DETR and YOLOS."""
    shapes = {spec.name: spec.shape for spec in outputs}
    if len(shapes.get("logits", ())) != 3 or shapes.get("pred_boxes", ())[2:] != (4,):
        return None
    return Detect(boxes="pred_boxes", scores="logits", form="cxcywh", unit="shares", activation="softmax", background=-1, threshold=0.5, iou=None)


def _find_tflite(outputs: Sequence[TensorSpec]) -> Detect | None:
    """The four outputs of the operator TFLite_Detection_PostProcess: boxes, classes, scores and count, in that order.

    Exported by way of a signature they stand in another order, and only names that say what they are can tell it.
    """
    if [len(spec.shape) for spec in outputs] == [3, 2, 2, 1] and all("TFLite_Detection" in spec.name for spec in outputs):
        boxes, classes, scores, counts = (spec.name for spec in outputs)
        return _classify_boxes(boxes, classes, scores, counts)
    names = [[spec.name for spec in outputs if word in spec.name.lower()] for word in ("boxes", "classes", "scores", "num")]
    if len(outputs) != 4 or any(len(found) != 1 for found in names):
        return None
    return _classify_boxes(*(found[0] for found in names))


def _classify_boxes(boxes: str, classes: str, scores: str, counts: str) -> Detect:
    # The operator has left overlapping boxes out already.
    return Detect(
        boxes=boxes, classes=classes, scores=scores, counts=counts, layout="classified", form="yxyx", unit="shares", threshold=0.5, iou=None
    )


def read_mask(subject: str, outputs: Sequence[TensorSpec], picture: PictureTensor) -> Segment:
    """A score for each class and pixel: the axes in the proportions of *picture* are its sides, the other is that of classes."""
    first = [spec for spec in outputs if len(spec.shape) == 4 and _is_alike(spec.shape[2:4], picture)]
    last = [spec for spec in outputs if len(spec.shape) == 4 and _is_alike(spec.shape[1:3], picture)]
    if len(first) + len(last) != 1:
        raise _lack(subject, "which output has a score for each class and pixel", outputs)
    return Segment(output=(first or last)[0].name, axis="first" if first else "last")


def _is_alike(sides: Sequence[int | str], picture: PictureTensor) -> bool:
    """Whether *sides*, as rows and columns, have the proportions of *picture*, up to a pixel."""
    if not all(isinstance(side, int) and side > 1 for side in sides) or not picture.height or not picture.width:
        return False
    rows, columns = (int(side) for side in sides)
    return isclose(rows * picture.width, columns * picture.height, abs_tol=max(picture.width, picture.height))


def read_embedding(subject: str, outputs: Sequence[TensorSpec]) -> Embed:
    """One vector, or the mean over one for each token; of several outputs that whose name says that it is one."""
    vectors = [spec for spec in outputs if len(spec.shape) in (2, 3) and spec.dtype.startswith("float")]
    named = [spec for spec in vectors if any(word in spec.name.lower() for word in _POOLED)]
    chosen = vectors if len(vectors) == 1 else named
    if len(chosen) != 1:
        raise _lack(subject, "which output is the vector", outputs)
    return Embed(output=chosen[0].name, pool="none" if len(chosen[0].shape) == 2 else "mean")


def read_anomaly(subject: str, given: TensorSpec, outputs: Sequence[TensorSpec]) -> Anomaly:
    """How far the output of the input's own shape is from it, or the one output that is a single figure."""
    tests: list[tuple[str | None, Callable[[TensorSpec], bool]]] = [
        (given.name, lambda spec: spec.shape[1:] == given.shape[1:]),
        (None, lambda spec: all(size == 1 for size in spec.shape[1:])),
    ]
    for of, test in tests:
        found = [spec.name for spec in outputs if test(spec)]
        if len(found) == 1:
            return Anomaly(output=found[0], of=of)
    raise _lack(subject, "which output is the input rebuilt, or a single figure,", outputs)


def read_transcript(subject: str, outputs: Sequence[TensorSpec], labels: Sequence[str]) -> Transcribe:
    """One row of labels for each step. The blank is the label that wav2vec 2.0 and others give it, else the first; ``|`` is a space."""
    rows = [spec for spec in outputs if len(spec.shape) == 3 and spec.shape[2] == len(labels)]
    if len(rows) != 1:
        raise _lack(subject, f"which output has one of the {len(labels)} labels for each step", outputs)
    blank = next((labels.index(name) for name in _BLANKS if name in labels), 0)
    return Transcribe(output=rows[0].name, blank=blank, space="|" if "|" in labels else None)


def _lack(subject: str, what: str, outputs: Sequence[TensorSpec]) -> InputError:
    return InputError(subject, f"{what} cannot be told: the model gives {'; '.join(map(str, outputs))}", _REMEDY)
