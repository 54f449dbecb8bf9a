"""Whether an ONNX graph is one that TensorRT 10 and later reads, and runs in the numbers that it says.

The rules are those of TensorRT's own parser, so that a graph without a finding fails on no device for what is written in it:
github.com/onnx/onnx-tensorrt, release/10.0-GA and release/10.1-GA, docs/operators.md and onnxOpImporters.cpp
(``QuantDequantLinearHelper``); and NVIDIA's "Working with Quantized Types", which has the quantisation symmetric, and
"Explicit Quantization", by which the conversions in the graph are the only ones (docs.nvidia.com/deeplearning/tensorrt).
No GPU takes part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.arrays import Array
from edgekit.runtimes.packages import summarize
from edgekit_converters.onnx_opsets import ONNX_DOMAINS, find_opset

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

#: What the parser of TensorRT 10.0 reads: "the inclusive range of opset 9 to opset 20" (docs/operators.md).
OLDEST_OPSET, NEWEST_OPSET = 9, 20
QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
#: Operators that multiply an activation, their first input, with weights, their second, and may add a bias, their third.
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_WEIGHTS, _BIAS = 1, 2
_NAME_LETTERS = 60
# Marked "N" in docs/operators.md of 10.0, and DeformConv, which came with 10.1.
# fmt: off
UNSUPPORTED = frozenset({
    "AffineGrid", "Bernoulli", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "BlackmanWindow",
    "CenterCropPad", "Col2Im", "Compress", "ConcatFromSequence", "ConvInteger", "DFT", "DeformConv", "Det",
    "DynamicQuantizeLinear", "HammingWindow", "HannWindow", "ImageDecoder", "MatMulInteger", "MaxRoiPool", "MaxUnpool",
    "MelWeightMatrix", "Multinomial", "NegativeLogLikelihoodLoss", "Optional", "OptionalGetElement", "OptionalHasElement",
    "QLinearConv", "QLinearMatMul", "RegexFullMatch", "STFT", "SequenceAt", "SequenceConstruct", "SequenceEmpty",
    "SequenceErase", "SequenceInsert", "SequenceLength", "SequenceMap", "SoftmaxCrossEntropyLoss", "SplitToSequence",
    "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer", "Unique",
})
# fmt: on


@dataclass(frozen=True)
class Finding:
    """One breach: the *rule*'s name, the *node* or tensor where it is, and what is wrong there."""

    rule: str
    node: str
    problem: str

    def __str__(self) -> str:
        # Names that were joined in fusing run to hundreds of letters; the last ones tell nodes apart.
        node = self.node if len(self.node) <= _NAME_LETTERS else f"…{self.node[1 - _NAME_LETTERS :]}"
        return f"{node}: {self.problem} ({self.rule})"


class _View:
    """A graph with its constants, and who makes and takes each tensor."""

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.nodes: list[NodeProto] = list(model.graph.node)
        self.constants: dict[str, TensorProto] = {tensor.name: tensor for tensor in model.graph.initializer}
        self.makers = {name: node for node in self.nodes for name in node.output if name}
        self.takers: dict[str, list[NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                self.takers.setdefault(name, []).append(node)

    def list_quantisers(self, *operators: str) -> Iterator[NodeProto]:
        """The nodes of *operators*, by default those that quantise and dequantise."""
        return (node for node in self.nodes if node.op_type in (operators or (QUANTIZE, DEQUANTIZE)))

    def find_array(self, node: NodeProto, index: int) -> Array | None:
        """The constant that *node* takes as its input *index*; None where it has no such input, or it is no constant."""
        from onnx import numpy_helper

        if len(node.input) <= index or node.input[index] not in self.constants:
            return None
        found: Array = numpy_helper.to_array(self.constants[node.input[index]])
        return found

    def find_dequantiser(self, node: NodeProto, index: int) -> NodeProto | None:
        """The DequantizeLinear that makes input *index* of *node*; None where there is none."""
        maker = self.makers.get(node.input[index]) if len(node.input) > index else None
        return maker if maker is not None and maker.op_type == DEQUANTIZE else None


def lint(model: ModelProto) -> list[Finding]:
    """What in *model* breaks a rule, in the order of the rules; empty where TensorRT 10 can build an engine of it."""
    view = _View(model)
    return [finding for rule in _RULES for finding in rule(view)]


def _check_opset(view: _View) -> Iterator[Finding]:
    opset = find_opset(view.model)
    if not OLDEST_OPSET <= opset <= NEWEST_OPSET:
        yield Finding("opset", "model", f"its opset is {opset}, and {OLDEST_OPSET} to {NEWEST_OPSET} are read")


def _check_operators(view: _View) -> Iterator[Finding]:
    for node in view.nodes:
        if node.domain not in ONNX_DOMAINS:
            yield Finding("operators", _name(node), f"{node.domain}.{node.op_type} is none of ONNX's own operators")
        elif node.op_type in UNSUPPORTED:
            yield Finding("operators", _name(node), f"the parser has no {node.op_type}")


def _check_borders(view: _View) -> Iterator[Finding]:
    """Inputs and outputs keep the types that callers give: half and integers stay inside."""
    from onnx import TensorProto

    for value in (*view.model.graph.input, *view.model.graph.output):
        if value.type.tensor_type.elem_type in (TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.INT8):
            yield Finding("borders", value.name, "an input or output is in half or in int8")


def _check_types(view: _View) -> Iterator[Finding]:
    """A strongly typed network has one type for each tensor, by the rules of ONNX's own type inference."""
    import onnx

    try:
        onnx.shape_inference.infer_shapes(view.model, check_type=True, strict_mode=True)
    except onnx.shape_inference.InferenceError as error:
        yield Finding("types", "model", summarize(error))


def _check_zero_points(view: _View) -> Iterator[Finding]:
    """TensorRT "only supports symmetric quantization": zero points are int8 and zero; left out, ONNX has uint8."""
    for node in view.list_quantisers():
        zeros = view.find_array(node, 2)
        if zeros is None:
            yield Finding("zero points", _name(node), "its zero point is left out or no constant, and int8 zeros are expected")
        elif zeros.dtype != np.int8:
            yield Finding("zero points", _name(node), f"its zero point is {zeros.dtype}, and int8 is expected")
        elif zeros.any():
            yield Finding("zero points", _name(node), "its zero point is not zero")


def _check_scales(view: _View) -> Iterator[Finding]:
    """The parser says "Scale coefficients must all be positive", and here they are known when the engine is built."""
    for node in view.list_quantisers():
        scale = view.find_array(node, 1)
        if scale is None:
            yield Finding("scales", _name(node), "its scale is no constant")
        elif not (np.isfinite(scale).all() and (scale > 0).all()):
            yield Finding("scales", _name(node), "its scale is not positive")


def _check_activations(view: _View) -> Iterator[Finding]:
    """An activation has one scale ("does not support per-axis quantization"), and a pair keeps it."""
    for node in view.list_quantisers(QUANTIZE):
        scale = view.find_array(node, 1)
        if scale is not None and scale.size != 1:
            yield Finding("activations", _name(node), f"an activation has {scale.size} scales, and one is expected")
        for taker in view.takers.get(node.output[0], []):
            back = view.find_array(taker, 1)
            if taker.op_type == DEQUANTIZE and scale is not None and (back is None or not np.array_equal(scale, back)):
                yield Finding("activations", _name(taker), "it has another scale than the QuantizeLinear before it")


def _check_pairs(view: _View) -> Iterator[Finding]:
    """Integers go into DequantizeLinear alone: each QuantizeLinear has one behind it, and gives no output."""
    outputs = {value.name for value in view.model.graph.output}
    for node in view.list_quantisers(QUANTIZE):
        takers = view.takers.get(node.output[0], [])
        if node.output[0] in outputs or not takers or any(taker.op_type != DEQUANTIZE for taker in takers):
            yield Finding("pairs", _name(node), "its integers go elsewhere than into DequantizeLinear")


def _check_weights(view: _View) -> Iterator[Finding]:
    """Weights have one scale for each output channel, along the axis that the operator sums nothing over."""
    for node in view.nodes:
        dequantiser = view.find_dequantiser(node, _WEIGHTS) if node.op_type in WEIGHTED else None
        weights = None if dequantiser is None else view.find_array(dequantiser, 0)
        if dequantiser is None or weights is None:
            continue
        axis, scale = find_channel_axis(node, weights.ndim), view.find_array(dequantiser, 1)
        count = 0 if scale is None else scale.size
        if weights.dtype != np.int8:
            yield Finding("weights", _name(node), f"its weights are {weights.dtype}, and int8 is expected")
        elif count != weights.shape[axis]:
            yield Finding("weights", _name(node), f"its weights have {count} scales for {weights.shape[axis]} channels")
        elif count > 1 and _find_axis(dequantiser) % weights.ndim != axis:
            yield Finding("weights", _name(node), f"its weights' scales lie along axis {_find_axis(dequantiser)}, and its channels along {axis}")


def _check_whole(view: _View) -> Iterator[Finding]:
    """NVIDIA says "quantize all inputs of weighted operations": weights alone in int8 would be multiplied as floats."""
    for node in view.nodes:
        if node.op_type in WEIGHTED and view.find_dequantiser(node, _WEIGHTS) is not None and view.find_dequantiser(node, 0) is None:
            yield Finding("weighted inputs", _name(node), "its weights are quantised, and what they are multiplied with is not")


def _check_biases(view: _View) -> Iterator[Finding]:
    """A bias stays in float: DequantizeLinear takes int8, and of int32 the parser says "only activation types allowed"."""
    for node in view.nodes:
        if node.op_type in WEIGHTED and view.find_dequantiser(node, _BIAS) is not None:
            yield Finding("biases", _name(node), "its bias is quantised")


_RULES: tuple[Callable[[_View], Iterator[Finding]], ...] = (
    _check_opset,
    _check_operators,
    _check_borders,
    _check_types,
    _check_zero_points,
    _check_scales,
    _check_activations,
    _check_pairs,
    _check_weights,
    _check_whole,
    _check_biases,
)


def find_channel_axis(node: NodeProto, rank: int) -> int:
    """The axis of the weights of *node*, which have *rank* axes, along which its output channels lie."""
    if node.op_type == "Conv":
        return 0
    if node.op_type == "ConvTranspose":
        return 1
    transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    return rank - 2 if transposed else rank - 1


def _find_axis(node: NodeProto) -> int:
    """The axis of a QuantizeLinear or DequantizeLinear; 1 where it does not say (onnx/docs/Operators.md)."""
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == "axis"), 1)


def _name(node: NodeProto) -> str:
    return str(node.name or node.output[0])
