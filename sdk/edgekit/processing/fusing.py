"""Steps over pixels taken together, to the same values bit by bit.

A pixel of 8 bits has 256 values a channel. So a row of steps that look at each value alone, such as scale and normalize, is a
table, which the steps themselves fill, and a step layout after them says where what is looked up is written. Floats are then
written once instead of once for each step.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from edgekit.arrays import Array
from edgekit.contract import Cast, Layout, Normalize, Quantize, Scale, Step
from edgekit.errors import InputError
from edgekit.processing.base import Change

_POINTWISE = (Scale, Normalize, Quantize, Cast)


def fuse_steps(steps: Sequence[Step], changes: Sequence[Change], channels: int) -> tuple[Change | None, int]:
    """What carries out the first of *steps* over uint8 pixels (samples, rows, columns, *channels*), and how many of them that is.

    *changes* are the steps as they were prepared. None and 0 where the first step is none that looks at each value alone.

    Raises:
        InputError: a step cannot be carried out on so many channels, or makes NaN or infinity of a pixel.
    """
    pointwise = 0
    while pointwise < len(steps) and isinstance(steps[pointwise], _POINTWISE):
        pointwise += 1
    if pointwise == 0:
        return None, 0
    rows = _make_table(changes[:pointwise], channels)
    following = steps[pointwise] if pointwise < len(steps) else None
    if isinstance(following, Layout) and following.axes == "CHW":
        return partial(_look_up_planes, rows), pointwise + 1
    return partial(_look_up, rows), pointwise


def _make_table(changes: Sequence[Change], channels: int) -> Array:
    """What *changes* make of each value of a pixel: (channels, 256)."""
    values = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (1, 256, channels))
    with np.errstate(all="ignore"):
        for change in changes:
            values = change(values)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError("steps", "they make NaN or infinity of a pixel", "Correct the factors, offsets, means and deviations.")
    return np.ascontiguousarray(values[0].T)


def _look_up_planes(table: Array, pixels: Array) -> Array:
    """The values of *table* (channels, 256) for *pixels* (samples, rows, columns, channels), as (samples, channels, rows, columns)."""
    samples, rows, columns, channels = pixels.shape
    planes = np.empty((samples, channels, rows, columns), table.dtype)
    for channel in range(channels):
        # Mode clip takes no copy of its own, as raise does; no pixel is beyond the table.
        np.take(table[channel], pixels[..., channel], out=planes[:, channel], mode="clip")
    return planes


def _look_up(table: Array, pixels: Array) -> Array:
    """The values of *table* (channels, 256) for *pixels* (samples, rows, columns, channels), in the same order."""
    if (table == table[0]).all():
        same: Array = table[0].take(pixels)
        return same
    found = np.empty(pixels.shape, table.dtype)
    for channel in range(pixels.shape[-1]):
        found[..., channel] = table[channel].take(pixels[..., channel])
    return found
