"""A pass over every hub: Dropout, which does nothing when a model answers, is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit_converters.passes.base import PassResult
from edgekit_converters.passes.graph_names import count_readers
from edgekit_converters.passes.rename_tensors import rename_uses

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


class DropDropouts:
    """Lets whoever reads a Dropout read what it was given. One that gives an output, or its mask to anybody, stays."""

    def run(self, model: ModelProto) -> PassResult:
        """*model* without Dropout. The model that was given is not changed: that is the contract of every pass."""
        readers = count_readers(model.graph)
        outputs = {value.name for value in model.graph.output}
        idle = [index for index, node in enumerate(model.graph.node) if _is_idle(node) and not outputs & set(node.output)]
        idle = [index for index in idle if not any(readers[name] for name in model.graph.node[index].output[1:])]
        if not idle:
            return PassResult(model, modified=False)
        dropped = type(model)()
        dropped.CopyFrom(model)
        for index in reversed(idle):
            node = dropped.graph.node.pop(index)
            rename_uses(dropped.graph, {node.output[0]: node.input[0]})
        return PassResult(dropped, modified=True)


def _is_idle(node: NodeProto) -> bool:
    """Whether *node* is a Dropout that is not told to train (its third input, from opset 12 on)."""
    return node.op_type == "Dropout" and not any(node.input[2:])
