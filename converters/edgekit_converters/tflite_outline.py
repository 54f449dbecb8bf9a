"""What a TFLite file says of itself, read without a runtime: its borders, its operators, the numbers it is in.

A runtime follows indices of the file into its own memory, so each is held against the list that it points into first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from edgekit.errors import InputError
from edgekit.runtimes.tflite_file import check_tflite
from edgekit.tensors import DType, Quantization, TensorSpec
from edgekit_converters.onnx_files import MAX_BORDER_ELEMENTS, MAX_ELEMENTS

_DAMAGED = "Fetch it or convert it again."
#: All tensors of the graph together: a runtime uses memory again and again, and no device has as much.
_MAX_TOTAL = 1 << 33

# Types of tensors by their numbers in schema.fbs, as a spec names them; those without a name there keep the schema's.
# fmt: off
_TYPES: dict[int, str] = {
    0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 5: "STRING", 6: "bool", 7: "int16", 8: "COMPLEX64",
    9: "int8", 10: "float64", 11: "COMPLEX128", 12: "uint64", 13: "RESOURCE", 14: "VARIANT", 15: "uint32", 16: "uint16",
    17: "INT4", 18: "bfloat16", 19: "INT2",
}
# fmt: on
_INTEGERS = ("int8", "uint8", "int16")
_SMALL = ("INT4", "INT2")
#: Operators that only change numbers from one format to another.
_CASTS = ("QUANTIZE", "DEQUANTIZE")
_CALL_ONCE, _ASSIGN = "CALL_ONCE", "ASSIGN_VARIABLE"


@dataclass(frozen=True)
class Tensor:
    """A tensor of the file. *shape* has -1 for each size that may vary. It is *constant* where the file has its data."""

    name: str
    type: str
    shape: tuple[int, ...]
    constant: bool
    variable: bool
    quantization: Quantization | None


@dataclass(frozen=True)
class Operator:
    """An operator by the schema's name, or a custom one's own, with the indices of its tensors that are there."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """One graph of the file. *calls_once* names, by their indices, the graphs that run before its first inference alone."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    calls_once: tuple[int, ...]


@dataclass(frozen=True)
class Outline:
    """A TFLite file: its *graphs*, the main one first."""

    graphs: tuple[Graph, ...]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the main graph takes."""
        return tuple(self.graphs[0].tensors[index] for index in self.graphs[0].inputs)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """What the main graph gives."""
        return tuple(self.graphs[0].tensors[index] for index in self.graphs[0].outputs)

    def find_state(self) -> str | None:
        """The operator by which one inference would leave something to the next, and which no runtime's reset undoes."""
        initialising = {index for graph in self.graphs for index in graph.calls_once}
        serving = [graph for index, graph in enumerate(self.graphs) if index not in initialising]
        return _ASSIGN if any(one.kind == _ASSIGN for graph in serving for one in graph.operators) else None

    def find_memory(self) -> str | None:
        """The first operator with a variable tensor, as recurrent layers have: it starts from zero at each call here."""
        for graph in self.graphs:
            for operator in graph.operators:
                if any(graph.tensors[index].variable for index in operator.inputs):
                    return operator.kind
        return None

    def find_numbers(self) -> tuple[str, tuple[str, ...]]:
        """The number format that the model came in, with the precisions to try where none is asked for.

        It is int8 where operators compute with quantised activations, or where weights alone are integers: a runtime then
        quantises activations at each inference or turns the weights into floats, as suits its kernels.
        """
        pairs = [(graph, one) for graph in self.graphs for one in graph.operators]
        if any(_is_quantised(graph, one) for graph, one in pairs):
            return "int8", ("int8",)
        weights = [graph.tensors[index] for graph, one in pairs for index in one.inputs if graph.tensors[index].constant]
        if any(tensor.type in _SMALL for tensor in weights):
            return "int4", ("int4-weights",)
        if any(tensor.type in _INTEGERS and tensor.quantization is not None for tensor in weights):
            return "int8", ("int8-weights",)
        return ("fp16", ("fp16",)) if any(tensor.type == "float16" for tensor in weights) else ("fp32", ())


def _is_quantised(graph: Graph, operator: Operator) -> bool:
    if operator.kind in _CASTS:
        return False
    activations = [graph.tensors[index] for index in (*operator.inputs, *operator.outputs) if not graph.tensors[index].constant]
    return any(tensor.type in _INTEGERS and tensor.quantization is not None for tensor in activations)


def read_outline(path: Path) -> Outline:
    """The outline of the TFLite file at *path*.

    Raises:
        InputError: it is not whole, an index leads to nothing, or a tensor is absurdly large.
    """
    from ai_edge_litert import schema_py_generated as schema

    check_tflite(path)
    try:
        model = schema.Model.GetRootAs(path.read_bytes(), 0)
        graphs = tuple(_read_graph(model, model.Subgraphs(index)) for index in range(model.SubgraphsLength()))
    except OSError as error:
        raise InputError(path, f"it cannot be read: {error.strerror}", "Check the path.") from error
    except Exception as error:
        # The generated reader raises struct.error, TypeError, AttributeError and ValueError at what it cannot follow.
        raise InputError(path, f"it is not a sound TFLite model: {error}", _DAMAGED) from error
    if not graphs or not graphs[0].inputs or not graphs[0].outputs:
        raise InputError(path, "it has no graph with inputs and outputs", _DAMAGED)
    for graph in graphs:
        _check_sizes(graph, path)
    return Outline(graphs)


def _read_graph(model: Any, graph: Any) -> Graph:
    tensors = tuple(_read_tensor(model, graph.Tensors(index)) for index in range(graph.TensorsLength()))
    operators = [graph.Operators(index) for index in range(graph.OperatorsLength())]
    kinds = [_read_kind(model, operator.OpcodeIndex()) for operator in operators]
    return Graph(
        tensors=tensors,
        operators=tuple(
            Operator(kind, _check_indices(one.InputsAsNumpy(), tensors), _check_indices(one.OutputsAsNumpy(), tensors))
            for kind, one in zip(kinds, operators, strict=True)
        ),
        inputs=_check_indices(graph.InputsAsNumpy(), tensors),
        outputs=_check_indices(graph.OutputsAsNumpy(), tensors),
        calls_once=tuple(_read_call(one) for kind, one in zip(kinds, operators, strict=True) if kind == _CALL_ONCE),
    )


def _read_kind(model: Any, index: int) -> str:
    from ai_edge_litert import schema_py_generated as schema

    if index >= model.OperatorCodesLength():
        raise ValueError(f"an operator is of kind {index}, and there are {model.OperatorCodesLength()} kinds")
    code = model.OperatorCodes(index)
    # Codes above 127 came later: the old field holds at most that, and the larger of the two counts.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    if number == schema.BuiltinOperator.CUSTOM:
        name: str = (code.CustomCode() or b"").decode()
        return name
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    return str(names.get(number, f"operator {number}"))


def _read_call(operator: Any) -> int:
    from ai_edge_litert import schema_py_generated as schema

    options, table = schema.CallOnceOptions(), operator.BuiltinOptions()
    options.Init(table.Bytes, table.Pos)
    return int(options.InitSubgraphIndex())


def _check_indices(indices: Any, tensors: tuple[Tensor, ...]) -> tuple[int, ...]:
    """*indices* without those of optional tensors that are left out (-1); ValueError where one leads to nothing."""
    found = _list(indices)
    wrong = [index for index in found if not -1 <= index < len(tensors)]
    if wrong:
        raise ValueError(f"it refers to tensor {wrong[0]}, and there are {len(tensors)}")
    return tuple(index for index in found if index >= 0)


def _read_tensor(model: Any, tensor: Any) -> Tensor:
    if tensor.Buffer() >= model.BuffersLength():
        raise ValueError(f"a tensor's data are in buffer {tensor.Buffer()}, and there are {model.BuffersLength()}")
    shape, signature = _list(tensor.ShapeAsNumpy()), _list(tensor.ShapeSignatureAsNumpy())
    buffer = model.Buffers(tensor.Buffer())
    return Tensor(
        name=(tensor.Name() or b"").decode(),
        type=_TYPES.get(tensor.Type(), f"type {tensor.Type()}"),
        shape=tuple(signature or shape),
        constant=buffer.DataLength() > 0 or buffer.Size() > 1,
        variable=bool(tensor.IsVariable()),
        quantization=_read_quantization(tensor.Quantization()),
    )


def _read_quantization(parameters: Any) -> Quantization | None:
    scales = [] if parameters is None else _list(parameters.ScaleAsNumpy())
    if not scales:
        return None
    zero_points = _list(parameters.ZeroPointAsNumpy()) or [0]
    if len(zero_points) < len(scales):
        zero_points = zero_points[:1] * len(scales)
    return Quantization(scale=tuple(scales), zero_point=tuple(zero_points), axis=parameters.QuantizedDimension() if len(scales) > 1 else None)


def _list(values: Any) -> list[Any]:
    """A vector as a list; the generated reader gives 0 for one that is not there."""
    return [] if isinstance(values, int) else list(values.tolist())


def _check_sizes(graph: Graph, path: Path) -> None:
    borders = {*graph.inputs, *graph.outputs}
    total = 0
    for index, tensor in enumerate(graph.tensors):
        if any(size < -1 for size in tensor.shape):
            raise InputError(path, f"its tensor {tensor.name!r} has the shape {list(tensor.shape)}", _DAMAGED)
        elements = math.prod(max(size, 1) for size in tensor.shape)
        limit = MAX_BORDER_ELEMENTS if index in borders else MAX_ELEMENTS
        total += elements
        if elements > limit or total > _MAX_TOTAL:
            raise InputError(path, f"its tensor {tensor.name!r} has {elements} elements, and the limit is {limit}", "Give a smaller model.")


def describe_border(outline: Outline, path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """The inputs and outputs as LiteRT's adapter shows them, with a name for each size that may vary; InputError where one cannot be served."""
    inputs = tuple(_describe(tensor, "input", place, path) for place, tensor in enumerate(outline.inputs))
    outputs = tuple(_describe(tensor, "output", place, path) for place, tensor in enumerate(outline.outputs))
    for kind, specs in (("inputs", inputs), ("outputs", outputs)):
        names = [spec.name for spec in specs]
        if len(set(names)) < len(names):
            raise InputError(path, f"two of its {kind} have the same name: {', '.join(names)}", "Convert the model again with names of their own.")
    return inputs, outputs


def _describe(tensor: Tensor, kind: str, place: int, path: Path) -> TensorSpec:
    if not tensor.type.islower() or " " in tensor.type:
        problem = f"its {kind} {tensor.name!r} has the type {tensor.type}, which cannot be served"
        raise InputError(path, problem, "Convert the model with other input and output types.")
    shape = tuple(f"{kind}{place}_dim{axis}" if size < 0 else size for axis, size in enumerate(tensor.shape))
    return TensorSpec(
        name=tensor.name or f"{kind}{place}",
        dtype=cast(DType, tensor.type),
        shape=shape,
        quantization=tensor.quantization,
        finite=kind == "output" and tensor.type.startswith("float"),
    )


def list_kinds(outline: Outline) -> Iterator[str]:
    """The operators of all graphs, in order."""
    return (operator.kind for graph in outline.graphs for operator in graph.operators)
