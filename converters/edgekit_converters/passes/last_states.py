"""Reads the last state of recurrent layers from the whole sequence, for tools that get their own output for it wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit_converters.passes.base import PassResult

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

_RECURRENT = ("GRU", "LSTM", "RNN")
#: Which input of a recurrent operator has the lengths of the sequences (ONNX Operators.md, LSTM, inputs).
_LENGTHS = 4


class LastStates:
    """Replaces ``Y_h`` of GRU, LSTM and RNN by the steps of ``Y`` that it repeats: the last one forwards, the first one in reverse.

    ``Y`` is [steps, directions, batch, hidden] and ``Y_h`` [directions, batch, hidden] (ONNX Operators.md, LSTM). Where the
    sequences have lengths of their own, or the batch comes first, the node stays as it is.
    """

    def run(self, model: ModelProto) -> PassResult:
        """*model* with every such state read from the sequence."""
        changed = type(model)()
        changed.CopyFrom(model)
        found = [node for node in changed.graph.node if _has_state(node)]
        for node in found:
            _replace_state(changed.graph, node)
        return PassResult(changed, modified=bool(found))


def _has_state(node: NodeProto) -> bool:
    if node.op_type not in _RECURRENT or len(node.output) < 2 or not node.output[1]:
        return False
    has_lengths = len(node.input) > _LENGTHS and bool(node.input[_LENGTHS])
    return not has_lengths and _read_attribute(node, "layout", 0) == 0


def _replace_state(graph: GraphProto, node: NodeProto) -> None:
    """Put behind *node* what makes its state of its sequence, under the state's name."""
    state = node.output[1]
    node.output[0] = node.output[0] or f"{state}.sequence"
    node.output[1] = ""
    direction = _read_attribute(node, "direction", b"forward").decode()
    nodes = _take_both(graph, node.output[0], state) if direction == "bidirectional" else [_take(graph, node.output[0], state, _step_of(direction))]
    place = next(index for index, one in enumerate(graph.node) if one is node or one == node)
    for offset, one in enumerate(nodes, 1):
        graph.node.insert(place + offset, one)


def _step_of(direction: str) -> int:
    return 0 if direction == "reverse" else -1


def _take_both(graph: GraphProto, sequence: str, state: str) -> list[NodeProto]:
    """The forward direction's last step beside the reverse direction's first one."""
    from onnx import helper

    nodes = []
    for index, direction in enumerate(("forward", "reverse")):
        step, own = f"{state}.{direction}.step", f"{state}.{direction}"
        nodes += [_take(graph, sequence, step, _step_of(direction)), _take(graph, step, own, [index])]
    return [*nodes, helper.make_node("Concat", [f"{state}.forward", f"{state}.reverse"], [state], axis=0)]


def _take(graph: GraphProto, tensor: str, output: str, index: int | list[int]) -> NodeProto:
    """A node that gives what is at *index* on the first axis of *tensor*; a list of one keeps that axis."""
    from onnx import helper, numpy_helper

    name = f"{output}.index"
    graph.initializer.append(numpy_helper.from_array(np.array(index, np.int64), name))
    return helper.make_node("Gather", [tensor, name], [output], axis=0)


def _read_attribute(node: NodeProto, name: str, default: Any) -> Any:
    from onnx import helper

    return next((helper.get_attribute_value(one) for one in node.attribute if one.name == name), default)
