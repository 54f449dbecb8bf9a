"""Lets a model be given other numbers than it computes with, as a camera's bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edgekit_converters.passes.base import PassResult
from edgekit_converters.passes.graph_names import choose_name, list_names
from edgekit_converters.passes.rename_tensors import rename_uses

if TYPE_CHECKING:
    from onnx import ModelProto


class CastInputs:
    """Gives each input that *dtypes* names the element type (TensorProto.DataType) that stands there, with a Cast behind it.

    Values stay what they are: a byte of 255 becomes 255.0, whatever the model was trained with.
    """

    def __init__(self, dtypes: Mapping[str, int]) -> None:
        self._dtypes = dtypes

    def run(self, model: ModelProto) -> PassResult:
        """*model* with those dtypes at its border."""
        from onnx import helper

        wanted = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
        changed = {name: dtype for name, dtype in self._dtypes.items() if wanted[name] != dtype}
        if not changed:
            return PassResult(model, modified=False)
        cast = type(model)()
        cast.CopyFrom(model)
        taken = list_names(cast.graph)
        inner = {name: choose_name(f"{name}_cast", taken) for name in changed}
        rename_uses(cast.graph, inner)
        for value in cast.graph.input:
            if value.name in changed:
                cast.graph.node.insert(0, helper.make_node("Cast", [value.name], [inner[value.name]], to=wanted[value.name]))
                value.type.tensor_type.elem_type = changed[value.name]
        return PassResult(cast, modified=True)
