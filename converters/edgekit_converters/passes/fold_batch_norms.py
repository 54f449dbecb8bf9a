"""Puts a batch norm into the weights of the operator before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.arrays import Array
from edgekit_converters.passes.base import PassResult
from edgekit_converters.passes.graph_names import choose_name, count_readers, find_constants, list_names

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_WEIGHTED = ("Conv", "ConvTranspose", "Gemm")
#: onnx.proto, operator BatchNormalization.
_EPSILON = 1e-5


class FoldBatchNorms:
    """Scales the weights of a Conv, ConvTranspose or Gemm, and shifts its bias, as the batch norm behind it would.

    A norm y = (x - mean) * s + shift with s = scale / sqrt(variance + epsilon) is linear in each channel, so the weights of
    a channel times s, with the bias (bias - mean) * s + shift, give the same. It is computed in float64 and rounded once.
    The norm stays where something else reads what it is given, or where weights are not constant.
    """

    def run(self, model: ModelProto) -> PassResult:
        """*model* with fewer batch norms."""
        if not any(node.op_type == "BatchNormalization" for node in model.graph.node):
            return PassResult(model, modified=False)
        folded = type(model)()
        folded.CopyFrom(model)
        modified = _Norms(folded).fold()
        return PassResult(folded if modified else model, modified=modified)


class _Norms:
    """The batch norms of *model*, which is changed."""

    def __init__(self, model: ModelProto) -> None:
        self._graph = model.graph
        self._constants = find_constants(model.graph)
        self._readers = count_readers(model.graph)
        self._makers: dict[str, NodeProto] = {name: node for node in model.graph.node for name in node.output}
        self._names = list_names(model.graph)

    def fold(self) -> bool:
        """Fold every norm that can be; whether any could."""
        done = [node for node in self._graph.node if self._fold_norm(node)]
        for node in done:
            self._graph.node.remove(node)
        return bool(done)

    def _fold_norm(self, norm: NodeProto) -> bool:
        before = self._makers.get(norm.input[0]) if norm.op_type == "BatchNormalization" else None
        if before is None or before.op_type not in _WEIGHTED or self._readers[norm.input[0]] != 1 or _is_training(norm):
            return False
        if not all(name in self._constants for name in (*before.input[1:], *norm.input[1:]) if name):
            return False
        scale, shift, mean, variance = (self._decode(name).astype(np.float64) for name in norm.input[1:5])
        factor = scale / np.sqrt(variance + _find_attribute(norm, "epsilon", _EPSILON))
        weights = self._decode(before.input[1])
        bias = self._find_bias(before, len(factor))
        scaled = None if bias is None else _scale_weights(before, weights, factor)
        if bias is None or scaled is None:
            return False
        names = [self._add(scaled.astype(weights.dtype), before.input[1]), self._add(((bias - mean) * factor + shift).astype(weights.dtype), "bias")]
        del before.input[1:]
        before.input.extend(names)
        before.output[0] = norm.output[0]
        # The factor beta is in the new bias.
        _drop_attribute(before, "beta")
        self._makers[norm.output[0]] = before
        return True

    def _find_bias(self, node: NodeProto, channels: int) -> Array | None:
        """The bias of *node* for each of *channels*, with Gemm's beta in it; None where it is no row of so many."""
        if len(node.input) < 3 or not node.input[2]:
            return np.zeros(channels)
        given = self._decode(node.input[2]).astype(np.float64)
        if given.shape not in ((channels,), (1, channels), (1,), ()):
            return None
        beta = _find_attribute(node, "beta", 1.0) if node.op_type == "Gemm" else 1.0
        return np.broadcast_to(given.reshape(-1) * beta, (channels,))

    def _decode(self, name: str) -> Array:
        from onnx import numpy_helper

        array: Array = numpy_helper.to_array(self._constants[name])
        return array

    def _add(self, array: Array, wanted: str) -> str:
        from onnx import numpy_helper

        name = choose_name(wanted, self._names)
        tensor = numpy_helper.from_array(array, name)
        self._graph.initializer.append(tensor)
        self._constants[name] = tensor
        return name


def _scale_weights(node: NodeProto, weights: Array, factor: Array) -> Array | None:
    """*weights* of *node* with each channel that comes out times its *factor*, float64; None where they do not fit together."""
    wide = weights.astype(np.float64)
    if node.op_type == "Gemm":
        if wide.ndim != 2:
            return None
        turned = bool(_find_attribute(node, "transB", 0))
        column = factor[:, None] if turned else factor
        return wide * column if wide.shape[0 if turned else 1] == len(factor) else None
    if wide.ndim < 3:
        return None
    if node.op_type == "Conv":
        return wide * factor.reshape(-1, *[1] * (wide.ndim - 1)) if wide.shape[0] == len(factor) else None
    # ConvTranspose has its weights as (channels in, channels out of one group, …).
    groups = int(_find_attribute(node, "group", 1))
    if wide.shape[1] * groups != len(factor) or wide.shape[0] % groups:
        return None
    grouped = wide.reshape(groups, -1, *wide.shape[1:]) * factor.reshape(groups, 1, -1, *[1] * (wide.ndim - 2))
    scaled: Array = grouped.reshape(wide.shape)
    return scaled


def _is_training(norm: NodeProto) -> bool:
    """Whether *norm* works with the batch's own mean, or gives it: such a norm is no constant scale."""
    return bool(_find_attribute(norm, "training_mode", 0)) or any(norm.output[1:])


def _find_attribute(node: NodeProto, name: str, default: float) -> Any:
    from onnx import helper

    return next((helper.get_attribute_value(attribute) for attribute in node.attribute if attribute.name == name), default)


def _drop_attribute(node: NodeProto, name: str) -> None:
    kept = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)
