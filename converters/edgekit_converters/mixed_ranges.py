"""Detectors that put boxes and scores into one output: one int8 scale for both would round every score to zero.

Ultralytics' head, for one, ends in ``Concat(boxes, Sigmoid(classes))`` with boxes up to 640 and scores up to 1: a step of
640 / 255 is 2.5, and no score is as large. So such a Concat stays in float, with what stands between it and the weighted
operators before it. That tail moves numbers and adds few, so it costs next to nothing in float.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.arrays import Array
from edgekit.errors import ConversionError
from edgekit.runtimes.packages import summarize

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

#: The lowest and the highest value that a tensor took.
Range = tuple[float, float]

#: How much wider one operand may be than another: at 16 the narrow one has 4 of 8 bits left.
FACTOR = 16.0
#: Operators that only move numbers, so that a Concat behind them decides the output's range.
_MOVING = ("Cast", "Concat", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze")
#: Operators that belong to the tail: they move numbers, or take a few operations for each.
_LIGHT = (*_MOVING, "Add", "Clip", "Div", "Exp", "Max", "Min", "Mul", "Pow", "Relu", "Sigmoid", "Softmax", "Sub", "Tanh")


def find_mixed_nodes(model: ModelProto, batches: Iterable[Mapping[str, Array]]) -> list[NodeProto]:
    """The nodes of *model* that must stay in float, in the graph's order; none where no output mixes ranges.

    The model runs over *batches* once, in ONNX Runtime, and only where it has a Concat that could mix them.
    """
    concats = find_final_concats(model.graph)
    if not concats:
        return []
    ranges = measure_ranges(model, [name for concat in concats for name in concat.input], batches)
    mixed = [concat for concat in concats if is_mixed([ranges[name] for name in concat.input])]
    return list_tail(model.graph, mixed)


def find_final_concats(graph: GraphProto) -> list[NodeProto]:
    """Each Concat from which an output of *graph* is reached through operators that only move numbers."""
    producers = _map_producers(graph)
    reached = _walk_back(producers, [value.name for value in graph.output], _MOVING)
    return [node for node in graph.node if node.op_type == "Concat" and node.output[0] in reached]


def is_mixed(ranges: Iterable[Range]) -> bool:
    """Whether tensors with these *ranges* lose more than half of their bits to a scale that serves them all.

    A tensor that is always zero loses nothing.
    """
    widths = [max(abs(low), abs(high)) for low, high in ranges]
    widths = [width for width in widths if width > 0]
    return bool(widths) and max(widths) > FACTOR * min(widths)


def list_tail(graph: GraphProto, concats: Iterable[NodeProto]) -> list[NodeProto]:
    """*concats*, what moves their numbers to an output, and the light operators that lead to them."""
    producers, consumers = _map_producers(graph), _map_consumers(graph)
    starts = [concat.output[0] for concat in concats]
    tail = _walk_back(producers, starts, _LIGHT) | _walk_on(consumers, starts)
    return [node for node in graph.node if not tail.isdisjoint(node.output)]


def measure_ranges(model: ModelProto, tensors: Iterable[str], batches: Iterable[Mapping[str, Array]]) -> dict[str, Range]:
    """The range of each of *tensors* over *batches*. One batch's values are held at a time, and nothing of a batch stays.

    Raises:
        ConversionError: ONNX Runtime cannot run the model.
    """
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    wanted = list(dict.fromkeys(tensors))
    ranges = {name: _span(numpy_helper.to_array(constants[name])) for name in wanted if name in constants}
    varying = [name for name in wanted if name not in constants]
    for answers in _run(model, varying, batches):
        for name, array in zip(varying, answers, strict=True):
            low, high = _span(array)
            before = ranges.get(name, (low, high))
            ranges[name] = (min(before[0], low), max(before[1], high))
    return ranges


def _run(model: ModelProto, tensors: list[str], batches: Iterable[Mapping[str, Array]]) -> Iterator[list[Array]]:
    """The values of *tensors* for each of *batches*."""
    import onnx
    import onnxruntime

    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    given = {value.name for value in (*model.graph.input, *model.graph.output)}
    opened.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in given)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session: Any = onnxruntime.InferenceSession(opened.SerializeToString(), options, providers=["CPUExecutionProvider"])
        for batch in batches:
            found = session.run([name for name in tensors if name not in batch], dict(batch))
            answers = iter(found)
            yield [batch[name] if name in batch else next(answers) for name in tensors]
    except Exception as error:
        # ONNX Runtime's exceptions have no common root.
        raise ConversionError("calibration", f"onnxruntime cannot run the model: {summarize(error)}") from error


def _span(array: Array) -> Range:
    """The lowest and the highest finite value of *array*; zeros where it has none."""
    values = np.asarray(array, np.float64)
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def _map_producers(graph: GraphProto) -> dict[str, NodeProto]:
    return {name: node for node in graph.node for name in node.output if name}


def _map_consumers(graph: GraphProto) -> dict[str, list[NodeProto]]:
    consumers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    return consumers


def _walk_back(producers: Mapping[str, NodeProto], starts: Iterable[str], through: tuple[str, ...]) -> set[str]:
    """The outputs of all nodes that *starts* come from, as far as their operators are among *through*."""
    reached: set[str] = set()
    waiting = list(starts)
    while waiting:
        node = producers.get(waiting.pop())
        if node is not None and node.op_type in through and reached.isdisjoint(node.output):
            reached.update(node.output)
            waiting.extend(node.input)
    return reached


def _walk_on(consumers: Mapping[str, list[NodeProto]], starts: Iterable[str]) -> set[str]:
    """The outputs of all nodes that *starts* lead to, as far as they only move numbers."""
    reached: set[str] = set()
    waiting = list(starts)
    while waiting:
        for node in consumers.get(waiting.pop(), []):
            if node.op_type in _MOVING and reached.isdisjoint(node.output):
                reached.update(node.output)
                waiting.extend(node.output)
    return reached
