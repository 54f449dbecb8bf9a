"""Drops what no output depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit_converters.passes.base import PassResult
from edgekit_converters.passes.graph_names import list_reads

if TYPE_CHECKING:
    from onnx import ModelProto


class DropUnused:
    """Drops operators whose results nobody reads, and weights that nobody reads. Every input stays."""

    def run(self, model: ModelProto) -> PassResult:
        """*model* without what is not used."""
        read = {value.name for value in model.graph.output}
        kept = []
        # Backwards, whoever reads an operator's results has been seen before it.
        for node in reversed(model.graph.node):
            if read.intersection(node.output):
                kept.append(node)
                read.update(list_reads(node))
        weights = [tensor for tensor in model.graph.initializer if tensor.name in read]
        if len(kept) == len(model.graph.node) and len(weights) == len(model.graph.initializer):
            return PassResult(model, modified=False)
        made = {name for node in kept for name in node.output}
        slim = type(model)()
        slim.CopyFrom(model)
        _set(slim.graph.node, list(reversed(kept)))
        _set(slim.graph.initializer, weights)
        _set(slim.graph.value_info, [value for value in model.graph.value_info if value.name in made])
        return PassResult(slim, modified=True)


def _set(field: Any, messages: list[Any]) -> None:
    del field[:]
    field.extend(messages)
