"""Where integers go in a graph for TensorRT: at the inputs of weighted operators, and of what is added to one of them.

NVIDIA's advice, "Q/DQ Layer-Placement Recommendations" of its developer guide: quantise all inputs of weighted operators, do
not quantise their outputs, and quantise the residual input of a skip connection, so that the convolution before the addition
takes it in. ONNX Runtime's quantiser treats both inputs of an Add alike, so one is taken back here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgekit_converters.nvidia_lint import DEQUANTIZE, QUANTIZE, WEIGHTED
from edgekit_converters.onnx_graphs import copy_model, replace_nodes
from edgekit_converters.passes.graph_names import count_readers

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

#: What is quantised, but for the nodes that list_unfit names.
OPERATORS = (*WEIGHTED, "Add")


def list_unfit(model: ModelProto) -> list[str]:
    """The names of those nodes of OPERATORS that stay in float.

    They are additions that are no skip connection; products of two activations; weights with more axes than TensorRT has
    channel scales for, or shared out over groups; and a Gemm whose factors ONNX Runtime's quantiser would lose.
    """
    residual = {node.name for node, _ in list_residuals(model.graph)}
    ranks = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type in OPERATORS]
    return [node.name for node in nodes if not (node.name in residual if node.op_type == "Add" else _is_fit(node, ranks))]


def _is_fit(node: NodeProto, ranks: dict[str, int]) -> bool:
    numbers = {attribute.name: attribute.f if attribute.type == attribute.FLOAT else attribute.i for attribute in node.attribute}
    if node.input[0] in ranks or node.input[1] not in ranks:
        return False
    if node.op_type == "MatMul":
        return bool(ranks[node.input[1]] == 2)
    if node.op_type == "ConvTranspose":
        return bool(numbers.get("group", 1) == 1)
    return bool(numbers.get("alpha", 1) == 1 and numbers.get("beta", 1) == 1)


def list_residuals(graph: GraphProto) -> list[tuple[NodeProto, int]]:
    """Each Add that ends a skip connection, with the index of the input that a convolution before it makes for it alone.

    Where both inputs are such, the one further from the model's inputs is the branch, and the other one the connection.
    """
    makers = {name: node for node in graph.node for name in node.output}
    readers, depths = count_readers(graph), _find_depths(graph)
    found = []
    for node in graph.node:
        if node.op_type != "Add" or any(name not in makers for name in node.input):
            continue
        fusing = [index for index in (0, 1) if makers[node.input[index]].op_type == "Conv" and readers[node.input[index]] == 1]
        if fusing:
            found.append((node, max(fusing, key=lambda index: depths[node.input[index]])))
    return found


def _find_depths(graph: GraphProto) -> dict[str, int]:
    """How many operators lie between each tensor and the model's inputs, at most."""
    depths: dict[str, int] = {}
    for node in graph.node:
        depth = 1 + max((depths.get(name, 0) for name in node.input), default=0)
        depths.update(dict.fromkeys(node.output, depth))
    return depths


def free_branches(model: ModelProto, additions: Sequence[tuple[str, int]]) -> ModelProto:
    """*model* with input *index* of each Add taken as the convolution gives it, for (name of the Add, index) in *additions*."""
    freed = copy_model(model)
    makers = {name: node for node in freed.graph.node for name in node.output}
    nodes = {node.name: node for node in freed.graph.node}
    for name, index in additions:
        back = makers.get(nodes[name].input[index])
        if back is not None and back.op_type == DEQUANTIZE and back.input[0] in makers:
            nodes[name].input[index] = makers[back.input[0]].input[0]
    _drop_unread(freed)
    return freed


def _drop_unread(model: ModelProto) -> None:
    """Take out each Q/DQ pair that nothing reads any more, with its scale and zero point."""
    for operator in (DEQUANTIZE, QUANTIZE):
        readers: Counter[str] = count_readers(model.graph)
        replace_nodes(model, [node for node in model.graph.node if node.op_type != operator or readers[node.output[0]]])
    readers = count_readers(model.graph)
    used = [tensor for tensor in model.graph.initializer if readers[tensor.name]]
    del model.graph.initializer[:]
    model.graph.initializer.extend(used)
