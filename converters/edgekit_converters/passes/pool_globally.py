"""Writes average pooling over the whole picture as what it is.

Exporters leave a pooling window that is larger than any picture where the model was written so: the pooler of
transformers' EfficientNet has a window of 1280 by 1280 for a picture of 7 by 7, rounded up. OpenVINO gives nothing for it,
without an error, and ONNX Runtime's quantiser NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit_converters.passes.base import PassResult

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto


class PoolGlobally:
    """Replaces AveragePool by GlobalAveragePool where its one window covers the whole input and nothing but that counts."""

    def run(self, model: ModelProto) -> PassResult:
        """*model* with global pooling; sizes that are not known keep a pooling as it is."""
        shapes = _list_shapes(model.graph)
        found = [index for index, node in enumerate(model.graph.node) if _is_global(node, shapes)]
        if not found:
            return PassResult(model, modified=False)
        pooled = type(model)()
        pooled.CopyFrom(model)
        for index in found:
            node = pooled.graph.node[index]
            node.op_type = "GlobalAveragePool"
            del node.attribute[:]
        # Where shape inference rounds such a window down, it has noted an empty result.
        stale = {name for index in found for name in pooled.graph.node[index].output}
        noted = [value for value in pooled.graph.value_info if value.name not in stale]
        del pooled.graph.value_info[:]
        pooled.graph.value_info.extend(noted)
        return PassResult(pooled, modified=True)


def _list_shapes(graph: GraphProto) -> dict[str, list[int]]:
    """The shape of each tensor, with 0 for a size that may vary."""
    return {value.name: [one.dim_value for one in value.type.tensor_type.shape.dim] for value in (*graph.input, *graph.value_info)}


def _is_global(node: NodeProto, shapes: dict[str, list[int]]) -> bool:
    if node.op_type != "AveragePool" or node.domain not in ("", "ai.onnx"):
        return False
    from onnx import helper

    options: dict[str, Any] = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    sizes, window = shapes.get(node.input[0], [])[2:], options["kernel_shape"]
    if len(sizes) != len(window) or not all(sizes) or options.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        return False
    if any(step != 1 for step in options.get("dilations", ())):
        return False
    return _covers(sizes, window, options)


def _covers(sizes: list[int], window: list[int], options: dict[str, Any]) -> bool:
    """Whether the first window of *window* covers all of *sizes*, no second one follows, and nothing else is counted."""
    if any(options.get("pads", ())):
        return False
    if window == sizes:
        return True
    # A larger window reaches beyond the end, which only rounding up allows, and what lies beyond is never counted.
    return bool(options.get("ceil_mode", 0)) and all(one >= size for one, size in zip(window, sizes, strict=True))
