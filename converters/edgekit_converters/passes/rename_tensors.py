"""Gives tensors other names, for tools that cannot keep the ones they have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgekit_converters.passes.base import PassResult

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto


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
        self._rename_graph(renamed.graph)
        return PassResult(renamed, modified=renamed != model)

    def _rename_graph(self, graph: GraphProto) -> None:
        for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
            value.name = self._names.get(value.name, value.name)
        for node in graph.node:
            self._rename_list(node.input)
            self._rename_list(node.output)
            for attribute in node.attribute:
                for inner in (attribute.g, *attribute.graphs):
                    if inner.ByteSize():
                        self._rename_graph(inner)

    def _rename_list(self, names: Any) -> None:
        for index, name in enumerate(names):
            names[index] = self._names.get(name, name)
