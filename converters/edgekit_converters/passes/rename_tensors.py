"""Gives tensors other names, for tools that cannot keep the ones they have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from edgekit_converters.passes.base import PassResult

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto


class RenameTensors:
    """Replaces each name that *names* has by the one it stands for, wherever a tensor is named."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def run(self, model: ModelProto) -> PassResult:
        """*model* with the new names; none of them may be in it yet."""
        if not self._names:
            return PassResult(model, modified=False)
        renamed = type(model)()
        renamed.CopyFrom(model)
        rename_graph(renamed.graph, self._names)
        return PassResult(renamed, modified=renamed != model)


def rename_graph(graph: GraphProto, names: Mapping[str, str]) -> None:
    """Replace, in *graph* itself, each tensor's name that *names* has, at the borders and in the bodies of branches too."""
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        _rename_list(node.output, names)
        _rename_inputs(node, names, rename_graph)


def rename_uses(graph: GraphProto, names: Mapping[str, str]) -> None:
    """Let the operators of *graph* itself, and those in the bodies of branches, read other tensors; nothing else is renamed."""
    for node in graph.node:
        _rename_inputs(node, names, rename_uses)


def _rename_inputs(node: NodeProto, names: Mapping[str, str], rename: Callable[[GraphProto, Mapping[str, str]], None]) -> None:
    _rename_list(node.input, names)
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            if inner.ByteSize():
                rename(inner, names)


def _rename_list(listed: Any, names: Mapping[str, str]) -> None:
    for index, name in enumerate(listed):
        listed[index] = names.get(name, name)
