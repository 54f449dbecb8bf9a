"""How well the classes of pixels are found: intersection over union."""

from collections.abc import Mapping

import numpy as np

from edgekit.arrays import Array
from edgekit.datasets.base import VOID
from edgekit.errors import InputError
from edgekit.metrics.base import Answers, Figure, Truths, make_whole, refuse_answers

#: No set for segmentation has more classes than this.
MAX_CLASSES = 1024


def prepare_iou(answers: Answers, truths: Truths) -> Figure:
    """Tells the mean over classes of intersection over union, of the pixels of all items together (PASCAL VOC, Everingham et al. 2010).

    A class counts where it is true of a pixel or answered for one. A pixel that the model did not see is a miss of its class.
    """
    counts = count_pixels(answers, truths)
    return lambda rows: _average(counts[rows].sum(axis=0))


def measure_items(answers: Answers, truths: Truths) -> Array:
    """The mean over the classes that are in it for each item alone; 1 where all its pixels count for nothing."""
    figures = np.array([_average(counts) for counts in count_pixels(answers, truths)])
    return np.where(np.isnan(figures), 1.0, figures)


def count_pixels(answers: Answers, truths: Truths) -> Array:
    """For each item and class the pixels that are rightly of it, that were answered so, and that are truly so: (items, 3, classes), int64."""
    masks = answers.list_read("mask")
    if masks is None:
        raise refuse_answers("iou", "mask", "Let the contract read one: edgekit convert --task segment")
    counts = [_count(mask, truth, item) for item, (mask, truth) in enumerate(zip(masks, _check_masks(truths), strict=True))]
    classes = sorted({number for one in counts for number in one})
    table = np.array([[one.get(number, (0, 0, 0)) for number in classes] for one in counts], np.int64)
    found: Array = table.reshape(len(counts), len(classes), 3).transpose(0, 2, 1)
    return found


def _check_masks(truths: Truths) -> list[Array]:
    masks = [truth for truth in truths if isinstance(truth, np.ndarray) and truth.ndim == 2 and truth.dtype.kind in "iu"]
    if len(masks) != len(truths):
        problem = "they are no masks, which this metric is about"
        raise InputError("labels", problem, "Give the number of a class for each pixel (rows, columns), or another --metric.")
    return masks


def _count(mask: Array, truth: Array, item: int) -> Mapping[int, tuple[int, int, int]]:
    """The three counts of each class in one item."""
    if mask.shape != truth.shape:
        sizes = f"the picture has {mask.shape[1]}x{mask.shape[0]} pixels, and its mask {truth.shape[1]}x{truth.shape[0]}"
        raise InputError(f"labels of item {item}", sizes, "Give masks of the size of their pictures.")
    counted = (truth >= 0) & (truth != VOID)
    true, found = truth[counted].astype(np.int64), mask[counted].astype(np.int64)
    highest = max(true.max(initial=0), found.max(initial=0))
    if highest >= MAX_CLASSES:
        raise InputError(f"labels of item {item}", f"there is a class {highest}, and {MAX_CLASSES} is the most", "Give numbers of classes.")
    groups = (true[true == found], found[found >= 0], true)
    counts = np.stack([np.bincount(group, minlength=MAX_CLASSES) for group in groups], axis=1)
    return {int(number): tuple(counts[number].tolist()) for number in np.flatnonzero(counts.any(axis=1))}


def _average(counts: Array) -> float:
    """The mean over the classes that are there, from *counts* (3, classes); NaN where none is."""
    shared, found, true = counts.astype(np.float64)
    union = found + true - shared
    there = union > 0
    return float((shared[there] / union[there]).mean()) if there.any() else float("nan")


IOU = make_whole("iou", prepare_iou, measure_items)
