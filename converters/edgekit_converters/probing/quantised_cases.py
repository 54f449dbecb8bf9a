"""A float case between quantising and dequantising operators: how an int8 variant asks for an operator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.arrays import Array, Arrays
from edgekit.operator_support import INT8
from edgekit_converters.probing.cases import Case, answer_by_reference, replace_form
from edgekit_converters.probing.opsets import is_valid

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

#: What an answer may be off, in steps of the output's scale: one for rounding, and one for an intermediate result's.
_STEPS = 2.5
_LEVELS = 255
#: Activations and weights are quantised to bytes; what comes third is a bias, in 32 bits on the scale of their products.
_QUANTISED_INPUTS = 2
#: What ONNX calls it, in Conv and the normalisations, and in Gemm.
_BIASES = ("B", "C", "bias")


def quantise_cases(cases: Iterable[Case]) -> Iterator[Case]:
    """The first float32 case of each form that can be said in int8, said so."""
    done = set()
    for case in cases:
        if case.form.dtype != "float32" or case.form in done or case.form.constants == "first":
            continue
        quantised = quantise_case(case)
        if quantised is not None:
            done.add(case.form)
            yield quantised


def quantise_case(case: Case) -> Case | None:
    """*case* with Q and DQ round its operator, and the answers of onnx's reference; None where its outputs are not all float32."""
    from onnx import ModelProto

    node = case.model.graph.node[0]
    plain = not node.domain and not any(attribute.HasField("g") for attribute in node.attribute)
    if case.is_random or not plain or any(array.dtype != np.float32 or not array.size for array in case.expected.values()):
        return None
    model = ModelProto()
    model.CopyFrom(case.model)
    _surround(model.graph, case)
    if not is_valid(model):
        return None
    expected = _answer_rounded(case)
    if expected is None:
        return None
    form = replace_form(case.form, dtype=INT8, is_quantised=True)
    steps = max(float(_find_parameters(array)[0]) for array in case.expected.values())
    return replace(case, form=form, model=model, expected=expected, rtol=0, atol=_STEPS * steps, is_restated=True, floating=case)


def _answer_rounded(case: Case) -> Arrays | None:
    """What onnx's reference answers where all that is quantised has been rounded; it has Q and DQ of few versions itself."""
    from onnx import ModelProto, numpy_helper

    model = ModelProto()
    model.CopyFrom(case.model)
    quantised = list(model.graph.node[0].input)[:_QUANTISED_INPUTS]
    for tensor in model.graph.initializer:
        if tensor.name in quantised and tensor.data_type == tensor.FLOAT:
            weights, scale = _split_weight(numpy_helper.to_array(tensor))
            tensor.CopyFrom(numpy_helper.from_array(weights * scale, tensor.name))
    inputs = {name: _round(array) if name in quantised and array.dtype == np.float32 else array for name, array in case.inputs.items()}
    answers = answer_by_reference(model, inputs)
    return None if answers is None else {name: _round(array, like=case.expected[name]) for name, array in answers.items()}


def _round(values: Array, like: Array | None = None) -> Array:
    """*values* through uint8 and back, on the scale of *like*, or of their own."""
    scale, zero = _find_parameters(values if like is None else like)
    steps = np.clip(np.round(values / scale) + np.float32(zero), 0, _LEVELS) - np.float32(zero)
    return np.asarray(steps * scale, np.float32)


def _split_weight(values: Array) -> tuple[Array, np.float32]:
    scale = np.float32(max(float(np.abs(values).max(initial=0)), 1e-6) / 127)
    return np.round(values / scale).astype(np.int8), scale


def _surround(graph: GraphProto, case: Case) -> None:
    """Put Q and DQ before the operator's first inputs and behind its outputs; the names at the border stay."""
    node = graph.node[0]
    weights = {tensor.name for tensor in graph.initializer if tensor.data_type == tensor.FLOAT}
    before: list[NodeProto] = []
    scale = np.float32(1)
    for index, name in enumerate(list(node.input)[:_QUANTISED_INPUTS]):
        if name in weights:
            scale *= _quantise_weight(graph, name, before)
        elif name in case.inputs and case.inputs[name].dtype == np.float32:
            scale *= _find_parameters(case.inputs[name])[0]
            _round_trip(graph, name, f"{name}_rounded", case.inputs[name], before)
        else:
            continue
        node.input[index] = f"{name}_rounded"
    bias = _find_bias(node)
    if bias is not None and bias in weights:
        _quantise_weight(graph, bias, before, scale)
        node.input[_QUANTISED_INPUTS] = f"{bias}_rounded"
    after: list[NodeProto] = []
    for index, name in enumerate(list(node.output)):
        if name:
            node.output[index] = f"{name}_exact"
            _round_trip(graph, f"{name}_exact", name, case.expected[name], after)
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)


def _find_bias(node: NodeProto) -> str | None:
    """The third input of *node* where ONNX calls it a bias; None where it has none there."""
    from onnx import defs

    formals = defs.get_schema(node.op_type).inputs
    has_bias = len(node.input) > _QUANTISED_INPUTS and formals[min(_QUANTISED_INPUTS, len(formals) - 1)].name in _BIASES
    return str(node.input[_QUANTISED_INPUTS]) if has_bias else None


def _round_trip(graph: GraphProto, source: str, result: str, values: Array, nodes: list[NodeProto]) -> None:
    """Add to *nodes* what quantises *source*, which has *values*, to uint8 and back to *result*."""
    from onnx import helper

    scale, zero = _find_parameters(values)
    parameters = _add_parameters(graph, source, {"scale": scale, "zero": zero})
    nodes.append(helper.make_node("QuantizeLinear", [source, *parameters], [f"{source}_quantised"]))
    nodes.append(helper.make_node("DequantizeLinear", [f"{source}_quantised", *parameters], [result]))


def _quantise_weight(graph: GraphProto, name: str, nodes: list[NodeProto], scale: np.float32 | None = None) -> np.float32:
    """Replace the weight *name* by its int8 values, or by int32 ones on *scale*, and add to *nodes* what dequantises them; the scale."""
    from onnx import helper, numpy_helper

    tensor = next(one for one in graph.initializer if one.name == name)
    values = numpy_helper.to_array(tensor)
    weights, own = _split_weight(values) if scale is None else (np.round(values / scale).astype(np.int32), scale)
    graph.initializer.remove(tensor)
    names = _add_parameters(graph, name, {weights.dtype.name: weights, "scale": own, "zero": weights.dtype.type(0)})
    nodes.append(helper.make_node("DequantizeLinear", names, [f"{name}_rounded"]))
    return own


def _add_parameters(graph: GraphProto, prefix: str, values: Mapping[str, Array | np.generic]) -> list[str]:
    from onnx import numpy_helper

    names = {f"{prefix}_{name}": np.asarray(value) for name, value in values.items()}
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in names.items())
    return list(names)


def _find_parameters(values: Array) -> tuple[np.float32, np.uint8]:
    """Scale and zero point with which uint8 reaches from the lowest of *values*, or zero, to the highest."""
    finite = np.where(np.isfinite(values), values, 0)
    low, high = min(float(finite.min(initial=0)), 0.0), float(finite.max(initial=0))
    scale = np.float32(max(high - low, 1e-6) / _LEVELS)
    return scale, np.uint8(np.clip(round(-low / float(scale)), 0, _LEVELS))
