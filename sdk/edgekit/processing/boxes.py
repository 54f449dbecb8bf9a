"""Reading boxes: a detector's raw answer as objects in the caller's picture."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from edgekit.arrays import Array, Arrays
from edgekit.contract import Detect, Processing
from edgekit.overlap import BoxSet, measure_area
from edgekit.processing.base import Fed, Scene
from edgekit.processing.box_layouts import prepare_layout
from edgekit.processing.labels import encode_labels
from edgekit.processing.libraries import load_library
from edgekit.processing.outputs import Reader
from edgekit.processing.scenes import bring_back, check_scene, find_scene
from edgekit.tensors import TensorSpec

#: The most boxes that are held against each other, the highest scores first: the time grows with the square of their number.
MAX_CANDIDATES = 10_000


def prepare_boxes(reading: Detect, contract: Processing, outputs: Sequence[TensorSpec]) -> Reader:
    """Reads ``boxes`` (n, 4), float32, x and y of two corners in pixels of the caller's picture, and their ``labels``, ``classes`` and ``scores``.

    The highest score comes first; of equal scores the box that the model gives first. A box is left out where one of its
    numbers is NaN or infinite, where its class is below zero, and where nothing of it lies in the caller's picture.

    Raises:
        InputError: an output is not there, or not of a shape that the layout has, or labels or *background* do not fit; the message names the field.
        DeviceError: OpenCV, which finds the boxes that overlap, is not installed.
    """
    check_scene(contract)
    find_boxes = prepare_box_finder(reading, contract, outputs)

    def read(answers: Mapping[str, Array], fed: Fed) -> Arrays:
        found = find_boxes(answers, find_scene(fed))
        labels = encode_labels(contract, found.classes.tolist())
        return {"labels": labels, "classes": found.classes, "scores": found.scores, "boxes": found.corners.astype(np.float32)}

    return read


def prepare_box_finder(reading: Detect, contract: Processing, outputs: Sequence[TensorSpec]) -> Callable[[Mapping[str, Array], Scene], BoxSet]:
    """What finds the boxes of one picture in a model's outputs for it, in pixels of the scene's picture; raises as prepare_boxes does."""
    decode = prepare_layout(reading, contract, outputs)
    # Nothing overlaps by more than entirely.
    iou = 1.0 if reading.iou is None else reading.iou
    suppress = _keep_all if iou >= 1 else partial(_suppress, load_library("cv2", "images").dnn.NMSBoxesBatched, iou)

    def find_boxes(answers: Mapping[str, Array], scene: Scene) -> BoxSet:
        # Infinities may make NaN of each other, and NaN is left out.
        with np.errstate(invalid="ignore", over="ignore"):
            likely = _take_likely(decode(answers), reading.threshold)
        placed = _take_visible(replace(likely, corners=_place(likely.corners, reading, scene)))
        apart = suppress(placed)
        return _take_visible(replace(apart, corners=bring_back(apart.corners, scene))).take(slice(reading.most))

    return find_boxes


def _keep_all(found: BoxSet) -> BoxSet:
    return found


def _suppress(nms: Any, iou: float, found: BoxSet) -> BoxSet:
    """Of the boxes of one class that overlap by more than *iou* the highest alone; *found* has the highest first, and so has what is left."""
    if found.n < 2:
        return found
    # OpenCV keeps classes apart by moving each as far as its number times the furthest coordinate, so there must be none below
    # zero, and numbers as small as can be. What is first goes first: scores would be held against a bound that they must exceed.
    corners = found.corners - np.tile(found.corners[:, :2].min(axis=0), 2)
    groups = np.unique(found.classes, return_inverse=True)[1].astype(np.int32)
    order = np.arange(found.n, 0, -1).astype(np.float32)
    rows = nms(np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]]), order, groups, 0.0, iou)
    return found.take(np.array(rows, np.int64))


def _take_likely(found: BoxSet, threshold: float) -> BoxSet:
    """The boxes that reach *threshold*, the highest first, without those that are none."""
    rows = np.flatnonzero(found.scores >= np.float32(threshold))
    likely = found.take(rows[np.argsort(-found.scores[rows], kind="stable")])
    sound = np.isfinite(likely.scores) & np.isfinite(likely.corners).all(axis=1) & (likely.classes >= 0)
    return likely.take(sound).take(slice(MAX_CANDIDATES))


def _take_visible(found: BoxSet) -> BoxSet:
    return found.take(measure_area(found.corners) > 0)


def _place(numbers: Array, reading: Detect, scene: Scene) -> Array:
    """The four *numbers* of each box as x and y of two corners in pixels of the model's picture, float64."""
    first, second = np.split(numbers.astype(np.float64), 2, axis=1)
    if reading.form == "cxcywh":
        first, second = first - second / 2, first + second / 2
    elif reading.form == "xywh":
        second = first + second
    elif reading.form == "yxyx":
        first, second = first[:, ::-1], second[:, ::-1]
    size = np.array(scene.model_size, np.float64)
    unit = size if reading.unit == "shares" else np.ones(2)
    # What reaches further than a picture beyond the picture is cut off there: beside a number like 1e30 no other is exact.
    return np.clip(np.hstack([first * unit, second * unit]), np.tile(-size, 2), np.tile(2 * size, 2))
