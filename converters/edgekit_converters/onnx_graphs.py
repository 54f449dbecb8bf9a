"""What every change to an ONNX graph needs: a copy of it, names for its nodes, and an order in which they can run."""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from edgekit_converters.passes.graph_names import find_constants, list_reads

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


def copy_model(model: ModelProto) -> ModelProto:
    """*model* once more, to be changed."""
    copied = type(model)()
    copied.CopyFrom(model)
    return copied


def replace_nodes(model: ModelProto, nodes: Iterable[NodeProto]) -> None:
    """Put *nodes* in place of those that *model* has."""
    kept = list(nodes)
    del model.graph.node[:]
    model.graph.node.extend(kept)


def name_nodes(model: ModelProto) -> None:
    """Give each node of *model* a name of its own where it has none: quantisers leave nodes out by their names."""
    taken: set[str] = set()
    for index, node in enumerate(model.graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}:{index}"
        taken.add(node.name)


def sort_nodes(model: ModelProto) -> None:
    """Put the nodes of *model* in an order in which each follows those whose outputs it takes, in its branches too.

    Raises:
        CycleError: nodes depend on each other in a circle.
    """
    nodes = list(model.graph.node)
    makers = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    sorter: TopologicalSorter[int] = TopologicalSorter()
    for index, node in enumerate(nodes):
        sorter.add(index, *(makers[name] for name in list_reads(node) if makers.get(name, index) != index))
    replace_nodes(model, [nodes[index] for index in sorter.static_order()])


def lift_constants(model: ModelProto) -> None:
    """Make each Constant of *model* that holds a tensor an initialiser, so that weights are found in one place."""
    known = {tensor.name for tensor in model.graph.initializer}
    lifted = {name: tensor for name, tensor in find_constants(model.graph).items() if name not in known}
    for name, tensor in lifted.items():
        weights = model.graph.initializer.add()
        weights.CopyFrom(tensor)
        weights.name = name
    replace_nodes(model, [node for node in model.graph.node if not (node.op_type == "Constant" and node.output[0] in lifted)])
