"""Strings at a runtime's border: callers give and get bytes, and ONNX Runtime and OpenVINO speak of text in UTF-8.

Given bytes, ONNX Runtime would take their Python spelling, ``b'…'``, for the text.
"""

from collections.abc import Sequence

import numpy as np

from edgekit.arrays import Array
from edgekit.tensors import TensorSpec


def has_texts(specs: Sequence[TensorSpec]) -> bool:
    """Whether any of *specs* is a tensor of strings."""
    return any(spec.dtype == "bytes" for spec in specs)


def decode_texts(specs: Sequence[TensorSpec], arrays: Sequence[Array]) -> list[Array]:
    """*arrays* with those of strings as arrays of str objects; UnicodeDecodeError where bytes are not UTF-8."""
    return [_decode(array) if spec.dtype == "bytes" else array for spec, array in zip(specs, arrays, strict=True)]


def encode_texts(specs: Sequence[TensorSpec], arrays: Sequence[Array]) -> list[Array]:
    """*arrays* with those of strings as arrays of bytes objects."""
    return [_encode(array) if spec.dtype == "bytes" else array for spec, array in zip(specs, arrays, strict=True)]


def _decode(array: Array) -> Array:
    texts = np.empty(array.size, object)
    texts[:] = [item.decode() if isinstance(item, bytes) else str(item) for item in array.ravel()]
    return texts.reshape(array.shape)


def _encode(array: Array) -> Array:
    encoded = np.empty(array.size, object)
    encoded[:] = [item.encode() if isinstance(item, str) else bytes(item) for item in array.ravel()]
    return encoded.reshape(array.shape)
