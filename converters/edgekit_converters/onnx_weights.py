"""ONNX with integers for weights alone: what is downloaded and held shrinks, and activations keep their exactness."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from edgekit.arrays import Array
from edgekit.errors import ConversionError
from edgekit.runtimes.packages import summarize
from edgekit_converters.muting import muted
from edgekit_converters.onnx_graphs import copy_model, replace_nodes

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

#: The fewest weights of one tensor for which integers pay.
FEWEST = 1024
#: Weights that share one scale in four bits.
_BLOCK = 32
#: MatMulNBits takes activations to int8 for the product (com.microsoft.MatMulNBits, accuracy_level).
_IN_INT8 = 4
_REMEDY = "Use static int8, or fp32."


def store_in_int8(model: ModelProto) -> ModelProto:
    """*model* with the constant weights of MatMul, Gemm and Gather in int8, one scale a column (of Gather a row).

    Behind each stand a Cast and a Mul, which ONNX Runtime folds when it loads: a quarter of the size, and float32's speed
    and memory, on every version. DequantizeLinear in their place is not folded, and took seven times as long as float32 for
    one token; MatMulNBits in 8 bits is as fast as int8-dynamic, and ONNX Runtime 1.17 refuses it.

    Raises:
        ConversionError: it has no MatMul or Gemm with constant weights.
    """
    stored = copy_model(model)
    if not any(node.op_type != "Gather" for node, _ in _list_weighted(stored)):
        raise ConversionError("onnx-int8-weights", f"it has no MatMul or Gemm with {FEWEST} constant weights or more", _REMEDY)
    _store(stored)
    return stored


def store_in_int4(model: ModelProto) -> ModelProto:
    """*model* with the constant weights of MatMul and Gemm in four bits, a scale for each 32, and Gather's in int8.

    com.microsoft.MatMulNBits of ONNX Runtime 1.17 and later does it, and its own tool writes it. Measured on dense layers of
    34 MB, one thread: 5.3 MB, 9.4 ms against 11.1 for 128 tokens and 0.12 against 0.91 for one, 29 MB of memory against 73.
    Symmetric blocks are as exact as those with zero points to one part in twenty, and take half the time on 1.17. ONNX's own
    blocked DequantizeLinear wants opset 21, which 1.17 refuses, and took four times as long as float32 for one token.

    Raises:
        ConversionError: it has no MatMul or Gemm with constant weights.
    """
    try:
        with muted():
            packed = _pack(copy_model(model))
    except Exception as error:
        # The tool raises ValueError, AssertionError and numpy's own.
        raise ConversionError("onnx-int4-weights", f"onnxruntime cannot pack it: {summarize(error)}", "Use the fp32 variant.") from error
    if not any(node.op_type == "MatMulNBits" for node in packed.graph.node):
        raise ConversionError("onnx-int4-weights", f"it has no MatMul or Gemm with {FEWEST} constant weights or more", _REMEDY)
    _store(packed)
    return packed


def _pack(model: ModelProto) -> ModelProto:
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    from onnxruntime.quantization.onnx_model import ONNXModel

    split = ONNXModel(model)
    split.replace_gemm_with_matmul()
    small = [node.name for node in model.graph.node if node.op_type == "MatMul" and _count(model, node.input[1]) < FEWEST]
    tool = MatMulNBitsQuantizer(model, bits=4, block_size=_BLOCK, is_symmetric=True, accuracy_level=_IN_INT8, nodes_to_exclude=small)
    tool.process()
    packed: ModelProto = tool.model.model
    return packed


def _count(model: ModelProto, name: str) -> int:
    return next((int(np.prod(tensor.dims)) for tensor in model.graph.initializer if tensor.name == name), 0)


def _store(model: ModelProto) -> None:
    # Two nodes may share their weights, as a language model's first and last layers do: the first decides.
    axes: dict[str, int] = {}
    for node, weights in _list_weighted(model):
        axes.setdefault(weights.name, _find_axis(node, len(weights.dims)))
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    restoring = [node for name, axis in axes.items() for node in _store_one(model, constants[name], axis)]
    replace_nodes(model, [*restoring, *model.graph.node])


def _list_weighted(model: ModelProto) -> Iterator[tuple[NodeProto, TensorProto]]:
    """Each node with its large float32 weights."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer if tensor.data_type == tensor.FLOAT and np.prod(tensor.dims) >= FEWEST}
    for node in model.graph.node:
        place = {"MatMul": 1, "Gemm": 1, "Gather": 0}.get(node.op_type)
        if place is not None and node.domain == "" and node.input[place] in constants and len(constants[node.input[place]].dims) > 1:
            yield node, constants[node.input[place]]


def _find_axis(node: NodeProto, rank: int) -> int:
    """The axis of the weights along which products are summed: what lies along it shares a scale."""
    transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    return rank - 1 if node.op_type == "Gather" or transposed else rank - 2


def _store_one(model: ModelProto, weights: TensorProto, axis: int) -> list[NodeProto]:
    """Put *weights* into *model* as integers with their scales; the nodes that make float32 of them again."""
    from onnx import TensorProto, helper, numpy_helper

    name = weights.name
    integers, scales = _round(numpy_helper.to_array(weights), axis)
    weights.CopyFrom(numpy_helper.from_array(integers, f"{name}:int8"))
    model.graph.initializer.append(numpy_helper.from_array(scales, f"{name}:scale"))
    return [
        helper.make_node("Cast", [f"{name}:int8"], [f"{name}:steps"], name=f"{name}:cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}:steps", f"{name}:scale"], [name], name=f"{name}:mul"),
    ]


def _round(values: Array, axis: int) -> tuple[Array, Array]:
    """*values* in steps from -127 to 127, and the size of a step for each slice along *axis*."""
    scales = np.abs(values).max(axis=axis, keepdims=True) / np.float32(127)
    scales = np.where(scales > 0, scales, np.float32(1)).astype(np.float32)
    return np.rint(values / scales).astype(np.int8), scales
