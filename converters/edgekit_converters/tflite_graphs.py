"""The graph inside a TFLite file, as its tools want to see it."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: The one signature of a file that was normalised.
SIGNATURE = "serving_default"


@dataclass(frozen=True)
class Operator:
    """One operator of a graph by the schema's name (``CONV_2D``), with the names of its tensors."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """A file's main graph: its operators in the order in which they run, and the names of its inputs and outputs."""

    operators: tuple[Operator, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def walk_back(self, starts: Iterable[str], through: Container[str]) -> set[str]:
        """The tensors that *starts* come from, themselves included, as far as the operators that make them are among *through*."""
        makers = {name: one for one in self.operators for name in one.outputs}
        reached: set[str] = set()
        waiting = list(starts)
        while waiting:
            maker = makers.get(waiting.pop())
            if maker is not None and maker.kind in through and reached.isdisjoint(maker.outputs):
                reached.update(maker.outputs)
                waiting.extend(maker.inputs)
        return reached

    def walk_on(self, starts: Iterable[str], through: Container[str]) -> set[str]:
        """The tensors that *starts* lead to, as far as the operators that take them are among *through*."""
        reached = set(starts)
        for one in self.operators:
            if one.kind in through and not reached.isdisjoint(one.inputs):
                reached.update(one.outputs)
        return reached - set(starts)

    def list_makers(self, tensors: Container[str]) -> list[Operator]:
        """The operators, in order, that make at least one of *tensors*."""
        return [one for one in self.operators if any(name in tensors for name in one.outputs)]


def normalise(path: Path) -> bytes:
    """The bytes of the file at *path* as the LiteRT quantizer needs them; what the model computes stays.

    Its calibrator asks for a signature, which older files have none of: the one here takes and gives tensors by their own
    names. It reads an operator's code from the field that came with version 3a of the schema, which older files leave at 0.
    And it knows tensors by their names, which may be missing or there twice.
    """
    model = _parse(path.read_bytes())
    for code in model.operatorCodes:
        code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
    main = model.subgraphs[0]
    model.signatureDefs = [_make_signature(main)]
    for graph in model.subgraphs:
        _name_tensors(graph.tensors)
    return _write(model)


def fix_sizes(data: bytes) -> bytes:
    """The bytes *data* of a file with the sizes that it has by default, for compilers that take none that varies."""
    model = _parse(data)
    varying = [tensor for graph in model.subgraphs for tensor in graph.tensors if any(size < 0 for size in _some(tensor.shapeSignature))]
    for tensor in varying:
        tensor.shapeSignature = None
    return _write(model) if varying else data


def read_graph(data: bytes) -> Graph:
    """The main graph of the file with the bytes *data*."""
    from ai_edge_litert.tools import flatbuffer_utils

    model = _parse(data)
    main = model.subgraphs[0]
    kinds = [flatbuffer_utils.opcode_to_name(model, index) or "" for index in range(len(model.operatorCodes))]
    names = [_name(tensor) for tensor in main.tensors]
    operators = [
        # An input that is left out has the index -1.
        Operator(kinds[one.opcodeIndex], tuple(names[i] for i in _some(one.inputs) if i >= 0), tuple(names[i] for i in _some(one.outputs)))
        for one in _some(main.operators)
    ]
    return Graph(tuple(operators), tuple(names[i] for i in main.inputs), tuple(names[i] for i in main.outputs))


def count_types(data: bytes, *types: str) -> int:
    """How many tensors of the file with the bytes *data* have one of *types*, by the schema's names (``INT8``)."""
    from ai_edge_litert.tools import flatbuffer_utils

    wanted = {getattr(flatbuffer_utils.TensorType, name) for name in types}
    return sum(tensor.type in wanted for graph in _parse(data).subgraphs for tensor in graph.tensors)


def _make_signature(main: Any) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    signature = schema.SignatureDefT()
    signature.signatureKey = SIGNATURE
    signature.subgraphIndex = 0
    signature.inputs = _map_tensors(main, main.inputs, "input")
    signature.outputs = _map_tensors(main, main.outputs, "output")
    return signature


def _map_tensors(main: Any, indices: Iterable[int], kind: str) -> list[Any]:
    """The tensors at *indices* under the names by which edgekit's runtime shows them."""
    from ai_edge_litert import schema_py_generated as schema

    mapped = []
    for place, index in enumerate(indices):
        one = schema.TensorMapT()
        one.name = _name(main.tensors[index]) or f"{kind}{place}"
        one.tensorIndex = index
        mapped.append(one)
    return mapped


def _name_tensors(tensors: Iterable[Any]) -> None:
    """Give each of *tensors* that has no name, or another's, one of its own."""
    taken: set[str] = set()
    for index, tensor in enumerate(tensors):
        name = _name(tensor)
        if not name or name in taken:
            tensor.name = f"{name}_tensor{index}"
        taken.add(_name(tensor))


def _name(tensor: Any) -> str:
    name = tensor.name or ""
    return name.decode(errors="replace") if isinstance(name, bytes) else name


def _some(values: Any) -> list[Any]:
    return [] if values is None else list(values)


def _parse(data: bytes) -> Any:
    from ai_edge_litert.tools import flatbuffer_utils

    return flatbuffer_utils.read_model_from_bytearray(bytearray(data))


def _write(model: Any) -> bytes:
    from ai_edge_litert.tools import flatbuffer_utils

    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
