"""What a model file is: its format, its tensors, its operators, and the digests of its files."""

import struct
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from edgekit.environments import run_tool
from edgekit.errors import ConversionError, DeviceError, InputError
from edgekit.files import digest_file
from edgekit.measuring_frames import Refused
from edgekit.model_kinds import find_kind
from edgekit.records import Digest, Length, Record
from edgekit.runtimes.base import Runtime
from edgekit.runtimes.registry import find_runtime
from edgekit.tensors import TensorSpec

_WORKER = Path(__file__).with_name("inspection_worker.py")
#: Seconds that reading a model may take, and how many bytes of it a slow card gives in one.
_SECONDS, _RATE = 60.0, 5e6
_READABLE = "edgekit inspects bundles, and models in .onnx, .tflite and OpenVINO's .xml files."


class ModelFile(Record, frozen=True, kw_only=True):
    """One file of a model, by its name."""

    name: str
    digest: Digest
    length: Length


class ModelDescription(Record, frozen=True, kw_only=True):
    """What a model says of itself. What nothing installed here can tell is None, and *unknown* says why.

    *operators* counts the operators of all its graphs by type.
    """

    path: str
    format: str
    size: Length
    files: tuple[ModelFile, ...]
    inputs: tuple[TensorSpec, ...] | None = None
    outputs: tuple[TensorSpec, ...] | None = None
    operators: dict[str, int] | None = None
    runtime: str | None = None
    unknown: tuple[str, ...] = ()


def inspect_model(path: Path) -> ModelDescription:
    """The description of the model at *path*, made in a process of its own: the file may come from anybody, and native code reads it.

    Raises:
        InputError: it is not a model of a format that edgekit knows, it is damaged, or what read it crashed or never ended.
    """
    find_format(path)
    try:
        reply = run_tool(Path(sys.executable), _WORKER, {"path": str(path)}, _SECONDS + path.stat().st_size / _RATE)
    except ConversionError as error:
        raise InputError(path, f"it cannot be read: {error.problem}", "Fetch or make it again.") from error
    if "refused" in reply:
        raise msgspec.convert(reply["refused"], Refused).to_error()
    return msgspec.convert(reply["description"], ModelDescription)


def describe_model(path: Path) -> ModelDescription:
    """The description of the model at *path*, as the runtime of its format loads it into this process.

    Raises:
        InputError: it is not a model of a format that edgekit knows, or it is damaged.
    """
    kind = find_format(path)
    runtime, missing = _find_runtime(kind)
    inputs, outputs = (None, None) if runtime is None else _read_specs(path, runtime)
    operators, external, uncounted = _read_graph(path, kind)
    files = [_describe_file(file) for file in (path, *external)]
    return ModelDescription(
        path=str(path),
        format=kind,
        size=sum(file.length for file in files),
        files=tuple(files),
        inputs=inputs,
        outputs=outputs,
        operators=operators,
        runtime=None if runtime is None else f"{runtime.name} {runtime.find_version()}",
        unknown=tuple(reason for reason in (missing, uncounted) if reason),
    )


def count_operators(path: Path, format: str) -> dict[str, int] | None:
    """How often the model at *path* has each operator, the most frequent first; None where nothing installed here can tell."""
    return _read_graph(path, format)[0] if format in _GRAPHS else None


def find_format(path: Path) -> str:
    """The format of the model at *path*, by its first bytes; ONNX, which has no magic number, also by its name."""
    try:
        kind = find_kind(path)
        head = _read_head(path)
    except OSError as error:
        raise InputError(path, f"it cannot be read: {error.strerror}", "Give a model file or the directory of a bundle.") from error
    if head[4:8] == b"TFL3":
        return "tflite"
    if head.lstrip().startswith((b"<?xml", b"<net")):
        return "openvino"
    # An ONNX file is a protobuf, whose first field is nearly always ir_version: field 1, a varint.
    if kind is None and (path.suffix == ".onnx" or head.startswith(b"\x08")):
        return "onnx"
    found = f"it is {kind.name}" if kind else "it is not a model of a format that edgekit knows"
    raise InputError(path, found, _READABLE)


def _read_head(path: Path) -> bytes:
    """The first bytes of the file at *path*; none of what is no file, since a pipe would wait for its other end."""
    if path.exists() and not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(256)


def _find_runtime(format: str) -> tuple[Runtime | None, str]:
    try:
        return find_runtime(format), ""
    except DeviceError as error:
        return None, f"inputs and outputs: {error}"


def _read_specs(path: Path, runtime: Runtime) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    session = runtime.open(path, 1)
    try:
        return session.inputs, session.outputs
    finally:
        session.close()


def _describe_file(path: Path) -> ModelFile:
    try:
        return ModelFile(name=path.name, digest=digest_file(path), length=path.stat().st_size)
    except OSError as error:
        raise InputError(path, f"the model needs it, and it cannot be read: {error.strerror}", "Put all files of the model together.") from error


def _read_graph(path: Path, format: str) -> tuple[dict[str, int] | None, list[Path], str]:
    """Operators by type, the files with weights beside *path*, and why the operators are not known."""
    try:
        types, external = _GRAPHS[format](path)
    except ImportError as error:
        return None, [], f"operators: {error.name} is not installed. Install it: pip install 'edgekit[convert]'."
    return dict(Counter(types).most_common()), external, ""


def _read_onnx(path: Path) -> tuple[list[str], list[Path]]:
    import onnx

    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:
        # protobuf's DecodeError differs between its implementations, and onnx wraps it in some versions.
        raise InputError(path, f"it is not a whole ONNX model: {error}", "Export it again.") from error
    stores = [tensor.external_data for tensor in model.graph.initializer if tensor.data_location == onnx.TensorProto.EXTERNAL]
    names = {entry.value for store in stores for entry in store if entry.key == "location"}
    outside = [name for name in names if Path(name).is_absolute() or ".." in Path(name).parts]
    if outside:
        raise InputError(path, f"its weights lie outside its own directory: {outside[0]}", "Export it again with its weights beside it.")
    graphs = [model.graph, *model.functions]
    return [kind for graph in graphs for kind in _list_onnx_operators(graph.node)], [path.parent / name for name in sorted(names)]


def _list_onnx_operators(nodes: Iterable[Any]) -> Iterator[str]:
    """The types of *nodes* and of those in the branches and loop bodies that they carry."""
    for node in nodes:
        yield node.op_type
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _list_onnx_operators(graph.node)


def _read_tflite(path: Path) -> tuple[list[str], list[Path]]:
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    try:
        model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    except (ValueError, TypeError, struct.error) as error:
        # A name that is no text, or an offset into nowhere, which the generated reader follows.
        raise InputError(path, f"it is not a sound TFLite model: {error}", "Fetch or make it again.") from error
    # Codes above 127 came later: the old field holds at most that, and the larger of the two counts.
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes or []]
    custom = [(code.customCode or b"").decode(errors="replace") for code in model.operatorCodes or []]
    operators = [operator.opcodeIndex for graph in model.subgraphs for operator in graph.operators or []]
    return [custom[index] or names.get(codes[index], str(codes[index])) for index in operators], []


def _read_openvino(path: Path) -> tuple[list[str], list[Path]]:
    import openvino

    try:
        model = openvino.Core().read_model(path)
    except RuntimeError as error:
        raise InputError(path, f"it is not a whole OpenVINO model: {error}", "Convert it again.") from error
    weights = path.with_suffix(".bin")
    return [operator.get_type_name() for operator in model.get_ops()], [weights] if weights.exists() else []


#: What reads the graph of a file, by format.
_GRAPHS = {"onnx": _read_onnx, "tflite": _read_tflite, "openvino": _read_openvino}
