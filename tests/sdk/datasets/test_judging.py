"""What speaks against calibrating by some samples."""

import numpy as np
import pytest

from edgekit.arrays import Array
from edgekit.datasets.base import Boxes, Truth
from edgekit.datasets.judging import judge_calibration, measure_likeness
from edgekit.datasets.streaming import Item, Prepared

RNG = np.random.default_rng(0)


def _smooth(count: int, *shape: int) -> Array:
    """Pictures whose neighbours are alike: sums of random steps along each axis."""
    pictures = RNG.normal(size=(count, *shape))
    for axis in range(1, pictures.ndim):
        pictures = pictures.cumsum(axis=axis)
    return pictures.astype(np.float32)


def _prepare(array: Array, truths: tuple[Truth | None, ...] = (), rows: int = 1) -> Prepared:
    items = [
        Item(str(place), place * rows, (place + 1) * rows, truths[place % len(truths)] if truths else None) for place in range(len(array) // rows)
    ]
    return Prepared({"x": array}, tuple(items))


def test_good() -> None:
    """Nothing speaks against enough different pictures of several classes."""
    assert judge_calibration(_prepare(_smooth(64, 3, 28, 28), (0, 1, 2))) == []


def test_few() -> None:
    """Four pictures are too few, and so are a thousand windows of two recordings."""
    assert any("there are 4 samples" in doubt for doubt in judge_calibration(_prepare(_smooth(4, 28, 28))))
    assert any("pieces of 2 recordings" in doubt for doubt in judge_calibration(_prepare(_smooth(100, 28, 28), rows=50)))


@pytest.mark.parametrize(
    "noise",
    [
        RNG.normal(size=(64, 1, 28, 28)).astype(np.float32),
        RNG.integers(0, 256, (64, 32, 32, 3)).astype(np.uint8),
        RNG.uniform(-1, 1, (64, 16_000)).astype(np.float32),
    ],
)
def test_noise(noise: Array) -> None:
    """Noise in the form of pictures or of sounds is called by its name."""
    doubts = judge_calibration(_prepare(noise, (0, 1)))
    assert len(doubts) == 1
    assert "looks like noise" in doubts[0]


def test_no_noise() -> None:
    """A sound, a spectrum and rows of unordered figures are no noise."""
    time = np.arange(16_000) / 16_000
    tones = np.stack([np.sin(2 * np.pi * rate * time) for rate in RNG.uniform(100, 3000, 64)]).astype(np.float32)
    for array in (tones, _smooth(64, 49, 10, 1), RNG.normal(size=(64, 640)).astype(np.float32), RNG.normal(size=(64, 5, 3)).astype(np.float32)):
        assert judge_calibration(_prepare(array, (0, 1))) == []


def test_constant() -> None:
    """Samples that have one value everywhere, or are all the same, are noticed."""
    doubts = judge_calibration(_prepare(np.zeros((64, 28, 28), np.float32)))
    assert any("64 of 64 samples looked at have one value everywhere" in doubt for doubt in doubts)
    assert any("only 1 are different" in doubt for doubt in doubts)
    few = _smooth(64, 28, 28)
    few[1:5] = 0
    assert judge_calibration(_prepare(few)) == []


def test_tokens() -> None:
    """Numbers of tokens and masks of ones are not looked at."""
    prepared = Prepared({"ids": RNG.integers(0, 9, (64, 1024)), "mask": np.ones((64, 1024), np.int64)}, _prepare(_smooth(64, 2, 2)).items)
    assert judge_calibration(prepared) == []


def test_classes() -> None:
    """Samples of one class, and pictures without any object, are noticed."""
    assert "all samples are of one class, 3" in judge_calibration(_prepare(_smooth(64, 28, 28), (3,)))
    empty = Boxes(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0, bool))
    assert "no sample has an object in it" in judge_calibration(_prepare(_smooth(64, 28, 28), (empty,)))


def test_likeness() -> None:
    """The likeness of neighbours is near one in what is smooth, near zero in noise, and unknown where nothing can be told."""
    assert (measure_likeness(_smooth(1, 64, 64)[0]) or 0) > 0.9
    assert abs(measure_likeness(RNG.normal(size=(64, 64))) or 1) < 0.1
    for unknown in (np.zeros((64, 64)), np.zeros((3, 3)), RNG.normal(size=640), np.zeros(0)):
        assert measure_likeness(unknown) is None
