"""Writes the small models beside this file: python make_models.py (needs ai-edge-litert, flatbuffers and onnx).

- ``affine.onnx``: y = W x + b on float32, x of shape (batch, 3), y of shape (batch, 2).
- ``strings.onnx``: gives back the strings that it takes, any number of them.
- ``sequence.onnx``: its output is a sequence, not a tensor.
- ``outside.onnx``: as affine.onnx, with its weights in ``../secret``.
- ``lacking.onnx``: its operator is of a domain that no runtime knows.
- ``half.onnx``: sums of four, computed in float16, with the first two axes of x, of shape (batch, 3, 4), exchanged.
- ``affine.tflite``: as affine.onnx.
- ``affine_int8.tflite``: the same with int8 in and out and a batch of 2.
- ``recurrent.tflite``: y = x + h, and h = y is kept for the next call unless it is reset.
"""

from pathlib import Path

import flatbuffers
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import helper
from onnx.numpy_helper import from_array

WEIGHTS = np.array([[1, 2, 3], [-1, 0, 1]], np.float32)
BIAS = np.array([0.5, -0.5], np.float32)
TYPES = {"float32": schema.TensorType.FLOAT32, "int8": schema.TensorType.INT8, "int32": schema.TensorType.INT32}


class Builder:
    """One subgraph with one operator."""

    def __init__(self):
        self.tensors, self.buffers = [], [schema.BufferT()]

    def add(self, name, dtype, shape, *, signature=None, data=None, scale=None, zero_point=0, is_variable=False):
        tensor = schema.TensorT()
        tensor.name, tensor.type, tensor.shape, tensor.shapeSignature, tensor.isVariable = name, TYPES[dtype], shape, signature, is_variable
        tensor.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data, dtype).tobytes(), np.uint8)
            self.buffers.append(buffer)
            tensor.buffer = len(self.buffers) - 1
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero_point]
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def write(self, path, code, *, options_type, options, inputs, given, output):
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = 0, inputs, [output]
        operator.builtinOptionsType, operator.builtinOptions = options_type, options
        graph = schema.SubGraphT()
        graph.tensors, graph.inputs, graph.outputs, graph.operators, graph.name = self.tensors, given, [output], [operator], "main"
        kind = schema.OperatorCodeT()
        kind.builtinCode, kind.deprecatedBuiltinCode, kind.version = (
            code,
            code,
            4 if options_type == schema.BuiltinOptions.FullyConnectedOptions else 1,
        )
        model = schema.ModelT()
        model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [kind], [graph], self.buffers
        packer = flatbuffers.Builder(1024)
        packer.Finish(model.Pack(packer), b"TFL3")
        Path(__file__).with_name(path).write_bytes(packer.Output())


def write_affine():
    builder = Builder()
    x = builder.add("x", "float32", [1, 3], signature=[-1, 3])
    weights = builder.add("weights", "float32", [2, 3], data=WEIGHTS)
    bias = builder.add("bias", "float32", [2], data=BIAS)
    y = builder.add("y", "float32", [1, 2], signature=[-1, 2])
    _write_affine(builder, "affine.tflite", [x, weights, bias], y)


def write_affine_int8():
    builder = Builder()
    x = builder.add("x", "int8", [2, 3], scale=1 / 16, zero_point=8)
    weights = builder.add("weights", "int8", [2, 3], data=WEIGHTS * 32, scale=1 / 32)
    bias = builder.add("bias", "int32", [2], data=BIAS * 512, scale=1 / 512)
    y = builder.add("y", "int8", [2, 2], scale=0.25, zero_point=-3)
    _write_affine(builder, "affine_int8.tflite", [x, weights, bias], y)


def write_recurrent():
    builder = Builder()
    x = builder.add("x", "float32", [1, 1])
    weights = builder.add("weights", "float32", [1, 1], data=[[1]])
    recurrence = builder.add("recurrence", "float32", [1, 1], data=[[1]])
    bias = builder.add("bias", "float32", [1], data=[0])
    state = builder.add("state", "float32", [1, 1], is_variable=True)
    y = builder.add("y", "float32", [1, 1])
    inputs = [x, weights, recurrence, bias, state]
    options = schema.RNNOptionsT()
    builder.write(
        "recurrent.tflite",
        schema.BuiltinOperator.RNN,
        options_type=schema.BuiltinOptions.RNNOptions,
        options=options,
        inputs=inputs,
        given=[x],
        output=y,
    )


def _write_affine(builder, path, inputs, output):
    options = schema.FullyConnectedOptionsT()
    builder.write(
        path,
        schema.BuiltinOperator.FULLY_CONNECTED,
        options_type=schema.BuiltinOptions.FullyConnectedOptions,
        options=options,
        inputs=inputs,
        given=inputs[:1],
        output=output,
    )


def write_onnx_models():
    floats, strings = onnx.TensorProto.FLOAT, onnx.TensorProto.STRING
    weights, bias = from_array(WEIGHTS, "weights"), from_array(BIAS, "bias")
    x, y = helper.make_tensor_value_info("x", floats, ["batch", 3]), helper.make_tensor_value_info("y", floats, ["batch", 2])
    _write_onnx("affine.onnx", [helper.make_node("Gemm", ["x", "weights", "bias"], ["y"], transB=1)], x, y, [weights, bias])
    _write_onnx("outside.onnx", [helper.make_node("Gemm", ["x", "weights", "bias"], ["y"], transB=1)], x, y, [_move_out(weights), bias])
    texts, same = helper.make_tensor_value_info("texts", strings, [None]), helper.make_tensor_value_info("same", strings, [None])
    _write_onnx("strings.onnx", [helper.make_node("Identity", ["texts"], ["same"])], texts, same, [])
    parts = helper.make_tensor_sequence_value_info("parts", floats, None)
    _write_onnx("sequence.onnx", [helper.make_node("SequenceConstruct", ["x"], ["parts"])], x, parts, [])
    _write_half(floats, onnx.TensorProto.FLOAT16)
    _write_onnx("lacking.onnx", [helper.make_node("Shimmer", ["x"], ["y"], domain="org.example")], x, y, [])


def _write_half(floats, halves):
    x, y = helper.make_tensor_value_info("x", floats, ["batch", 3, 4]), helper.make_tensor_value_info("y", floats, [3, "batch", 5])
    nodes = [
        helper.make_node("Cast", ["x"], ["half"], to=halves),
        helper.make_node("Transpose", ["half"], ["turned"], perm=[1, 0, 2]),
        helper.make_node("MatMul", ["turned", "ones"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["y"], to=floats),
    ]
    _write_onnx("half.onnx", nodes, x, y, [from_array(np.ones((4, 5), np.float16), "ones")])


def _move_out(tensor):
    moved = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims, data_location=onnx.TensorProto.EXTERNAL)
    moved.external_data.add(key="location", value="../secret")
    return moved


def _write_onnx(path, nodes, given, output, weights):
    graph = helper.make_graph(nodes, "main", [given], [output], weights)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("org.example", 1)]
    Path(__file__).with_name(path).write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


if __name__ == "__main__":
    write_onnx_models()
    write_affine()
    write_affine_int8()
    write_recurrent()
