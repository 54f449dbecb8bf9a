"""Arrays on their way between the source model's form and the file's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.runtimes.borders import dequantize, from_native, quantize, to_native
from edgekit.tensors import Binding, Quantization, TensorSpec

PER_TENSOR = Quantization(scale=(0.5,), zero_point=(3,))


def bind(native: TensorSpec, permutation: tuple[int, ...] | None = None) -> Binding:
    return Binding(name="x", native=native, permutation=permutation)


def spec(dtype: str, *shape: int | str, quantization: Quantization | None = None) -> TensorSpec:
    return TensorSpec(name="x", dtype=dtype, shape=shape, quantization=quantization)


def test_a_permutation_goes_there_and_back():
    """An NCHW array becomes NHWC in the file, contiguous, and the same array again outside."""
    source = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    binding = bind(spec("float32", 2, 4, 5, 3), permutation=(0, 2, 3, 1))
    native = to_native(source, binding)
    assert native.shape == (2, 4, 5, 3) and native.flags.c_contiguous
    assert native[1, 2, 3, 0] == source[1, 0, 2, 3]
    np.testing.assert_array_equal(from_native(native, binding, spec("float32", 2, 3, 4, 5)), source)


def test_values_are_rounded_half_to_even_and_held_in_range():
    """Quantising rounds halves to the even step, adds the zero point, and stops at the dtype's ends."""
    values = np.array([0.25, 0.75, -0.25, 1000.0, -1000.0], np.float32)
    np.testing.assert_array_equal(quantize(values, PER_TENSOR, "int8"), np.array([3, 5, 3, 127, -128], np.int8))


def test_steps_stand_for_values():
    """Dequantising takes the zero point away and multiplies with the scale, in float32."""
    real = dequantize(np.array([3, 5, -128], np.int8), PER_TENSOR)
    assert real.dtype == np.float32
    np.testing.assert_array_equal(real, np.array([0.0, 1.0, -65.5], np.float32))


def test_scales_lie_along_their_axis():
    """Quantisation per channel uses each channel's own scale and zero point."""
    per_channel = Quantization(scale=(1.0, 0.5), zero_point=(0, 10), axis=1)
    values = np.array([[4.0, 4.0], [-1.0, -1.0]], np.float32)
    steps = quantize(values, per_channel, "int8")
    np.testing.assert_array_equal(steps, np.array([[4, 18], [-1, 8]], np.int8))
    np.testing.assert_array_equal(dequantize(steps, per_channel), values)


@given(st.lists(st.floats(-60, 60, width=32), min_size=1, max_size=20))
def test_a_round_trip_is_off_by_half_a_step_at_most(values):
    """What was quantised comes back within half a scale wherever the dtype reaches."""
    array = np.array(values, np.float32)
    back = dequantize(quantize(array, PER_TENSOR, "int8"), PER_TENSOR)
    assert np.abs(back - array).max() <= 0.25


def test_integers_of_a_quantised_tensor_pass_as_they_are():
    """A source that itself gives integers to a quantised tensor is not quantised a second time."""
    binding = bind(spec("int8", "n", quantization=PER_TENSOR))
    steps = np.array([1, -2], np.int8)
    np.testing.assert_array_equal(to_native(steps, binding), steps)
    np.testing.assert_array_equal(from_native(steps, binding, spec("int8", "n")), steps)


def test_a_narrower_dtype_in_the_file_is_converted():
    """A file that takes int32 where the source takes int64 gets int32, and callers get int64."""
    binding = bind(spec("int32", "n"))
    assert to_native(np.array([7], np.int64), binding).dtype == np.int32
    assert from_native(np.array([7], np.int32), binding, spec("int64", "n")).dtype == np.int64


@pytest.mark.parametrize("texts", [np.array([b"a", b"bc"], object), np.array(["a", "bc"], object)])
def test_strings_pass_as_they_are(texts):
    """Strings are neither converted nor copied into another dtype."""
    binding = bind(spec("bytes", "n"))
    assert to_native(texts, binding).tolist() == texts.tolist()
    assert from_native(texts, binding, spec("bytes", "n")) is texts
