"""What is told of a contract before any caller comes."""

from pathlib import Path

import pytest

from edgekit.contract import Cast, Cepstrum, Feature, Filterbank, Fit, Layout, Log, Normalize, Resample, Scale, Spectrogram, Stack, Windows
from edgekit.errors import InputError
from edgekit.processing.features import prepare_feature
from edgekit.processing.rehearsal import rehearse
from edgekit.tensors import TensorSpec

ROOT = Path()
MEL = (Spectrogram(frame=480, hop=320, fft=512), Filterbank(rate=16_000, bands=40, low=20.0, high=4000.0), Log(offset=1e-6))


def run(kind, steps, *shape, dtype="float32", columns=()):
    """Rehearse a feature of *kind* for an input of *shape*."""
    feature = Feature(name="given", kind=kind, feeds="x", steps=steps, columns=columns)
    rehearse(prepare_feature(feature, ROOT), (TensorSpec(name="x", dtype=dtype, shape=("n", *shape)),))


@pytest.mark.parametrize(
    ("kind", "steps", "shape"),
    [
        ("image", (Scale(factor=1.0), Layout(axes="CHW")), (3, 99, 77)),
        ("series", (Normalize(mean=(1.0, 2.0), std=(1.0,)), Windows(length=26, hop=13)), (26, 2)),
        ("series", (Scale(factor=2.0),), (17, 4)),
        ("series", (Fit(length=5_000), Windows(length=1000, hop=7)), (1000, 2)),
        ("audio", (Resample(rate=16_000), Fit(length=16_000), *MEL, Cepstrum(coefficients=10)), (49, 10)),
        ("audio", (Resample(rate=16_000), *MEL), ("frames", 40)),
        ("audio", (Resample(rate=16_000), *MEL, Stack(frames=5)), (200,)),
        ("audio", (Resample(rate=16_000), *MEL, Windows(length=100, hop=50)), (100, 40)),
        ("audio", (Resample(rate=16_000),), (16_000,)),
    ],
)
def test_what_fits_is_let_through(kind, steps, shape):
    """A contract whose own sizes are the model's passes, and so does one whose sizes depend on the caller."""
    pytest.importorskip("soundfile")
    pytest.importorskip("soxr")
    run(kind, steps, *shape)


@pytest.mark.parametrize(
    ("kind", "steps", "shape", "told"),
    [
        ("series", (Windows(length=26, hop=13),), (25, 3), r"they make float32\[n, 26, 3\] of it, and the model's input is x: float32\[n, 25, 3\]"),
        ("series", (Normalize(mean=(1.0, 2.0), std=(1.0,)),), ("rows", 3), r"they make float32\[n, \?, 2\]"),
        ("series", (Cast(dtype="int8"),), ("rows", 3), r"they make int8\[n, \?, 3\]"),
        ("series", (), ("rows", 3, 1), r"they make float32\[n, \?, 3\]|they make float32\[n, \?, 1\]"),
        ("audio", (Resample(rate=16_000), Fit(length=16_000), *MEL), (49, 39), r"they make float32\[n, 49, 40\]"),
        ("audio", (Resample(rate=16_000), *MEL, Stack(frames=5)), (201,), r"they make float32\[n, 200\]"),
        ("audio", (Resample(rate=16_000), *MEL, Normalize(mean=(1.0, 2.0), std=(1.0,))), (49, 40), r"step 5 \(normalize\): mean: it has 2 values"),
    ],
)
def test_what_cannot_fit_is_told(kind, steps, shape, told):
    """A size, dtype or number of axes that is the contract's own and not the model's is refused with both."""
    pytest.importorskip("soundfile")
    pytest.importorskip("soxr")
    with pytest.raises(InputError, match=rf"input 'given', .*{told}"):
        run(kind, steps, *shape)


def test_columns_that_are_named_count():
    """A table's columns are as many as are named, whatever the model takes."""
    with pytest.raises(InputError, match=r"they make float32\[n, \?, 2\]"):
        run("series", (), "rows", 3, columns=("left", "right"))
    run("series", (), "rows", 2, columns=("left", "right"))


def test_what_would_take_long_is_not_rehearsed():
    """A window of millions of samples is left for the caller's own, so that a contract is opened in bounded time."""
    run("series", (Windows(length=10_000_000, hop=1),), 10_000_000, 3)
