"""How well objects are found in pictures: mean average precision, as COCO measures it."""

import contextlib
import io
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from edgekit.arrays import Array, Arrays
from edgekit.datasets.base import Boxes
from edgekit.errors import InputError
from edgekit.metrics.base import FEW_RESAMPLES, Answers, Figure, Truths, check_boxes, make_whole, refuse_answers
from edgekit.overlap import BoxSet, share_matched
from edgekit.processing.libraries import load_library

#: The least overlaps at which a box is the object: from 0.5 to 0.95 by 0.05 (Lin et al. 2014, and cocodataset.org, "Detection Evaluation").
OVERLAPS = np.linspace(0.5, 0.95, 10)
#: The most boxes of a class that count in one picture, the highest scores first (there too).
MOST_BOXES = 100
_ALL = "all"


def prepare_map(answers: Answers, truths: Truths, overlaps: Array) -> Figure:
    """Tells the mean over classes and *overlaps* of the area under precision and recall, by pycocotools.

    Boxes that stand for crowds count for nothing, and neither do classes of which no object is in the data. The scores from
    which on boxes are there at all are the contract's threshold: published figures have none.
    """
    evaluation = _evaluate(_read_boxes(answers), check_boxes(truths), overlaps)
    images, classes = len(truths), len(evaluation.params.catIds)
    found = [evaluation.evalImgs[number * images : (number + 1) * images] for number in range(classes)]

    def tell(rows: Array) -> float:
        # What was found in each picture stays as it is, so only the counts are made anew.
        evaluation.evalImgs = [one[row] for one in found for row in rows.tolist()]
        evaluation.params.imgIds = evaluation._paramsEval.imgIds = list(range(len(rows)))
        with _silenced():
            evaluation.accumulate()
        precision = evaluation.eval["precision"]
        # -1 stands for a class that is not there.
        there = precision[precision > -1]
        return float(there.mean()) if there.size else float("nan")

    return tell


def share_found(answers: Answers, truths: Truths) -> Array:
    """For each item the share of boxes, true ones and answered ones, that have their match; 1 where there is no box at all."""
    pairs = zip(_read_boxes(answers), check_boxes(truths), strict=True)
    shares = [share_matched([(_without_crowds(true), found)]) for found, true in pairs]
    return np.array([1.0 if share is None else share for share in shares])


def _read_boxes(answers: Answers) -> list[BoxSet]:
    if answers.list_read("boxes") is None:
        raise refuse_answers("map", "boxes", "Let the contract read boxes: edgekit convert --task detect")
    return [_to_set(reading) for reading in answers.readings]


def _to_set(reading: Arrays) -> BoxSet:
    return BoxSet(reading["boxes"], reading["classes"], reading["scores"])


def _without_crowds(boxes: Boxes) -> BoxSet:
    alone = ~boxes.crowds.astype(bool)
    return BoxSet(boxes.corners[alone], boxes.classes[alone], np.ones(int(alone.sum())))


def _evaluate(found: Sequence[BoxSet], truths: Sequence[Boxes], overlaps: Array) -> Any:
    """The evaluation of each picture and class, by pycocotools, before the counts are made; pictures have their numbers for ids."""
    classes = sorted({int(number) for boxes in truths for number in boxes.classes[~boxes.crowds.astype(bool)]})
    if not classes:
        raise InputError("labels", "there is no box in the data, and this metric is about finding them", "Give data with boxes.")
    evaluation = load_library("pycocotools.cocoeval", "evaluate").COCOeval(iouType="bbox")
    with _silenced():
        evaluation.cocoGt = _make_set(_list_truths(truths), len(truths), classes)
        evaluation.cocoDt = _make_set(_list_found(found), len(truths), classes)
        params = evaluation.params
        params.imgIds, params.catIds, params.iouThrs, params.maxDets = list(range(len(truths))), classes, overlaps, [MOST_BOXES]
        params.areaRng, params.areaRngLbl = params.areaRng[:1], [_ALL]
        evaluation.evaluate()
    return evaluation


def _make_set(annotations: Iterator[dict[str, Any]], images: int, classes: Sequence[int]) -> Any:
    """Annotations as pycocotools holds them; their ids begin at 1, since it takes 0 for no match."""
    coco = load_library("pycocotools.coco", "evaluate").COCO()
    coco.dataset = {
        "images": [{"id": number} for number in range(images)],
        "categories": [{"id": number} for number in classes],
        "annotations": [annotation | {"id": number} for number, annotation in enumerate(annotations, 1)],
    }
    coco.createIndex()
    return coco


def _list_truths(truths: Sequence[Boxes]) -> Iterator[dict[str, Any]]:
    for image, boxes in enumerate(truths):
        for corners, number, crowd in zip(boxes.corners.tolist(), boxes.classes.tolist(), boxes.crowds.tolist(), strict=True):
            yield _describe(image, corners, number) | {"iscrowd": int(crowd)}


def _list_found(found: Sequence[BoxSet]) -> Iterator[dict[str, Any]]:
    for image, boxes in enumerate(found):
        for corners, number, score in zip(boxes.corners.tolist(), boxes.classes.tolist(), boxes.scores.tolist(), strict=True):
            yield _describe(image, corners, number) | {"iscrowd": 0, "score": score}


def _describe(image: int, corners: list[float], number: int) -> dict[str, Any]:
    left, top, right, bottom = corners
    width, height = right - left, bottom - top
    return {"image_id": image, "category_id": int(number), "bbox": [left, top, width, height], "area": width * height}


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Keep what pycocotools prints of its progress away from stdout, which is for JSON."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


MAP50 = make_whole("map50", partial(prepare_map, overlaps=OVERLAPS[:1]), share_found, resamples=FEW_RESAMPLES)
MAP50_95 = make_whole("map50-95", partial(prepare_map, overlaps=OVERLAPS), share_found, resamples=FEW_RESAMPLES)
