"""Gives sizes that may vary one value each, where a user asks for it or a format wants fixed shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edgekit.errors import ConversionError
from edgekit_converters.passes.base import PassResult

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto


class FixShapes:
    """Replaces named sizes of the inputs by *sizes*, and works out all other shapes anew.

    With *others_may_vary* a name that *sizes* does not have stays a name; else it is refused.
    """

    def __init__(self, sizes: Mapping[str, int], *, others_may_vary: bool = False) -> None:
        self._sizes = sizes
        self._others_may_vary = others_may_vary

    def run(self, model: ModelProto) -> PassResult:
        """*model* with fixed shapes; ConversionError where a size is neither fixed, nor given, nor may vary."""
        import onnx

        names = {name for value in model.graph.input for name in _list_names(value)}
        if not self._others_may_vary:
            self._check(model)
        if not names.intersection(self._sizes):
            return PassResult(model, modified=False)
        fixed = onnx.ModelProto()
        fixed.CopyFrom(model)
        for value in fixed.graph.input:
            self._fix(value)
        # Shapes noted for the named sizes would stand against the fixed ones.
        del fixed.graph.value_info[:]
        for value in fixed.graph.output:
            for dimension in value.type.tensor_type.shape.dim:
                if dimension.HasField("dim_param"):
                    dimension.Clear()
        inferred = onnx.shape_inference.infer_shapes(fixed, data_prop=True)
        for value, before in zip(inferred.graph.output, model.graph.output, strict=True):
            self._restore(value, before)
        return PassResult(inferred, modified=True)

    def _check(self, model: ModelProto) -> None:
        for value in model.graph.input:
            for name in _list_names(value):
                if name not in self._sizes:
                    problem = f"its input {value.name!r} has the size {name!r}, which may vary, and this format wants it fixed"
                    raise ConversionError("model", problem, f"Fix it: --shape {name}=SIZE; the batch alone may vary.")

    def _fix(self, value: ValueInfoProto) -> None:
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param in self._sizes:
                dimension.dim_value = self._sizes[dimension.dim_param]

    def _restore(self, value: ValueInfoProto, before: ValueInfoProto) -> None:
        """Where inference found no size for an axis of *value*, give it the one that its name stands for, or that name."""
        for found, given in zip(value.type.tensor_type.shape.dim, before.type.tensor_type.shape.dim, strict=True):
            if not found.HasField("dim_value") and given.HasField("dim_param"):
                found.CopyFrom(given)
        self._fix(value)


def _list_names(value: ValueInfoProto) -> list[str]:
    return [dimension.dim_param for dimension in value.type.tensor_type.shape.dim if dimension.HasField("dim_param")]
