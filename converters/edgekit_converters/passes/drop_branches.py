"""Takes the branch that is always taken, and drops the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit_converters.passes.base import PassResult
from edgekit_converters.passes.graph_names import choose_name, find_constants, list_names
from edgekit_converters.passes.rename_tensors import rename_graph

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto


class DropBranches:
    """Replaces each ``If`` whose condition is constant by the operators of the branch that is taken.

    The tensors of the branch get the name of the ``If`` before theirs. Its results come out under the names of the ``If`` through
    ``Identity``, since a branch may give a tensor from outside, or one tensor twice.
    """

    def run(self, model: ModelProto) -> PassResult:
        """*model* without branches that are never taken. An ``If`` inside of another one goes once that one has gone."""
        from onnx import numpy_helper

        constants = find_constants(model.graph)
        taken = {}
        for index, node in enumerate(model.graph.node):
            if node.op_type == "If" and node.input[0] in constants:
                condition = bool(numpy_helper.to_array(constants[node.input[0]]).all())
                taken[index] = "then_branch" if condition else "else_branch"
        if not taken:
            return PassResult(model, modified=False)
        opened = type(model)()
        opened.CopyFrom(model)
        _open_branches(opened.graph, taken)
        return PassResult(opened, modified=True)


def _open_branches(graph: GraphProto, taken: dict[int, str]) -> None:
    names = list_names(graph)
    given = list(graph.node)
    made: list[NodeProto] = []
    for index, node in enumerate(given):
        if index in taken:
            branch = next(attribute.g for attribute in node.attribute if attribute.name == taken[index])
            made += _open_branch(graph, node, branch, names)
        else:
            made.append(node)
    copies = [type(node).FromString(node.SerializeToString()) for node in made]
    del graph.node[:]
    graph.node.extend(copies)


def _open_branch(graph: GraphProto, node: NodeProto, branch: GraphProto, names: set[str]) -> list[NodeProto]:
    """The operators of *branch* as they stand in the place of *node*; its weights go to *graph*."""
    from onnx import helper

    own = {tensor.name for tensor in branch.initializer}
    own |= {name for inner in branch.node for name in inner.output if name}
    # Both branches may use the same names, and so may those of another If.
    rename_graph(branch, {name: choose_name(f"{node.output[0]}/{name}", names) for name in sorted(own)})
    graph.initializer.extend(branch.initializer)
    results = [helper.make_node("Identity", [inner.name], [outer]) for inner, outer in zip(branch.output, node.output, strict=True) if outer]
    return [*branch.node, *results]
