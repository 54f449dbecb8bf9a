"""The inputs and outputs of an ONNX model as tensor specs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import InputError
from edgekit.tensors import DType, TensorSpec

if TYPE_CHECKING:
    from pathlib import Path

    from onnx import ModelProto, ValueInfoProto

# TensorProto.DataType in onnx.proto, for those element types that a spec can name.
# fmt: off
_DTYPES: dict[int, DType] = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "bytes",
    9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 16: "bfloat16",
}
# fmt: on
#: Numbers of channels that pictures have: grey, with depth or motion, colour, colour with one more.
_CHANNELS = (1, 2, 3, 4)
#: What a TensorSpec can say.
_LONGEST_NAME, _MOST_AXES = 256, 32


def describe_inputs(model: ModelProto, path: Path) -> tuple[TensorSpec, ...]:
    """The specs of the inputs of *model*, all of whose sizes have a value or a name; InputError where one is no tensor."""
    return tuple(_describe(value, "input", path, finite=False) for value in model.graph.input)


def describe_outputs(model: ModelProto, path: Path) -> tuple[TensorSpec, ...]:
    """The specs of the outputs of *model*. Floats must come out finite."""
    return tuple(_describe(value, "output", path, finite=True) for value in model.graph.output)


def find_element_type(dtype: DType) -> int:
    """TensorProto.DataType of *dtype*."""
    return next(number for number, known in _DTYPES.items() if known == dtype)


def _describe(value: ValueInfoProto, kind: str, path: Path, *, finite: bool) -> TensorSpec:
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or tensor.elem_type not in _DTYPES:
        raise InputError(path, f"its {kind} {value.name!r} is not a tensor of plain numbers or strings", "Export the model with plain tensors.")
    if not tensor.HasField("shape"):
        raise InputError(path, f"its {kind} {value.name!r} has no shape", "Export the model again with the shapes of its inputs and outputs.")
    if len(value.name) > _LONGEST_NAME or len(tensor.shape.dim) > _MOST_AXES:
        problem = f"its {kind} {value.name[:_LONGEST_NAME]!r} has {len(value.name)} letters and {len(tensor.shape.dim)} axes"
        raise InputError(path, f"{problem}, and at most {_LONGEST_NAME} and {_MOST_AXES} are served", "Export the model with others.")
    dtype = _DTYPES[tensor.elem_type]
    shape = tuple(dimension.dim_param or dimension.dim_value for dimension in tensor.shape.dim)
    if any(isinstance(size, int) and size < 0 for size in shape):
        raise InputError(path, f"its {kind} {value.name!r} has the shape {list(shape)}, and no size is below zero", "Export the model again.")
    layout = _find_layout(shape) if kind == "input" and dtype.startswith(("float", "bfloat")) else None
    return TensorSpec(name=value.name, dtype=dtype, shape=shape, layout=layout, finite=finite and dtype.startswith(("float", "bfloat")))


def _find_layout(shape: tuple[int | str, ...]) -> str | None:
    """``NCHW`` or ``NHWC`` where only one of the two axes has as many channels as pictures have; else None."""
    if len(shape) != 4:
        return None
    first, last = shape[1] in _CHANNELS, shape[3] in _CHANNELS
    if first == last:
        return None
    return "NCHW" if first else "NHWC"
