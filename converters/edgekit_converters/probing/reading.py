"""The operators of a model, in the forms that probing knows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from edgekit.operator_support import INT8, Constants, Form, OperatorUse
from edgekit_converters.probing.cases import name_operator
from edgekit_converters.probing.opsets import list_versions

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

_UNKNOWN_TYPE = "unknown"


def list_uses(path: Path, dialect: str) -> tuple[OperatorUse, ...]:
    """The operators of the model at *path*, written in *dialect* (``onnx``, ``tflite``, ``openvino``), the most frequent first."""
    read = {"onnx": _read_onnx, "tflite": _read_tflite, "openvino": _read_openvino}[dialect]
    counts = Counter(read(path))
    return tuple(OperatorUse(form=form, count=count, versions=_find_versions(form, dialect)) for form, count in counts.most_common())


def _find_versions(form: Form, dialect: str) -> tuple[int, ...]:
    domain, _, name = form.operator.rpartition(".")
    return list_versions(domain, name) if dialect == "onnx" else ()


@dataclass
class _Tensors:
    """What is known of tensors by name: their element types, which are constants, and which were just dequantised."""

    kinds: dict[str, str] = field(default_factory=dict)
    constants: set[str] = field(default_factory=set)
    dequantised: set[str] = field(default_factory=set)


def _read_onnx(path: Path) -> Iterator[Form]:
    import onnx

    # The source loader has read it before, with its weights, and found it sound; of those only names and types are asked here.
    model = onnx.load(path, load_external_data=False)
    opsets = {one.domain: one.version for one in model.opset_import}
    inferred = model if model.graph.value_info or _is_large(model) else onnx.shape_inference.infer_shapes(model)
    yield from _list_forms(inferred.graph, opsets, _Tensors())


def _is_large(model: ModelProto) -> bool:
    # Shapes are worked out on a serialised copy, and protobuf writes no message of 2 GiB.
    return bool(model.ByteSize() >= 1 << 31)


def _list_forms(graph: GraphProto, opsets: Mapping[str, int], outer: _Tensors) -> Iterator[Form]:
    """The forms of *graph*'s nodes and of those in their branches, which see the tensors of the graphs round them too."""
    tensors = _Tensors(dict(outer.kinds), set(outer.constants), set(outer.dequantised))
    _note_tensors(graph, tensors)
    for node in graph.node:
        _note_constants(node, tensors)
        yield _describe_node(node, opsets, tensors)
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _list_forms(inner, opsets, tensors)


def _note_tensors(graph: GraphProto, tensors: _Tensors) -> None:
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensors.kinds[value.name] = _name_type(value.type.tensor_type.elem_type)
    for tensor in graph.initializer:
        tensors.kinds[tensor.name] = _name_type(tensor.data_type)
        tensors.constants.add(tensor.name)


def _note_constants(node: NodeProto, tensors: _Tensors) -> None:
    if node.op_type == "DequantizeLinear":
        tensors.dequantised.update(node.output)
    if node.op_type == "Constant" or (node.op_type == "DequantizeLinear" and node.input[0] in tensors.constants):
        tensors.constants.update(node.output)


def _name_type(number: int) -> str:
    from onnx import TensorProto, helper

    if number == TensorProto.STRING:
        return "string"
    return _UNKNOWN_TYPE if number == TensorProto.UNDEFINED else str(helper.tensor_dtype_to_np_dtype(number).name)


def _describe_node(node: NodeProto, opsets: Mapping[str, int], tensors: _Tensors) -> Form:
    given = [name for name in node.input if name]
    dynamic = [name for name in given if name not in tensors.constants]
    kind = next((tensors.kinds.get(name, _UNKNOWN_TYPE) for name in given or node.output), _UNKNOWN_TYPE)
    is_quantised = any(name in tensors.dequantised for name in dynamic)
    opset = opsets.get(node.domain, opsets.get("ai.onnx", 1))
    return Form(
        operator=name_operator(node.domain, node.op_type),
        since=max((version for version in list_versions(node.domain, node.op_type) if version <= opset), default=opset),
        dtype=INT8 if is_quantised else kind,
        constants=_find_constants(given, set(dynamic)),
        is_quantised=is_quantised,
    )


def _find_constants(given: list[str], dynamic: set[str]) -> Constants:
    """Which of the inputs *given* are constants; of a mixture that was not probed, none, which no runtime finds easier."""
    if len(given) == 2 and given[0] not in dynamic and given[1] in dynamic:
        return "first"
    return "rest" if len(given) > 1 and given[0] in dynamic and not dynamic & set(given[1:]) else "none"


def _read_tflite(path: Path) -> Iterator[Form]:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    names = name_values(schema.BuiltinOperator)
    kinds = name_values(schema.TensorType)
    for graph in model.subgraphs:
        for operator in _list(graph.operators):
            yield describe_operator(operator, graph, model, names, kinds)


def describe_operator(operator: Any, graph: Any, model: Any, names: Mapping[int, str], kinds: Mapping[int, str]) -> Form:
    """The form of a TFLite *operator*, by the *names* of operators and the *kinds* of tensors."""
    code = model.operatorCodes[operator.opcodeIndex]
    custom = (code.customCode or b"").decode(errors="replace")
    # Codes above 127 came later: the old field holds at most that, and the larger of the two counts.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    given = [index for index in _list(operator.inputs) if index >= 0]
    dynamic = [index for index in given if not has_data(model, graph.tensors[index])]
    tensors = [graph.tensors[index] for index in (dynamic or given or _list(operator.outputs))]
    is_quantised = bool(tensors) and kinds[tensors[0].type] in ("INT8", "UINT8") and bool(_list_scales(tensors[0]))
    kind = kinds[tensors[0].type].lower() if tensors else _UNKNOWN_TYPE
    return Form(
        operator=f"custom.{custom}" if custom else names.get(number, str(number)),
        since=max(1, code.version),
        dtype=kind,
        constants="none" if len(dynamic) == len(given) else "rest" if given[0] in dynamic else "first",
        is_quantised=is_quantised,
    )


def name_values(enumeration: type) -> dict[int, str]:
    """The names of the values of one of the schema's enumerations."""
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


def has_data(model: Any, tensor: Any) -> bool:
    """Whether *tensor* is a constant of its file."""
    buffer = model.buffers[tensor.buffer]
    # Buffer 0 is the empty one; a large one lies behind the message (offset).
    return bool(tensor.buffer and (len(_list(buffer.data)) or buffer.offset > 1)) and math.prod(_list(tensor.shape)) != 0


def _list_scales(tensor: Any) -> list[float]:
    return [] if tensor.quantization is None else _list(tensor.quantization.scale)


def _list(values: Iterable[Any] | None) -> list[Any]:
    return [] if values is None else list(values)


def _read_openvino(path: Path) -> Iterator[Form]:
    """The layers of an IR, as its ``.xml`` names them; the loader has held the file against all that makes XML dangerous."""
    for layer in ElementTree.parse(path).iter("layer"):  # noqa: S314 - see above
        if layer.get("type") not in ("Parameter", "Result", "Const"):
            version = "".join(filter(str.isdigit, layer.get("version", ""))) or "1"
            port = layer.find("./output/port")
            kind = _UNKNOWN_TYPE if port is None else str(port.get("precision", _UNKNOWN_TYPE)).lower()
            yield Form(operator=str(layer.get("type")), since=int(version), dtype=kind)
