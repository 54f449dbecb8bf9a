"""What speaks against quantising by some samples, though they can be read: they are few, all alike, or noise."""

import math
from collections.abc import Iterator

import numpy as np

from edgekit.arrays import Array
from edgekit.datasets.base import Boxes
from edgekit.datasets.streaming import Prepared

#: Below so many samples the ranges of activations are those of a few pictures.
FEW = 32
#: So many rows are looked at, evenly spread.
LOOKED_AT = 64
#: Neighbours in pictures, sounds and spectra are alike: a correlation above 0.5 even where they are rich in detail. In noise
#: it is 0, with a standard deviation of 1 / sqrt(n), which from 256 values on is 0.06 at most.
NOISE_CORRELATION, _NOISE_VALUES = 0.2, 256
_SHORTEST_AXIS = 8
#: So large a share of the rows looked at is no accident.
_MANY = 0.1


def judge_calibration(prepared: Prepared) -> list[str]:
    """What speaks against calibrating by *prepared*, a sentence each; none where nothing does.

    Inputs of wide integers are numbers of tokens, whose neighbours say nothing of each other, and are not looked at.
    """
    return [*_judge_number(prepared), *_judge_truths(prepared), *(line for name in prepared.inputs for line in _judge_input(name, prepared))]


def _judge_number(prepared: Prepared) -> Iterator[str]:
    if prepared.n < FEW:
        yield f"there are {prepared.n} samples to calibrate by, and fewer than {FEW} give ranges that others leave"
    elif len(prepared.items) < FEW // 4:
        yield f"all {prepared.n} samples are pieces of {len(prepared.items)} recordings, which others may be unlike"


def _judge_truths(prepared: Prepared) -> Iterator[str]:
    classes = {truth for truth in prepared.truths if isinstance(truth, int)}
    if len(classes) == 1 and len(prepared.items) > 1:
        yield f"all samples are of one class, {next(iter(classes))}"
    boxes = [truth for truth in prepared.truths if isinstance(truth, Boxes)]
    if boxes and not any(len(one.classes) for one in boxes):
        yield "no sample has an object in it"


def _judge_input(name: str, prepared: Prepared) -> Iterator[str]:
    array = prepared.inputs[name]
    rows = [array[index] for index in sorted({round(place) for place in np.linspace(0, len(array) - 1, LOOKED_AT)})]
    if array.dtype.kind != "f" and array.dtype.name not in ("int8", "uint8", "int16"):
        return
    different = len({row.tobytes() for row in rows})
    if different < len(rows) * (1 - _MANY):
        yield f"of {len(rows)} samples looked at, only {different} are different in input {name!r}"
    flat = sum(row.size > 1 and bool((row == row.flat[0]).all()) for row in rows)
    if flat > len(rows) * _MANY:
        yield f"{flat} of {len(rows)} samples looked at have one value everywhere in input {name!r}"
    correlations = [found for row in rows if (found := measure_likeness(row)) is not None]
    if correlations and float(np.median(correlations)) < NOISE_CORRELATION:
        yield f"input {name!r} looks like noise: neighbouring values have nothing to do with each other (correlation {np.median(correlations):.2f})"


def measure_likeness(sample: Array) -> float | None:
    """How alike neighbours in *sample* are: the highest correlation along any of its axes, from -1 to 1.

    None where it has too few values to tell, all the same, or no axis along which there are neighbours: a single row of
    figures has its columns in any order, unless it is as long as a sound.
    """
    figures = np.asarray(sample, np.float64).squeeze()
    if figures.size < _NOISE_VALUES or bool((figures == figures.flat[0]).all()) or (figures.ndim == 1 and len(figures) < 16 * _NOISE_VALUES):
        return None
    axes = [axis for axis, size in enumerate(figures.shape) if size >= _SHORTEST_AXIS]
    found = [_correlate(np.moveaxis(figures, axis, 0)) for axis in axes]
    return max((value for value in found if math.isfinite(value)), default=None)


def _correlate(figures: Array) -> float:
    first, second = figures[:-1].ravel(), figures[1:].ravel()
    with np.errstate(all="ignore"):
        return float(np.corrcoef(first, second)[0, 1])
