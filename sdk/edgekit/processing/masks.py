"""Reading masks: a class for each pixel of the caller's picture."""

from collections.abc import Mapping, Sequence

import numpy as np

from edgekit.arrays import Array, Arrays
from edgekit.contract import Processing, Segment
from edgekit.processing.base import Fed, Scene
from edgekit.processing.labels import check_labels
from edgekit.processing.libraries import load_library
from edgekit.processing.outputs import Reader, find_output
from edgekit.processing.scenes import check_scene, find_scene
from edgekit.tensors import TensorSpec

#: The class of a pixel that the model did not see, or for which a score is NaN.
UNKNOWN = -1


def prepare_masks(reading: Segment, contract: Processing, outputs: Sequence[TensorSpec]) -> Reader:
    """Reads ``mask`` (rows, columns), int32: the class with the highest score for each pixel of the caller's picture.

    Of equal scores the lower class is taken. A pixel that a crop cut away, or one of whose scores is NaN, is UNKNOWN.

    Raises:
        InputError: there is no such output, it is no picture of scores, the labels are not as many, or no picture is given.
        DeviceError: Pillow is not installed.
    """
    check_scene(contract)
    output = find_output("answer.output", reading.output, outputs)
    axis = 0 if reading.axis == "first" else 2
    output.check_axes(*(("classes", "rows", "columns") if axis == 0 else ("rows", "columns", "classes")))
    if output.axes[axis] in (0, 1):
        raise output.refuse("a score for each of several classes")
    check_labels(contract, output, output.axes[axis])
    load_library("PIL.Image", "images")

    def read(answers: Mapping[str, Array], fed: Fed) -> Arrays:
        scores = output.check_full(output.take_one(answers))
        return {"mask": _lay_over(_find_highest(scores, axis), find_scene(fed))}

    return read


def _find_highest(scores: Array, axis: int) -> Array:
    """The class of the highest score along *axis*, int32; UNKNOWN where one is NaN, which argmax takes for the highest."""
    classes = scores.argmax(axis=axis, keepdims=True)
    broken = np.isnan(np.take_along_axis(scores, classes, axis))
    mask: Array = np.where(broken, UNKNOWN, classes).squeeze(axis).astype(np.int32)
    return mask


def _lay_over(mask: Array, scene: Scene) -> Array:
    """*mask*, which is the model's picture in cells, over the caller's picture: each pixel has the cell in which its middle lies."""
    from PIL import Image

    rows, columns = mask.shape
    cells = columns / scene.model_size[0], rows / scene.model_size[1]
    across, down = ((scale * cell, offset * cell) for scale, offset, cell in zip(scene.scale, scene.offset, cells, strict=True))
    moved = Image.fromarray(mask).transform(
        scene.size,
        Image.Transform.AFFINE,
        (across[0], 0, across[1], 0, down[0], down[1]),
        resample=Image.Resampling.NEAREST,
        fillcolor=UNKNOWN,
    )
    return np.array(moved)
