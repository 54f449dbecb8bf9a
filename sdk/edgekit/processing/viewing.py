"""What a model is fed as a picture that people can look at."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from edgekit.arrays import Array
from edgekit.contract import Cast, Color, Feature, Layout, Normalize, Quantize, Reshape, Scale, Step
from edgekit.errors import InputError
from edgekit.processing.features import PictureKind
from edgekit.processing.pictures import check_size

#: What was there at first (with None) and after each step, samples first.
Watched: TypeAlias = Sequence[tuple[Step | None, Array]]
_AXES = {"CHW": (1, 2, 0), "HWC": (0, 1, 2)}


def draw_fed(feature: Feature, watched: Watched) -> tuple[Array, str]:
    """The first sample of what was *watched* last, as pixels (rows, columns) or (rows, columns, RGB), and in words how it was made visible.

    A picture's steps are undone from the last to the first that made numbers of it: what is shown is what is left of the
    picture. Of anything else the lowest value becomes black and the highest white.

    Raises:
        InputError: it is a text, or too large for a picture.
    """
    if feature.kind == "text":
        raise InputError(f"input {feature.name!r}", "a text is no picture", "Leave --picture out.")
    values = watched[-1][1]
    check_size(1, max(values[0].size, 1), f"input {feature.name!r}")
    undone = _undo_all(watched) if feature.kind == "image" else None
    if undone is None:
        return _stretch(values[0])
    orders = [step.order for step, _ in watched if isinstance(step, Color)]
    pixels = np.clip(np.rint(undone), 0, 255).astype(np.uint8)
    how = "the steps that made numbers of the picture are undone, from the last to the first, and pixels are rounded to 0..255"
    return (pixels[..., ::-1] if orders[-1:] == ["BGR"] else pixels), how


def _undo_all(watched: Watched) -> Array | None:
    """The first sample as pixels again, (rows, columns, channels); None where a step cannot be undone."""
    values = watched[-1][1][0].astype(np.float64)
    for (step, _), (_, before) in zip(reversed(watched[1:]), reversed(watched[:-1]), strict=True):
        if isinstance(step, PictureKind):
            break
        undone = _undo(step, values, before.shape[1:])
        if undone is None:
            return None
        values = undone
    return values if values.ndim == 3 and values.shape[2] in (1, 3) else None


def _undo(step: Step | None, values: Array, before: tuple[int, ...]) -> Array | None:
    """What *step* made *values* of, which had the shape *before*; None where that cannot be told."""
    if isinstance(step, Scale) and step.factor != 0:
        return (values - step.offset) / step.factor
    if isinstance(step, Normalize):
        undone: Array = values * np.array(step.std) + np.array(step.mean)
        return undone
    if isinstance(step, Quantize):
        return (values - step.zero_point) * step.scale
    if isinstance(step, Reshape):
        return values.reshape(before)
    if isinstance(step, Layout):
        return values[..., None] if step.axes == "HW" else values.transpose(_AXES[step.axes])
    return values if isinstance(step, Cast) else None


def _stretch(sample: Array) -> tuple[Array, str]:
    """*sample* as rows along its first axis that is longer than one, grey."""
    values = sample.astype(np.float64)
    sizes = [size for size in values.shape if size > 1] or [1]
    rows = values.reshape(sizes[0], -1) if len(sizes) > 1 else values.reshape(1, -1)
    low, high = float(rows.min()), float(rows.max())
    grey = (rows - low) / ((high - low) or 1.0) * 255
    how = f"the first sample, a row for each of its {rows.shape[0]}: black is {low:.4g}, its lowest value, and white {high:.4g}, its highest"
    return np.rint(grey).astype(np.uint8), how
