"""The steps of a contract that change numbers: each is prepared once, and then makes an array of an array.

All samples of an item lie along the first axis. Shapes, channels and lengths in a contract are those of one sample, which has
the other axes.
"""

import math
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from edgekit.arrays import Array
from edgekit.contract import Cast, Fit, Layout, Normalize, Quantize, Reshape, Scale, Windows
from edgekit.errors import InputError
from edgekit.processing.base import Change

NumberKind: TypeAlias = Scale | Normalize | Layout | Reshape | Quantize | Cast | Fit | Windows

#: The most values that one item may become: 256 MiB of float32. Windows that overlap, and frames, multiply what was given.
MAX_VALUES = 1 << 26
_AXES = {"CHW": (0, 3, 1, 2), "HWC": (0, 1, 2, 3)}
_MOST = float(np.finfo(np.float32).max)


def prepare_number_step(step: NumberKind) -> Change:
    """What carries *step* out; InputError where it says what cannot be carried out."""
    if isinstance(step, Scale | Normalize):
        return _prepare_affine(step)
    if isinstance(step, Quantize):
        return _prepare_quantize(step)
    if isinstance(step, Cast):
        return partial(_cast, np.dtype(step.dtype))
    if isinstance(step, Layout):
        return partial(_lay_out, step.axes)
    if isinstance(step, Reshape):
        return _prepare_reshape(step)
    return partial(_fit, step) if isinstance(step, Fit) else partial(_cut_windows, step)


def check_count(shape: tuple[int, ...], remedy: str) -> None:
    """Refuse to make an array of *shape* where it would have more than MAX_VALUES values."""
    if math.prod(shape) > MAX_VALUES:
        raise InputError("size", f"it would become {list(shape)}, and {MAX_VALUES} values are the most", remedy)


def _prepare_affine(step: Scale | Normalize) -> Change:
    if isinstance(step, Scale):
        _check_floats("factor", (step.factor,))
        _check_floats("offset", (step.offset,))
        return partial(_scale, np.float32(step.factor), np.float32(step.offset))
    _check_floats("mean", step.mean)
    _check_floats("std", step.std)
    return partial(_normalize, np.array(step.mean, np.float32), np.array(step.std, np.float32))


def _check_floats(field: str, values: tuple[float, ...]) -> None:
    wrong = next((value for value in values if abs(value) > _MOST), None)
    if wrong is not None:
        raise InputError(field, f"{wrong:g} is beyond float32", "Give a smaller number.")


def _scale(factor: np.float32, offset: np.float32, array: Array) -> Array:
    scaled: Array = np.multiply(array, factor, dtype=np.float32)
    scaled += offset
    return scaled


def _normalize(mean: Array, std: Array, array: Array) -> Array:
    channels = array.shape[-1] if array.ndim > 1 else 1
    for field, values in (("mean", mean), ("std", std)):
        if len(values) not in (1, channels):
            problem = f"it has {len(values)} values, and there are {channels} channels along the last axis of {list(array.shape[1:])}"
            raise InputError(field, problem, "Give one value, or one for each channel.")
    normalized: Array = np.subtract(array, mean, dtype=np.float32)
    normalized /= std
    return normalized


def _prepare_quantize(step: Quantize) -> Change:
    limits = np.iinfo(step.dtype)
    if not limits.min <= step.zero_point <= limits.max:
        raise InputError("zero_point", f"it is {step.zero_point}, and {step.dtype} holds {limits.min} to {limits.max}", "Give one of these.")
    if not 0 < float(np.float32(step.scale)) <= _MOST:
        raise InputError("scale", f"{step.scale:g} is beyond float32", "Give the scale of the model's own input.")
    return partial(_quantize, step)


def _quantize(step: Quantize, array: Array) -> Array:
    limits = np.iinfo(step.dtype)
    steps: Array = np.rint(array / np.float32(step.scale)) + np.float32(step.zero_point)
    clipped: Array = np.clip(steps, limits.min, limits.max)
    return clipped.astype(step.dtype)


def _cast(dtype: np.dtype[Any], array: Array) -> Array:
    if dtype.kind == "f" or np.can_cast(array.dtype, dtype, "safe"):
        return array.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    if array.dtype.kind == "f":
        # 2**63 - 1 is no float64, and the next one is too high.
        high = min(float(limits.max), float(np.nextafter(2.0**63, 0.0)))
        clipped: Array = np.clip(np.rint(array.astype(np.float64)), float(limits.min), high)
    else:
        own = np.iinfo(array.dtype)
        clipped = np.clip(array, max(limits.min, own.min), min(limits.max, own.max))
    return clipped.astype(dtype)


def _lay_out(axes: str, array: Array) -> Array:
    if array.ndim != 4:
        raise InputError("axes", f"rows, columns and channels are expected, and it is {list(array.shape[1:])}", "Leave this step out.")
    if axes != "HW":
        laid_out: Array = array.transpose(_AXES[axes])
        return laid_out
    if array.shape[3] != 1:
        raise InputError("axes", f"HW is for grey pictures, and there are {array.shape[3]} channels", "Put a step color with GRAY before it.")
    return array[..., 0]


def _prepare_reshape(step: Reshape) -> Change:
    if step.shape.count(-1) > 1:
        raise InputError("shape", f"{list(step.shape)} leaves more than one size open", "Give -1 once at most.")
    return partial(_reshape, step.shape)


def _reshape(shape: tuple[int, ...], array: Array) -> Array:
    try:
        return array.reshape(len(array), *shape)
    except ValueError as error:
        raise InputError("shape", f"{list(array.shape[1:])} cannot become {list(shape)}", "Give a shape with as many values.") from error


def _fit(step: Fit, array: Array) -> Array:
    found, length = _count_along(array), step.length
    if (step.only == "cut" and found < length) or (step.only == "fill" and found > length):
        return array
    # What is left over, or lacks, lies behind, in front, or half of it in front.
    first = {"start": 0, "end": abs(found - length), "middle": abs(found - length) // 2}[step.place]
    if found >= length:
        return array[:, first : first + length]
    shape = (len(array), length, *array.shape[2:])
    check_count(shape, "Give a smaller length.")
    fitted = np.full(shape, _find_fill(step.fill, array.dtype))
    fitted[:, first : first + found] = array
    return fitted


def _find_fill(fill: float, dtype: np.dtype[Any]) -> Any:
    """*fill* as *dtype* has it; InputError where integers cannot."""
    if dtype.kind in "iu" and not (fill.is_integer() and np.iinfo(dtype).min <= fill <= np.iinfo(dtype).max):
        raise InputError("fill", f"it is {fill:g}, and the values are {dtype}", "Put a step cast before it, or give a whole number.")
    return dtype.type(fill)


def _cut_windows(step: Windows, array: Array) -> Array:
    """(windows of all samples, length, …)."""
    found = _count_along(array)
    if found < step.length:
        raise InputError("length", f"there are {found}, and a window takes {step.length}", "Give more, or put a step fit before it.")
    count = len(array) * ((found - step.length) // step.hop + 1)
    check_count((count, step.length, *array.shape[2:]), "Give less at once, or a larger hop.")
    windows = np.lib.stride_tricks.sliding_window_view(array, step.length, axis=1)[:, :: step.hop]
    return np.moveaxis(windows, -1, 2).reshape(count, step.length, *array.shape[2:])


def _count_along(array: Array) -> int:
    """How many samples of a sound, frames or rows there are."""
    if array.ndim < 2:
        raise InputError("length", "a sample is one value, which has no length", "Leave this step out.")
    return int(array.shape[1])
