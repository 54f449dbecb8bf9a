"""ONNX in 16 bits: weights stored in half for CPUs, and whole networks in half for accelerators that compute in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from edgekit.arrays import Array
from edgekit.errors import ConversionError
from edgekit.runtimes.packages import summarize
from edgekit_converters.onnx_graphs import copy_model, replace_nodes, sort_nodes
from edgekit_converters.onnx_opsets import find_opset

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

#: The fewest values for which a Cast pays.
FEWEST = 64
#: The largest number that is written into a half network: two of them still have a sum in float16, whose end is 65504.
LARGEST_HALF = 3e4
# Sums and powers that leave the range or the 11 bits of float16: as NVIDIA says of normalisation
# ("Reduce and Pow layers", docs.nvidia.com/deeplearning/tensorrt, accuracy considerations).
_UNSAFE = (
    "CumSum", "Exp", "InstanceNormalization", "Log", "LpNormalization", "MeanVarianceNormalization", "Pow", "ReduceL1",
    "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMean", "ReduceProd", "ReduceSum", "ReduceSumSquare",
)  # fmt: skip


def store_halved(model: ModelProto, number: str) -> ModelProto:
    """*model* with its float32 weights stored as *number*, ``fp16`` or ``bf16``, and a Cast to float32 behind each.

    CPUs compute float32 faster than half, and ONNX Runtime has float16 for few operators on a CPU and bfloat16 for nearly
    none. So the file halves and the speed stays: ONNX Runtime folds each Cast when it loads. Measured with 34 MB of dense
    weights on ONNX Runtime 1.17 and 1.32: 17 MB on disk, 11.0 against 11.1 ms, and 88 against 73 MB of memory once loaded.
    A weight too large for float16 stays as it is.

    Raises:
        ConversionError: it has no weights to be halved.
    """
    halved = copy_model(model)
    casts = []
    for tensor in halved.graph.initializer:
        small = _halve(tensor, number)
        if small is not None:
            casts.append(_cast_back(small.name, tensor.name))
            tensor.CopyFrom(small)
    if not casts:
        raise ConversionError(f"onnx-{number}", f"it has no float32 tensor of {FEWEST} weights or more that {number} could hold", "Use fp32.")
    replace_nodes(halved, [*casts, *halved.graph.node])
    return halved


def _halve(tensor: TensorProto, number: str) -> TensorProto | None:
    """*tensor* as *number* under a name of its own; None where it is not float32, small, or beyond the range of *number*."""
    import ml_dtypes
    from onnx import TensorProto, numpy_helper

    if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < FEWEST:
        return None
    values = numpy_helper.to_array(tensor)
    with np.errstate(over="ignore"):
        small: Array = values.astype(np.float16 if number == "fp16" else ml_dtypes.bfloat16)
    if not np.array_equal(np.isfinite(values), np.isfinite(small.astype(np.float32))):
        return None
    return numpy_helper.from_array(small, f"{tensor.name}:{number}")


def _cast_back(given: str, name: str) -> NodeProto:
    from onnx import TensorProto, helper

    return helper.make_node("Cast", [given], [name], name=f"{given}:cast", to=TensorProto.FLOAT)


def type_halved(model: ModelProto, number: str) -> ModelProto:
    """*model* as a typed network: weights and activations in *number*, ``fp16`` or ``bf16``, inputs and outputs in float32.

    ONNX Runtime's own converter does it (onnxruntime.transformers.float16). Operators whose result leaves the range of half
    stay in float32, each between two Casts, and so do those that ONNX does not have in *number* at this opset: a Conv, for
    one, takes bfloat16 from opset 22 on.

    Raises:
        ConversionError: the converter fails on this model, or what it makes is not valid ONNX.
    """
    import onnx

    try:
        typed = _convert_to_half(model, number)
        if number == "bf16":
            _widen_range(typed, model)
        onnx.checker.check_model(typed, full_check=True)
    except Exception as error:
        # The converter raises ValueError, AssertionError and KeyError, and onnx's checker its own.
        raise ConversionError(f"onnx-{number}", f"onnxruntime cannot type it in half: {summarize(error)}", "Use fp32.") from error
    return typed


def _convert_to_half(model: ModelProto, number: str) -> ModelProto:
    from onnxruntime.transformers import float16

    typed: ModelProto = float16.convert_float_to_float16(
        copy_model(model),
        max_finite_val=LARGEST_HALF,
        keep_io_types=True,
        op_block_list=[*float16.DEFAULT_OP_BLOCK_LIST, *_UNSAFE, *_list_lacking(model, number)],
    )
    sort_nodes(typed)
    del typed.graph.value_info[:]
    return typed


def _list_lacking(model: ModelProto, number: str) -> Iterator[str]:
    """The operators of *model* that ONNX does not have in *number* at its opset."""
    from onnx import defs

    opset, name = find_opset(model), "tensor(float16)" if number == "fp16" else "tensor(bfloat16)"
    for operator in {node.op_type for node in model.graph.node if node.domain == "" and defs.has(node.op_type, "")}:
        schema = defs.get_schema(operator, opset)
        allowed = [constraint.allowed_type_strs for constraint in schema.type_constraints]
        if not any(name in types for types in allowed) and any("tensor(float)" in types for types in allowed):
            yield operator


def _widen_range(typed: ModelProto, model: ModelProto) -> None:
    """Make each float16 of *typed* a bfloat16, with the weights of *model*, which float16 may have clipped."""
    import ml_dtypes
    from onnx import TensorProto, numpy_helper

    given = {tensor.name: tensor for tensor in model.graph.initializer}
    for tensor in typed.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16 and given[tensor.name].data_type == TensorProto.FLOAT:
            wide = numpy_helper.to_array(given[tensor.name]).astype(ml_dtypes.bfloat16)
            tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))
    for attribute in (attribute for node in typed.graph.node for attribute in node.attribute):
        if attribute.name in ("to", "dtype") and attribute.i == TensorProto.FLOAT16:
            attribute.i = TensorProto.BFLOAT16
        elif attribute.t.data_type == TensorProto.FLOAT16:
            attribute.t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(attribute.t).astype(ml_dtypes.bfloat16)))
