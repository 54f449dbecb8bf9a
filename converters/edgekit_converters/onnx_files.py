"""ONNX files, read with care: such a file may come from anybody."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from edgekit.errors import InputError
from edgekit.model_kinds import find_kind

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

#: One protobuf message cannot be longer.
MAX_BYTES = (2 << 30) - 1
#: The most elements that one tensor may have, given or worked out: 4 GiB of float32.
MAX_ELEMENTS = 1 << 30
MIN_OPSET = 11
#: Domains whose operators ONNX Runtime has.
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")

_DAMAGED = "Fetch it or export it again."
# A sparse tensor of a few bytes may stand for terabytes, and no format on a device has them.
_DENSE = "Export the model with dense weights."
_READ_TODAY = "Only ONNX is read today."


def read_model(path: Path) -> ModelProto:
    """The model at *path*, whole: external data is in it, its shapes are worked out, and onnx's checker passed it.

    Raises:
        InputError: it is no such file, or one that cannot be trusted to be what it seems; the message says what is wrong.
    """
    model = _parse(_read_bytes(path), path)
    _check_outline(model, path)
    _check_operators(model, path)
    _load_external_data(model, path)
    for tensor in _list_tensors(model.graph):
        _check_tensor(tensor, path)
    return _infer_shapes(model, path)


def _read_bytes(path: Path) -> bytes:
    try:
        kind = find_kind(path)
        if kind is not None:
            raise InputError(path, f"it is {kind.name}, not an ONNX model", f"{kind.remedy} {_READ_TODAY}")
        length = path.stat().st_size
        if length > MAX_BYTES:
            raise InputError(path, f"it has {length >> 20} MiB, and an ONNX file has at most 2 GiB", "Save it with external data.")
        return path.read_bytes()
    except OSError as error:
        raise InputError(path, f"it cannot be read: {error.strerror}", "Check the path.") from error


def _parse(data: bytes, path: Path) -> ModelProto:
    import onnx

    try:
        model: ModelProto = onnx.ModelProto.FromString(data)
    except Exception as error:
        # It is protobuf's DecodeError, whose module belongs to protobuf's chosen back end.
        raise InputError(path, "it is not an ONNX model, or not a whole one: its bytes cannot be parsed", _DAMAGED) from error
    return model


def _check_outline(model: ModelProto, path: Path) -> None:
    # Bytes of another kind may parse as a message with no known field in it.
    if not model.ir_version or not model.opset_import or not model.graph.output:
        raise InputError(path, "it is not an ONNX model: it has no graph with outputs", _DAMAGED)
    opset = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), MIN_OPSET)
    if opset < MIN_OPSET:
        remedy = "Convert it: onnx.version_converter.convert_version(model, 17)."
        raise InputError(path, f"its opset is {opset}, and {MIN_OPSET} is the oldest that is read", remedy)


def _check_operators(model: ModelProto, path: Path) -> None:
    if model.functions:
        # They are not inlined here: functions that call each other twice grow without bound.
        name = f"{model.functions[0].domain}.{model.functions[0].name}"
        raise InputError(path, f"it has functions of its own, such as {name!r}", "Inline them: onnx.inliner.inline_local_functions(model).")
    for graph in _list_graphs(model.graph):
        if graph.sparse_initializer:
            raise InputError(path, "it has sparse weights", _DENSE)
    for node in _list_nodes(model.graph):
        if any(attribute.HasField("sparse_tensor") for attribute in node.attribute):
            raise InputError(path, f"its operator {node.op_type!r} has a sparse constant", _DENSE)
        if node.domain not in DOMAINS:
            problem = f"it has the operator {node.op_type!r} of the domain {node.domain!r}, which no runtime here has"
            raise InputError(path, problem, "Export the model with ONNX's own operators.")


def _load_external_data(model: ModelProto, path: Path) -> None:
    """Read into *model* what lies in files beside it, and nowhere else."""
    import onnx

    outside = [tensor for tensor in _list_tensors(model.graph) if tensor.data_location == onnx.TensorProto.EXTERNAL]
    for tensor in outside:
        _check_location(tensor, path)
    if not outside:
        return
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except Exception as error:
        # onnx raises its own ValidationError, ValueError, OSError and more here, and each means the same.
        problem = f"its weights lie in another file, which cannot be read: {_summarize(error)}"
        raise InputError(path, problem, "Put that file beside it, under the name that the model has for it.") from error
    if model.ByteSize() > MAX_BYTES:
        raise InputError(path, "with its weights it has more than 2 GiB", "Give a smaller model.")


def _check_location(tensor: TensorProto, path: Path) -> None:
    location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    parts = PurePosixPath(location).parts
    climbs = not parts or ".." in parts or PurePosixPath(location).is_absolute() or PureWindowsPath(location).drive or "\\" in location
    if climbs or not (path.parent / location).resolve().is_relative_to(path.parent.resolve()):
        problem = f"the data of its tensor {tensor.name!r} are said to lie at {location!r}, outside of the model's directory"
        raise InputError(path, problem, "Save it again with onnx.save(model, path, save_as_external_data=True).")


def _check_tensor(tensor: TensorProto, path: Path) -> None:
    """Refuse a tensor whose data are not as many as its shape says."""
    from onnx import numpy_helper

    try:
        numpy_helper.to_array(tensor)
    except Exception as error:
        # numpy raises ValueError and TypeError, onnx KeyError and more of its own.
        raise InputError(path, f"its tensor {tensor.name!r} is damaged: {_summarize(error)}", _DAMAGED) from error


def _infer_shapes(model: ModelProto, path: Path) -> ModelProto:
    import onnx

    try:
        onnx.checker.check_model(model)
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except Exception as error:
        # The checker's ValidationError and the inference's InferenceError have no common root, and either may raise others.
        raise InputError(path, f"it is not valid ONNX: {_summarize(error)}", _DAMAGED) from error
    for value in (*inferred.graph.input, *inferred.graph.output, *inferred.graph.value_info):
        elements = math.prod(dimension.dim_value or 1 for dimension in value.type.tensor_type.shape.dim)
        if elements > MAX_ELEMENTS:
            raise InputError(path, f"its tensor {value.name!r} has {elements} elements, and the limit is {MAX_ELEMENTS}", "Give a smaller model.")
    return inferred


def _list_graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """*graph*, and the bodies of its loops and branches."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.ByteSize():
                    yield from _list_graphs(inner)


def _list_nodes(graph: GraphProto) -> Iterator[NodeProto]:
    return (node for one in _list_graphs(graph) for node in one.node)


def _list_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """Every constant of *graph*: initialisers, and tensors that are attributes."""
    yield from (tensor for one in _list_graphs(graph) for tensor in one.initializer)
    for attribute in (attribute for node in _list_nodes(graph) for attribute in node.attribute):
        yield from (tensor for tensor in (attribute.t, *attribute.tensors) if tensor.data_type)


def _summarize(error: Exception) -> str:
    """The first line of a library's message that says something, at most 300 letters of it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
