"""Which tensors a graph names: what is constant, who reads what, and which names are free."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto, TensorProto

#: Attributes of Constant that hold plain numbers (operator Constant, from opset 12 on).
_NUMBERS = {"value_int": np.int64, "value_ints": np.int64, "value_float": np.float32, "value_floats": np.float32}


def list_bodies(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs inside of *node*: the bodies of a loop, or the two branches of an ``If``."""
    for attribute in node.attribute:
        yield from (graph for graph in (attribute.g, *attribute.graphs) if graph.ByteSize())


def list_reads(node: NodeProto) -> Iterator[str]:
    """The tensors that *node* reads, those that its bodies read from outside among them; an input left out has no name."""
    yield from (name for name in node.input if name)
    for body in list_bodies(node):
        # A body's output may be a tensor from outside as well.
        yield from (value.name for value in body.output)
        for inner in body.node:
            yield from list_reads(inner)


def count_readers(graph: GraphProto) -> Counter[str]:
    """How often each tensor of *graph* is read; being an output counts as well."""
    return Counter(itertools.chain((value.name for value in graph.output), *(list_reads(node) for node in graph.node)))


def find_constants(graph: GraphProto) -> dict[str, TensorProto]:
    """The tensors of *graph* that are the same for every input: initialisers, and what ``Constant`` gives."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
            found |= _read_constant(node)
    return found


def _read_constant(node: NodeProto) -> dict[str, TensorProto]:
    """What the operator Constant *node* gives, under its name; nothing where it is a string or sparse."""
    from onnx import helper, numpy_helper

    (attribute,) = node.attribute
    if attribute.name == "value":
        return {node.output[0]: attribute.t}
    dtype = _NUMBERS.get(attribute.name)
    if dtype is None:
        return {}
    return {node.output[0]: numpy_helper.from_array(np.array(helper.get_attribute_value(attribute), dtype), node.output[0])}


def list_names(graph: GraphProto) -> set[str]:
    """Every name of a tensor in *graph* and in the bodies inside of it."""
    names = {value.name for value in (*graph.input, *graph.output, *graph.initializer)}
    for node in graph.node:
        names.update(node.input)
        names.update(node.output)
        for body in list_bodies(node):
            names |= list_names(body)
    return names


def choose_name(wanted: str, taken: set[str]) -> str:
    """*wanted*, or with a number behind it where that name is in *taken*; it is added there."""
    numbered = (f"{wanted}_{number}" for number in itertools.count(1))
    name = next(one for one in itertools.chain([wanted], numbered) if one not in taken)
    taken.add(name)
    return name
