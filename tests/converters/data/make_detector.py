"""Writes ``detector.tflite`` beside this file: python make_detector.py (needs ai-edge-litert and flatbuffers).

A picture of 4 x 4 goes through two convolutions that give 16 boxes and their scores of two classes, and what comes out of
TFLite_Detection_PostProcess, TensorFlow's own operator for single-shot detectors, are the best five.
"""

from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

FLOAT32, INT32 = schema.TensorType.FLOAT32, schema.TensorType.INT32
OPERATORS, OPTIONS = schema.BuiltinOperator, schema.BuiltinOptions
CUSTOM = "TFLite_Detection_PostProcess"
CELLS = 16


class Builder:
    """One graph that grows operator by operator."""

    def __init__(self):
        self.tensors, self.buffers, self.codes, self.operators = [], [schema.BufferT()], [], []

    def add_tensor(self, name, shape, data=None, kind=FLOAT32):
        tensor = schema.TensorT()
        tensor.name, tensor.type, tensor.shape, tensor.buffer = name, kind, shape, 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self.buffers.append(buffer)
            tensor.buffer = len(self.buffers) - 1
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def add_operator(self, code, inputs, outputs, options=(0, None), custom=None):
        kind = schema.OperatorCodeT()
        kind.builtinCode, kind.deprecatedBuiltinCode, kind.version = code, min(code, 127), 1
        operator = schema.OperatorT()
        if custom is not None:
            kind.customCode, operator.customOptions = CUSTOM, np.frombuffer(custom, np.uint8)
        self.codes.append(kind)
        operator.opcodeIndex, operator.inputs, operator.outputs = len(self.codes) - 1, inputs, outputs
        operator.builtinOptionsType, operator.builtinOptions = options
        self.operators.append(operator)

    def add_head(self, image, name, width, spread, rng):
        """A convolution of one pixel from *image* to *width* numbers for each cell."""
        weights = self.add_tensor(f"{name}_weights", [width, 1, 1, 3], rng.normal(0, spread, (width, 1, 1, 3)).astype(np.float32))
        bias = self.add_tensor(f"{name}_bias", [width], np.zeros(width, np.float32))
        features, flat = self.add_tensor(f"{name}_map", [1, 4, 4, width]), self.add_tensor(name, [1, CELLS, width])
        convolution, reshape = schema.Conv2DOptionsT(), schema.ReshapeOptionsT()
        convolution.padding, convolution.strideW, convolution.strideH = schema.Padding.SAME, 1, 1
        convolution.dilationWFactor, convolution.dilationHFactor = 1, 1
        reshape.newShape = [1, CELLS, width]
        self.add_operator(OPERATORS.CONV_2D, [image, weights, bias], [features], (OPTIONS.Conv2DOptions, convolution))
        sizes = self.add_tensor(f"{name}_sizes", [3], np.array(reshape.newShape, np.int32), INT32)
        self.add_operator(OPERATORS.RESHAPE, [features, sizes], [flat], (OPTIONS.ReshapeOptions, reshape))
        return flat

    def write(self, path, inputs, outputs):
        graph, model = schema.SubGraphT(), schema.ModelT()
        graph.tensors, graph.inputs, graph.outputs, graph.operators, graph.name = self.tensors, inputs, outputs, self.operators, "main"
        model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, self.codes, [graph], self.buffers
        packer = flatbuffers.Builder(1024)
        packer.Finish(model.Pack(packer), b"TFL3")
        path.write_bytes(packer.Output())


def make_options():
    builder = flexbuffers.Builder()
    with builder.Map():
        for name, value in {"max_detections": 5, "max_classes_per_detection": 1, "detections_per_class": 100, "num_classes": 2}.items():
            builder.Int(name, value)
        for name, value in {"x_scale": 10.0, "y_scale": 10.0, "w_scale": 5.0, "h_scale": 5.0}.items():
            builder.Float(name, value)
        for name, value in {"nms_iou_threshold": 0.6, "nms_score_threshold": 1e-8}.items():
            builder.Float(name, value)
        builder.Bool("use_regular_nms", False)
    return bytes(builder.Finish())


def make_anchors():
    """A box of 0.3 around the middle of each cell, as its middle and size: y, x, height, width."""
    middles = (np.arange(4) + 0.5) / 4
    rows, columns = np.meshgrid(middles, middles, indexing="ij")
    return np.stack([rows.ravel(), columns.ravel(), np.full(CELLS, 0.3), np.full(CELLS, 0.3)], 1).astype(np.float32)


def write_detector():
    builder, rng = Builder(), np.random.default_rng(3)
    image = builder.add_tensor("image", [1, 4, 4, 3])
    boxes = builder.add_head(image, "boxes", 4, 0.3, rng)
    logits = builder.add_head(image, "logits", 3, 2.0, rng)
    scores = builder.add_tensor("scores", [1, CELLS, 3])
    builder.add_operator(OPERATORS.LOGISTIC, [logits], [scores])
    anchors = builder.add_tensor("anchors", [CELLS, 4], make_anchors())
    shapes = {CUSTOM: [1, 5, 4], f"{CUSTOM}:1": [1, 5], f"{CUSTOM}:2": [1, 5], f"{CUSTOM}:3": [1]}
    outputs = [builder.add_tensor(name, shape) for name, shape in shapes.items()]
    builder.add_operator(OPERATORS.CUSTOM, [boxes, scores, anchors], outputs, custom=make_options())
    builder.write(Path(__file__).with_name("detector.tflite"), [image], outputs)


if __name__ == "__main__":
    write_detector()
