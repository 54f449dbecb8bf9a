"""Lets a model be given its inputs with the axes in another order, as pictures with the colours last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from edgekit_converters.passes.base import PassResult
from edgekit_converters.passes.graph_names import choose_name, list_names
from edgekit_converters.passes.rename_tensors import rename_uses

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto


class TransposeInputs:
    """Puts the axes of inputs in the order that *permutations* says, with a Transpose behind each.

    A permutation lists for each new axis the old one that it is, as numpy.transpose takes it.
    """

    def __init__(self, permutations: Mapping[str, tuple[int, ...]]) -> None:
        self._permutations = {name: order for name, order in permutations.items() if order != tuple(range(len(order)))}

    def run(self, model: ModelProto) -> PassResult:
        """*model* with those orders at its border."""
        from onnx import helper

        if not self._permutations:
            return PassResult(model, modified=False)
        turned = type(model)()
        turned.CopyFrom(model)
        taken = list_names(turned.graph)
        inner = {name: choose_name(f"{name}_transposed", taken) for name in self._permutations}
        rename_uses(turned.graph, inner)
        for value in turned.graph.input:
            if value.name in inner:
                order = self._permutations[value.name]
                back = helper.make_node("Transpose", [value.name], [inner[value.name]], perm=[int(axis) for axis in np.argsort(order)])
                turned.graph.node.insert(0, back)
                _permute(value, order)
        return PassResult(turned, modified=True)


def _permute(value: ValueInfoProto, order: tuple[int, ...]) -> None:
    sizes = value.type.tensor_type.shape.dim
    copies = [type(size).FromString(size.SerializeToString()) for size in sizes]
    del sizes[:]
    sizes.extend(copies[axis] for axis in order)
