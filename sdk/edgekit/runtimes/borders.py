"""The border of a model file: arrays as the source model has them, and as the file has them."""

import numpy as np

from edgekit.arrays import Array
from edgekit.tensors import Binding, Quantization, TensorSpec


def to_native(array: Array, binding: Binding) -> Array:
    """*array*, which is as the source model takes it, as the file takes it."""
    if binding.permutation is not None:
        array = array.transpose(binding.permutation)
    native = binding.native
    if native.quantization is not None and array.dtype.kind == "f":
        array = quantize(array, native.quantization, native.dtype)
    return np.ascontiguousarray(array, dtype=np.dtype(native.dtype) if native.dtype != "bytes" else None)


def from_native(array: Array, binding: Binding, spec: TensorSpec) -> Array:
    """*array*, which is as the file gives it, as the source model would give it."""
    native = binding.native
    if native.quantization is not None and spec.dtype.startswith("float"):
        array = dequantize(array, native.quantization)
    if binding.permutation is not None:
        array = array.transpose(np.argsort(binding.permutation))
    if spec.dtype == "bytes":
        return array
    return array.astype(spec.dtype, copy=False)


def quantize(array: Array, quantization: Quantization, dtype: str) -> Array:
    """Real values as integers: round half to even of value / scale + zero_point, held in the range of *dtype*."""
    scale, zero_point = _along_axis(quantization, array.ndim)
    limits = np.iinfo(dtype)
    steps: Array = np.clip(np.rint(array / scale) + zero_point, limits.min, limits.max)
    return steps.astype(dtype)


def dequantize(array: Array, quantization: Quantization) -> Array:
    """Integers as the real values that they stand for, float32."""
    scale, zero_point = _along_axis(quantization, array.ndim)
    real: Array = (array.astype(np.float32) - zero_point) * scale
    return real


def _along_axis(quantization: Quantization, ndim: int) -> tuple[Array, Array]:
    shape = [1] * ndim
    if quantization.axis is not None:
        shape[quantization.axis] = len(quantization.scale)
    scale = np.array(quantization.scale, np.float32).reshape(shape)
    return scale, np.array(quantization.zero_point, np.float32).reshape(shape)
