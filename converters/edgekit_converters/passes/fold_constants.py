"""Works out what is the same for every input, so that no device does it again."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import numpy as np

from edgekit.arrays import Array, Arrays
from edgekit_converters.passes.base import PassResult
from edgekit_converters.passes.graph_names import find_constants

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TypeProto

_log = logging.getLogger(__name__)
_ONNX = ("", "ai.onnx")
#: Operators whose results are the same bits wherever they are computed: they move elements, or compute with integers or
#: one rounding. DequantizeLinear is not among them: weights in int8 are to stay so.
# fmt: off
_FOLDED = frozenset({
    "Abs", "Add", "And", "Cast", "CastLike", "Ceil", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Flatten", "Floor", "Gather",
    "GatherElements", "GatherND", "Greater", "GreaterOrEqual", "Identity", "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul",
    "Neg", "Not", "Or", "Range", "ReduceMax", "ReduceMin", "Reshape", "ScatterElements", "ScatterND", "Shape", "Sign", "Size",
    "Slice", "Split", "Sqrt", "Squeeze", "Sub", "Tile", "Transpose", "Trilu", "Unsqueeze", "Where", "Xor",
})
# fmt: on
#: A result may take as much as twice what it was made of, or this many bytes: a file is not to grow by what is quickly made.
_SMALL_BYTES = 1 << 16
#: All that is worked out for one model, in bytes.
_MOST_BYTES = 1 << 29
#: Beyond it numpy and the runtimes turn floats into integers each in its own way.
_EXACT_INTEGER = 1 << 31


class FoldConstants:
    """Replaces operators all of whose inputs are constant by their results, and sizes that are known by numbers."""

    def run(self, model: ModelProto) -> PassResult:
        """*model* with constants in the place of what computes them. An operator that gives an output of the model stays."""
        kept, made = _Folder(model).fold()
        if not made:
            return PassResult(model, modified=False)
        folded = type(model)()
        folded.CopyFrom(model)
        _replace_nodes(folded.graph, kept, made)
        return PassResult(folded, modified=True)


class _Folder:
    """Goes once through the operators of *model*, which stand in the order in which they run, and changes nothing."""

    def __init__(self, model: ModelProto) -> None:
        self._model = model
        self._opsets = {one.domain or "": one.version for one in model.opset_import}
        self._constants = find_constants(model.graph)
        self._outputs = {value.name for value in model.graph.output}
        self._shapes = _list_shapes(model.graph)
        #: For each tensor that is made of sizes, the sizes, with None for those that vary.
        self._sizes: dict[str, Array] = {}
        self._decoded: dict[str, Array] = {}
        self._left = _MOST_BYTES

    def fold(self) -> tuple[list[NodeProto], Arrays]:
        """The operators that stay, and what the others give."""
        kept: list[NodeProto] = []
        made: dict[str, Array] = {}
        for node in self._model.graph.node:
            results = None if self._outputs.intersection(node.output) else self._evaluate(node)
            if results is None:
                kept.append(node)
            else:
                made |= results
                self._decoded |= results
        return kept, made

    def _evaluate(self, node: NodeProto) -> Arrays | None:
        """The results of *node* by name; None where they are not known, or are not to be worked out."""
        if node.domain not in _ONNX or node.op_type not in _FOLDED:
            return None
        picked = self._pick_sizes(node)
        if picked is not None:
            self._sizes[node.output[0]] = picked
            return {node.output[0]: picked.astype(np.int64)} if None not in picked.ravel().tolist() else None
        if not all(not name or name in self._constants or name in self._decoded for name in node.input):
            return None
        inputs = {name: self._decode(name) for name in node.input if name}
        return self._compute(node, inputs) if _is_exact(node, inputs) else None

    def _pick_sizes(self, node: NodeProto) -> Array | None:
        """What *node* takes out of a shape, as objects with None for each size that varies; None where it is no such operator."""
        first = node.input[0] if node.input else ""
        if node.op_type == "Shape" and first in self._shapes:
            return self._shapes[first][_find_span(node)]
        rest = [name for name in node.input[1:] if name in self._constants or name in self._decoded]
        if first not in self._sizes or not rest or len(rest) < len(node.input) - 1:
            return None
        numbers = [self._decode(name) for name in rest]
        if node.op_type == "Gather":
            sizes, places = self._sizes[first], numbers[0]
            # An index out of range is for the runtime to refuse.
            return np.array(sizes[places], object) if ((places >= -len(sizes)) & (places < len(sizes))).all() else None
        if node.op_type == "Slice" and all(one.shape == (1,) for one in numbers):
            start, end, step = int(numbers[0][0]), int(numbers[1][0]), int(numbers[3][0]) if len(numbers) > 3 else 1
            return self._sizes[first][start:end:step] if step > 0 else None
        return None

    def _decode(self, name: str) -> Array:
        from onnx import numpy_helper

        if name not in self._decoded:
            self._decoded[name] = numpy_helper.to_array(self._constants[name])
        return self._decoded[name]

    def _compute(self, node: NodeProto, inputs: Arrays) -> Arrays | None:
        from onnx import helper, reference

        expected = self._infer(node, inputs)
        size = _count_bytes(expected)
        if size is None or size > self._left or size > max(_SMALL_BYTES, 2 * sum(array.nbytes for array in inputs.values())):
            return None
        try:
            # A division by zero is for the runtime to refuse, which each does in its own way.
            with np.errstate(divide="raise", over="ignore", under="ignore", invalid="ignore"):
                results = reference.ReferenceEvaluator(node, opsets=self._opsets).run(None, inputs)
        except Exception as error:  # noqa: BLE001 - the evaluator raises whatever numpy does, and the operator stays
            _log.debug("%s %r is not folded: %s: %s", node.op_type, node.name, type(error).__name__, error)
            return None
        found = {name: np.asarray(array) for name, array in zip(node.output, results, strict=True)}
        for name, array in found.items():
            wanted = expected[name].tensor_type
            if helper.np_dtype_to_tensor_dtype(array.dtype) != wanted.elem_type or list(array.shape) != [one.dim_value for one in wanted.shape.dim]:
                return None
        self._left -= size
        return found

    def _infer(self, node: NodeProto, inputs: Arrays) -> dict[str, TypeProto]:
        """The types that onnx works out for the outputs of *node*, before anything is computed."""
        import onnx

        schema = onnx.defs.get_schema(node.op_type, self._opsets[""], "")
        tensors = {name: onnx.numpy_helper.from_array(array, name) for name, array in inputs.items()}
        types = {name: onnx.helper.make_tensor_type_proto(one.data_type, one.dims) for name, one in tensors.items()}
        opsets = [onnx.helper.make_opsetid("", self._opsets[""])]
        inferred: dict[str, TypeProto] = onnx.shape_inference.infer_node_outputs(schema, node, types, tensors, opset_imports=opsets)
        return inferred


def _replace_nodes(graph: GraphProto, kept: list[NodeProto], made: Arrays) -> None:
    """Leave only the nodes *kept* in *graph*, and put the arrays *made* in the place of the others."""
    from onnx import numpy_helper

    noted = [value for value in graph.value_info if value.name not in made]
    for field, values in ((graph.node, kept), (graph.value_info, noted)):
        copies = [type(value).FromString(value.SerializeToString()) for value in values]
        del field[:]
        field.extend(copies)
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in made.items())


def _list_shapes(graph: GraphProto) -> dict[str, Array]:
    """The shape of each tensor of which it is known, as objects, with None for each size that may vary."""
    shapes = {tensor.name: np.array(tensor.dims, object) for tensor in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.HasField("shape"):
            sizes = [one.dim_value if one.dim_value > 0 else None for one in value.type.tensor_type.shape.dim]
            shapes[value.name] = np.array(sizes, object)
    return shapes


def _find_span(node: NodeProto) -> slice:
    """The part of a shape that *node* gives (operator Shape, from opset 15 on)."""
    given = {attribute.name: attribute.i for attribute in node.attribute}
    return slice(given.get("start", 0), given.get("end"))


def _is_exact(node: NodeProto, inputs: Arrays) -> bool:
    """Whether every runtime computes the same: of numbers, no strings, and floats become integers only where they fit."""
    if any(array.dtype.kind in "OSU" for array in inputs.values()):
        return False
    if node.op_type not in ("Cast", "CastLike"):
        return True
    return all(array.dtype.kind in "iub" or bool((np.abs(array.astype(np.float64)) < _EXACT_INTEGER).all()) for array in inputs.values())


def _count_bytes(types: dict[str, TypeProto]) -> int | None:
    """What tensors of *types* take; None where a size is not known."""
    from onnx import helper

    total = 0
    for one in types.values():
        tensor = one.tensor_type
        if not tensor.HasField("shape") or any(not size.HasField("dim_value") for size in tensor.shape.dim):
            return None
        total += math.prod(size.dim_value for size in tensor.shape.dim) * helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize
    return total
