"""Gives each size that may vary a name, so that specs can speak of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit_converters.passes.base import PassResult

if TYPE_CHECKING:
    from onnx import ModelProto, TensorShapeProto

_LONGEST = 64


class NameDimensions:
    """Names each unknown size of an input or output after its kind, place and axis: ``input0_dim1``.

    A size that is written as 0 or less is an exporter's way to say that it is unknown. A name of more than 64 letters, as
    exporters make of sums and quotients, is replaced too.
    """

    def run(self, model: ModelProto) -> PassResult:
        """*model* with a name or a size for each axis of its inputs and outputs."""
        if not any(_is_unnamed(size) for value in (*model.graph.input, *model.graph.output) for size in value.type.tensor_type.shape.dim):
            return PassResult(model, modified=False)
        named = type(model)()
        named.CopyFrom(model)
        for kind, values in (("input", named.graph.input), ("output", named.graph.output)):
            for place, value in enumerate(values):
                for axis, size in enumerate(value.type.tensor_type.shape.dim):
                    if _is_unnamed(size):
                        size.dim_param = f"{kind}{place}_dim{axis}"
        return PassResult(named, modified=True)


def _is_unnamed(size: TensorShapeProto.Dimension) -> bool:
    return size.dim_value <= 0 and not 0 < len(size.dim_param) <= _LONGEST
