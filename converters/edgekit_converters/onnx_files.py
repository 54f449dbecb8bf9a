"""ONNX files, read with care: such a file may come from anybody."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from edgekit.errors import InputError
from edgekit.model_kinds import find_kind
from edgekit_converters.onnx_functions import inline_functions
from edgekit_converters.passes.graph_names import list_bodies, list_reads
from edgekit_converters.passes.strip_metadata import NOTES

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

#: One protobuf message cannot be longer.
MAX_BYTES = (2 << 30) - 1
#: The most elements that one tensor may have, given or worked out: 4 GiB of float32.
MAX_ELEMENTS = 1 << 30
#: The most that one input or output may have for one sample: golden samples hold 32 of them, 64 MiB of float32 each.
MAX_BORDER_ELEMENTS = 1 << 24
#: The most elements of all that runtimes work out when they load a model: 1 GiB of float32.
MAX_CONSTANT_ELEMENTS = 1 << 28
MIN_OPSET = 11
#: Domains whose operators ONNX Runtime has.
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")

#: Weights of at most so many elements may be sizes or axes, which decide about shapes.
_SMALL_WEIGHT = 1 << 10
#: What shape inference adds to in a graph: shapes are noted in the bodies of operators, too.
_INFERRED = ("node", "output", "value_info")

_DAMAGED = "Fetch it or export it again."
# A sparse tensor of a few bytes may stand for terabytes, and no format on a device has them.
_DENSE = "Export the model with dense weights."


def read_model(path: Path, announce: Callable[[int], None] = lambda _: None) -> ModelProto:
    """The model at *path*, whole: external data and functions are in it, its shapes are worked out, and onnx's checker passed it.

    *announce* is called with the bytes of external data, once their number is known to be sound and before they are read.

    Raises:
        InputError: it is no such file, or one that cannot be trusted to be what it seems; the message says what is wrong.
    """
    model = _parse(_read_bytes(path), path)
    _check_outline(model, path)
    _check_texts(model, path)
    # How it was trained is not for devices.
    del model.training_info[:]
    model = inline_functions(model, path)
    _check_operators(model, path)
    _load_external_data(model, path, announce)
    for tensor in list_tensors(model.graph):
        _check_tensor(tensor, path)
    return infer_shapes(model, path)


def _read_bytes(path: Path) -> bytes:
    try:
        kind = find_kind(path)
        if kind is not None:
            raise InputError(path, f"it is {kind.name}, not an ONNX model", kind.remedy)
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


def _check_texts(message: Any, path: Path) -> None:
    """Refuse text that is not UTF-8, which protobuf gives as bytes: nothing after this expects a name of bytes. Notes may be so."""
    for field, value in message.ListFields():
        if field.name in NOTES:
            continue
        if field.message_type is not None:
            for one in [value] if hasattr(value, "ListFields") else value:
                _check_texts(one, path)
        elif field.type == field.TYPE_STRING and not all(isinstance(one, str) for one in ([value] if isinstance(value, str | bytes) else value)):
            raise InputError(path, f"its field {field.full_name} is not UTF-8", _DAMAGED)


def _check_operators(model: ModelProto, path: Path) -> None:
    for graph in list_graphs(model.graph):
        if graph.sparse_initializer:
            raise InputError(path, "it has sparse weights", _DENSE)
    for node in list_nodes(model.graph):
        if any(attribute.HasField("sparse_tensor") for attribute in node.attribute):
            raise InputError(path, f"its operator {node.op_type!r} has a sparse constant", _DENSE)
        if node.domain not in DOMAINS:
            problem = f"it has the operator {node.op_type!r} of the domain {node.domain!r}, which no runtime here has"
            raise InputError(path, problem, "Export the model with ONNX's own operators.")


def _load_external_data(model: ModelProto, path: Path, announce: Callable[[int], None]) -> None:
    """Read into *model* what lies in files beside it, and nowhere else."""
    import onnx

    outside = [tensor for tensor in list_tensors(model.graph) if tensor.data_location == onnx.TensorProto.EXTERNAL]
    if not outside:
        return
    total = sum(_check_location(tensor, path) for tensor in outside)
    if total + model.ByteSize() > MAX_BYTES:
        raise InputError(path, f"with its weights it has {total >> 20} MiB, and at most 2 GiB are read", "Give a smaller model.")
    announce(total)
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except Exception as error:
        # onnx raises its own ValidationError, ValueError, OSError and more here, and each means the same.
        raise _lacks_weights(path, _summarize(error)) from error


def _check_location(tensor: TensorProto, path: Path) -> int:
    """The bytes of *tensor* in its file, which must be a plain one below the model's directory and hold them."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    parts = PurePosixPath(location).parts
    climbs = not parts or ".." in parts or PurePosixPath(location).is_absolute() or PureWindowsPath(location).drive or "\\" in location
    place = path.parent / location
    if climbs or "\0" in location or not place.resolve().is_relative_to(path.parent.resolve()):
        problem = f"the data of its tensor {tensor.name!r} are said to lie at {location!r}, outside of the model's directory"
        raise InputError(path, problem, "Save it again with onnx.save(model, path, save_as_external_data=True).")
    if place.resolve() == path.resolve():
        raise InputError(path, f"the data of its tensor {tensor.name!r} are said to lie in the model itself", _DAMAGED)
    return _measure_span(place, entries, tensor, path)


def _measure_span(place: Path, entries: dict[str, str], tensor: TensorProto, path: Path) -> int:
    """How many bytes of the file *place* the offset and length in *entries* stand for."""
    try:
        if not place.is_file():
            raise _lacks_weights(path, f"there is no file {place.name!r}")
        there = place.stat().st_size
        offset = int(entries.get("offset") or 0)
        length = int(entries.get("length") or there - offset)
    except (OSError, ValueError) as error:
        raise _lacks_weights(path, _summarize(error)) from error
    if offset < 0 or length < 0 or offset + length > there:
        raise InputError(path, f"the data of its tensor {tensor.name!r} end behind the end of {place.name!r}, which has {there} bytes", _DAMAGED)
    return length


def _lacks_weights(path: Path, reason: str) -> InputError:
    problem = f"its weights lie in another file, which cannot be read: {reason}"
    return InputError(path, problem, "Put that file beside it, under the name that the model has for it.")


def _check_tensor(tensor: TensorProto, path: Path) -> None:
    """Refuse a tensor whose data are not as many as its shape says."""
    from onnx import numpy_helper

    try:
        numpy_helper.to_array(tensor)
    except Exception as error:
        # numpy raises ValueError and TypeError, onnx KeyError and more of its own.
        raise InputError(path, f"its tensor {tensor.name!r} is damaged: {_summarize(error)}", _DAMAGED) from error


def infer_shapes(model: ModelProto, path: Path) -> ModelProto:
    """*model* itself, with every shape that onnx can work out; InputError where it is not valid, or a tensor is absurdly large."""
    import onnx

    outline = _outline(model)
    try:
        if not all(value.type.tensor_type.HasField("shape") for value in outline.graph.output):
            # The checker wants a shape for each output, which some exporters leave to be worked out.
            outline = onnx.shape_inference.infer_shapes(outline)
        onnx.checker.check_model(outline)
        inferred: ModelProto = onnx.shape_inference.infer_shapes(outline, check_type=True, strict_mode=True, data_prop=True)
    except MemoryError:
        raise
    except Exception as error:
        # The checker's ValidationError and the inference's InferenceError have no common root, and either may raise others.
        raise InputError(path, f"it is not valid ONNX: {_summarize(error)}", _DAMAGED) from error
    # Weights stand among the inputs in the outline, as they do in old files, and no caller gives them.
    weights = {tensor.name for tensor in model.graph.initializer}
    _check_sizes(inferred, {value.name for value in (*model.graph.input, *model.graph.output)} - weights, path)
    for name in _INFERRED:
        model.graph.ClearField(name)
        getattr(model.graph, name).extend(getattr(inferred.graph, name))
    return model


def _outline(model: ModelProto) -> ModelProto:
    """*model* with its large weights as inputs: what they are says all about shapes, and onnx copies a model many times."""
    from onnx import helper

    outline = type(model)()
    for message, copied, left_out in ((model, outline, "graph"), (model.graph, outline.graph, "initializer")):
        for field, value in message.ListFields():
            if field.name != left_out:
                _copy_field(copied, field.name, value)
    known = {value.name for value in model.graph.input}
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) <= _SMALL_WEIGHT:
            outline.graph.initializer.append(tensor)
        elif tensor.name not in known:
            outline.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return outline


def _copy_field(message: Any, name: str, value: Any) -> None:
    if isinstance(value, int | float | str | bytes):
        setattr(message, name, value)
    else:
        getattr(message, name).MergeFrom(value)


def _check_sizes(model: ModelProto, borders: set[str], path: Path) -> None:
    for graph in list_graphs(model.graph):
        for value in (*graph.input, *graph.output, *graph.value_info):
            elements = count_elements(value)
            limit = MAX_BORDER_ELEMENTS if value.name in borders else MAX_ELEMENTS
            if elements > limit:
                raise InputError(path, f"its tensor {value.name!r} has {elements} elements, and the limit is {limit}", "Give a smaller model.")


def check_constants(model: ModelProto, path: Path) -> None:
    """Refuse a model in which what is the same for every input would take too much memory once a runtime has worked it out."""
    sizes = {value.name: count_elements(value) for value in (*model.graph.value_info, *model.graph.output)}
    constants = {tensor.name for tensor in model.graph.initializer}
    total = 0
    for node in model.graph.node:
        if constants.issuperset(list_reads(node)):
            constants.update(node.output)
            total += sum(sizes.get(name, 0) for name in node.output)
    if total > MAX_CONSTANT_ELEMENTS:
        problem = f"its operators make {total} elements out of constants alone, and the limit is {MAX_CONSTANT_ELEMENTS}"
        raise InputError(path, problem, "Export the model with its constants as they are, or smaller.")


def count_elements(value: ValueInfoProto) -> int:
    """The elements of the tensor *value*, taking each size that may vary, or is zero, for one."""
    return math.prod(max(dimension.dim_value, 1) for dimension in value.type.tensor_type.shape.dim)


def list_graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """*graph*, and the bodies of its loops and branches."""
    yield graph
    for node in graph.node:
        for body in list_bodies(node):
            yield from list_graphs(body)


def list_nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """The operators of *graph*, and of the bodies inside of it."""
    return (node for one in list_graphs(graph) for node in one.node)


def list_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """Every constant of *graph*: initialisers, and tensors that are attributes."""
    yield from (tensor for one in list_graphs(graph) for tensor in one.initializer)
    for attribute in (attribute for node in list_nodes(graph) for attribute in node.attribute):
        yield from (tensor for tensor in (attribute.t, *attribute.tensors) if tensor.data_type)


def _summarize(error: Exception) -> str:
    """The first line of a library's message that says something, at most 300 letters of it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
