"""Gives the sizes that may vary one value each, for formats that want fixed shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edgekit.errors import ConversionError
from edgekit_converters.passes.base import PassResult

if TYPE_CHECKING:
    from onnx import ModelProto


class FixShapes:
    """Replaces named sizes of the inputs by *sizes*, and works out all other shapes anew."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._sizes = sizes

    def run(self, model: ModelProto) -> PassResult:
        """*model* with fixed shapes; ConversionError where a size is neither fixed nor among those given."""
        import onnx

        if not _list_names(model):
            return PassResult(model, modified=False)
        fixed = onnx.ModelProto()
        fixed.CopyFrom(model)
        for value in fixed.graph.input:
            for dimension in value.type.tensor_type.shape.dim:
                if dimension.HasField("dim_param"):
                    dimension.dim_value = self._find_size(dimension.dim_param, value.name)
        # Shapes noted for the named sizes would stand against the fixed ones.
        del fixed.graph.value_info[:]
        for value in fixed.graph.output:
            for dimension in value.type.tensor_type.shape.dim:
                if dimension.HasField("dim_param"):
                    dimension.Clear()
        return PassResult(onnx.shape_inference.infer_shapes(fixed, data_prop=True), modified=True)

    def _find_size(self, name: str, tensor: str) -> int:
        if name not in self._sizes:
            problem = f"its input {tensor!r} has the size {name!r}, which may vary, and this format wants it fixed"
            raise ConversionError("model", problem, "Export the model with that size fixed; the batch alone may vary.")
        return self._sizes[name]


def _list_names(model: ModelProto) -> list[str]:
    return [dimension.dim_param for value in model.graph.input for dimension in value.type.tensor_type.shape.dim if dimension.HasField("dim_param")]
