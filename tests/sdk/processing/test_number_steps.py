"""Scaling, normalising, laying out, quantising, casting, fitting and cutting: numbers by their definitions."""

import numpy as np
import pytest

from edgekit.contract import Cast, Fit, Layout, Normalize, Quantize, Reshape, Scale, Windows
from edgekit.errors import InputError
from edgekit.processing.number_steps import prepare_number_step


def run(step, values):
    return prepare_number_step(step)(np.asarray(values))


def test_scale_is_times_factor_plus_offset():
    """Bytes become float32, each times the factor, plus the offset."""
    scaled = run(Scale(factor=1 / 127.5, offset=-1.0), np.array([[0, 255]], np.uint8))
    assert scaled.dtype == np.float32
    assert scaled.tolist() == [[-1.0, 1.0]]


def test_normalize_is_by_channel_or_for_all():
    """The mean is taken away and the deviation divides, one for each of the last axis, or one for all."""
    values = np.array([[[1.0, 2.0], [3.0, 4.0]]], np.float32)
    assert run(Normalize(mean=(1.0, 2.0), std=(2.0, 4.0)), values).tolist() == [[[0, 0], [1, 0.5]]]
    assert run(Normalize(mean=(1.0,), std=(2.0,)), values).tolist() == [[[0, 0.5], [1, 1.5]]]
    assert values[0, 0, 0] == 1.0


def test_normalize_needs_as_many_values_as_channels():
    """Three means for one channel are refused, where numpy would make three channels of it."""
    with pytest.raises(InputError, match=r"mean: it has 3 values, and there are 1 channels along the last axis of \[4, 4, 1\]"):
        run(Normalize(mean=(0.1, 0.2, 0.3), std=(1.0,)), np.zeros((1, 4, 4, 1), np.float32))


def test_layouts():
    """CHW and HWC move the channels of each sample, and HW drops the one of grey pictures."""
    values = np.arange(24).reshape(1, 2, 4, 3)
    assert (run(Layout(axes="CHW"), values) == values.transpose(0, 3, 1, 2)).all()
    assert run(Layout(axes="HWC"), values).shape == (1, 2, 4, 3)
    assert run(Layout(axes="HW"), values[..., :1]).shape == (1, 2, 4)
    with pytest.raises(InputError, match="HW is for grey pictures, and there are 3 channels"):
        run(Layout(axes="HW"), values)
    with pytest.raises(InputError, match=r"axes: rows, columns and channels are expected, and it is \[24\]"):
        run(Layout(axes="CHW"), values.reshape(1, 24))


def test_reshape_keeps_samples_apart():
    """The shape is that of one sample, and -1 what is left."""
    values = np.arange(24).reshape(2, 12)
    assert run(Reshape(shape=(3, -1)), values).shape == (2, 3, 4)
    with pytest.raises(InputError, match=r"shape: \[12\] cannot become \[5, 2\]"):
        run(Reshape(shape=(5, 2)), values)
    with pytest.raises(InputError, match="leaves more than one size open"):
        run(Reshape(shape=(-1, -1)), values)


def test_quantize_rounds_halves_to_even_and_clips():
    """Quantised is round(value / scale) + zero point, within the dtype."""
    quantised = run(Quantize(dtype="int8", scale=0.5, zero_point=-1), np.array([[0.25, 0.75, 1.25, -100, 100]], np.float32))
    assert quantised.dtype == np.int8
    assert quantised.tolist() == [[-1, 1, 1, -128, 127]]


def test_quantize_gives_the_bytes_of_mlperf_tiny():
    """A picture from 0 to 1 at the scale 1/255 and zero point -128 is its pixels less 128."""
    pixels = np.arange(256, dtype=np.uint8)[None]
    unit = run(Scale(factor=1 / 255), pixels)
    quantised = run(Quantize(dtype="int8", scale=1 / 255, zero_point=-128), unit)
    assert (quantised.astype(int) == pixels.astype(int) - 128).all()


@pytest.mark.parametrize("zero_point", [128, -129, 10**12])
def test_a_zero_point_outside_its_dtype_is_refused(zero_point):
    """The zero point must be one of the dtype's own numbers."""
    with pytest.raises(InputError, match=r"zero_point: .* int8 holds -128 to 127"):
        prepare_number_step(Quantize(dtype="int8", scale=1.0, zero_point=zero_point))


@pytest.mark.parametrize(
    "step", [Scale(factor=1e39), Scale(factor=1.0, offset=-1e39), Normalize(mean=(1e300,), std=(1.0,)), Quantize(dtype="int8", scale=1e-60)]
)
def test_figures_beyond_float32_are_refused(step):
    """What float32 cannot hold is told when the contract is opened."""
    with pytest.raises(InputError, match="beyond float32"):
        prepare_number_step(step)


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        ("uint8", [-3.0, 0.5, 1.5, 254.5, 300.0], [0, 0, 2, 254, 255]),
        ("int32", [-1e20, 2147483648.0, 1.4], [-(2**31), 2**31 - 1, 1]),
        ("int64", [-1e30, 1e30], [-(2**63), 2**63 - 1024]),
        ("int8", np.array([-500, 7, 500], np.int32), [-128, 7, 127]),
        ("int64", np.array([200], np.uint8), [200]),
        ("uint8", np.array([-1, 2**40], np.int64), [0, 255]),
    ],
)
def test_cast_rounds_and_clips(dtype, values, expected):
    """Floats are rounded, halves to even, and everything is kept within the range of the new dtype."""
    cast = run(Cast(dtype=dtype), np.array(values)[None])
    assert cast.dtype == np.dtype(dtype)
    assert cast.tolist() == [expected]


def test_cast_to_floats():
    """To floats nothing is rounded but by the float itself."""
    assert run(Cast(dtype="float16"), np.array([[0.1]], np.float32)).dtype == np.float16
    assert run(Cast(dtype="float32"), np.array([[7]], np.uint8)).tolist() == [[7.0]]


@pytest.mark.parametrize(
    ("place", "longer", "shorter"),
    [
        ("start", [0, 1, 2], [0, 1, 2, 3, 4, 9, 9, 9]),
        ("end", [2, 3, 4], [9, 9, 9, 0, 1, 2, 3, 4]),
        ("middle", [1, 2, 3], [9, 0, 1, 2, 3, 4, 9, 9]),
    ],
)
def test_fit_cuts_and_fills(place, longer, shorter):
    """What is longer is cut and what is shorter filled, at the place that was asked for."""
    values = np.arange(5, dtype=np.float32)[None]
    assert run(Fit(length=3, place=place), values).tolist() == [longer]
    assert run(Fit(length=8, place=place, fill=9.0), values).tolist() == [shorter]


@pytest.mark.parametrize(("only", "lengths"), [("cut", (3, 5)), ("fill", (5, 8))])
def test_fit_may_do_one_of_both(only, lengths):
    """With only, what is shorter is left alone, or what is longer."""
    values = np.zeros((1, 5, 2), np.float32)
    assert tuple(run(Fit(length=length, only=only), values).shape[1] for length in (3, 8)) == lengths


def test_fit_fills_integers_with_integers():
    """A fill that the values' dtype cannot hold is refused."""
    assert run(Fit(length=3, fill=7.0), np.zeros((1, 2), np.uint8)).tolist() == [[0, 0, 7]]
    for fill in (0.5, -1.0, 256.0):
        with pytest.raises(InputError, match=r"fill: it is .*, and the values are uint8"):
            run(Fit(length=3, fill=fill), np.zeros((1, 2), np.uint8))


def test_windows_are_samples():
    """Each window is a sample of its own, those of one sample after those of the other; a short last one is left out."""
    values = np.arange(14).reshape(2, 7)
    assert run(Windows(length=3, hop=2), values).tolist() == [[0, 1, 2], [2, 3, 4], [4, 5, 6], [7, 8, 9], [9, 10, 11], [11, 12, 13]]
    assert run(Windows(length=4, hop=4), values).tolist() == [[0, 1, 2, 3], [7, 8, 9, 10]]


def test_windows_keep_columns():
    """A table's columns stay behind its rows."""
    values = np.arange(12).reshape(1, 6, 2)
    windows = run(Windows(length=2, hop=3), values)
    assert windows.tolist() == [[[0, 1], [2, 3]], [[6, 7], [8, 9]]]


def test_too_little_for_a_window_is_refused():
    """What is shorter than one window says how long it is."""
    with pytest.raises(InputError, match="there are 2, and a window takes 3"):
        run(Windows(length=3, hop=1), np.zeros((1, 2)))


def test_windows_and_fits_are_bounded():
    """Windows that would multiply what was given by thousands are refused before they are made, and so are huge fits."""
    with pytest.raises(InputError, match=r"it would become \[984001, 16000\]"):
        run(Windows(length=16_000, hop=1), np.zeros((1, 1_000_000), np.float32))
    with pytest.raises(InputError, match=r"it would become \[1, 16000000, 64\]"):
        run(Fit(length=16_000_000), np.zeros((1, 10, 64), np.float32))
