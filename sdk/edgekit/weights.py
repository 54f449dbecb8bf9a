"""The constants of a model file by name, and how those of two files differ."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree  # what it parses was walked by check_openvino, which refuses entities

import numpy as np

from edgekit.arrays import Array, Arrays, to_plain
from edgekit.errors import DeviceError, InputError
from edgekit.records import Record
from edgekit.runtimes.onnx_file import check_onnx
from edgekit.runtimes.openvino_file import check_openvino
from edgekit.runtimes.tflite_file import check_tflite

#: numpy's name for OpenVINO's types of elements; others are held as bytes.
_IR_TYPES = {"f16": "float16", "f32": "float32", "f64": "float64"} | {
    f"{letter}{bits}": f"{word}{bits}" for letter, word in (("i", "int"), ("u", "uint")) for bits in (8, 16, 32, 64)
}


Change = Literal["added", "removed", "reshaped", "changed"]


class WeightChange(Record, frozen=True, kw_only=True):
    """One constant that two files do not share: *before* and *after* are its dtype and shape, empty where it is not there.

    *max_abs* is the largest difference of any value; None where there is none to take, or it is no finite number.
    """

    name: str
    change: Change
    before: str = ""
    after: str = ""
    max_abs: float | None = None


def read_weights(path: Path, format: str) -> Arrays:
    """The constants of the model at *path* by name: weights, scales, and whatever else is fixed in its graph.

    What numpy has no type for is an array of bytes. Of equal names the later ones get a number.

    Raises:
        InputError: it is damaged, or nothing here reads the weights of *format*.
        DeviceError: what reads *format* is not installed here.
    """
    readers = {"onnx": _read_onnx, "tflite": _read_tflite, "openvino": _read_openvino}
    if format not in readers:
        raise InputError(path, f"the weights of models in {format} cannot be read", f"Formats that are read: {', '.join(readers)}.")
    arrays: Arrays = {}
    seen: Counter[str] = Counter()
    try:
        for name, array in readers[format](path):
            seen[name] += 1
            arrays[name if seen[name] == 1 else f"{name} #{seen[name]}"] = array
    except ImportError as error:
        problem = f"{error.name}, which reads its weights, is not installed"
        raise DeviceError(path, problem, "Install it: pip install 'edgekit[convert]'.") from error
    return arrays


def compare_weights(before: Mapping[str, Array], after: Mapping[str, Array]) -> list[WeightChange]:
    """Each constant that is not the same in both, in the order of *before*, and then what came new."""
    names = dict.fromkeys((*before, *after))
    return [change for name in names if (change := _compare(name, before.get(name), after.get(name))) is not None]


def _compare(name: str, before: Array | None, after: Array | None) -> WeightChange | None:
    if before is None or after is None:
        change: Change = "added" if before is None else "removed"
        return WeightChange(name=name, change=change, before=_describe(before), after=_describe(after))
    if (before.dtype, before.shape) != (after.dtype, after.shape):
        return WeightChange(name=name, change="reshaped", before=_describe(before), after=_describe(after))
    if before.tobytes() == after.tobytes():
        return None
    distance = _find_distance(before, after)
    return WeightChange(name=name, change="changed", before=_describe(before), after=_describe(after), max_abs=distance)


def _describe(array: Array | None) -> str:
    return "" if array is None else f"{array.dtype}{list(array.shape)}"


def _find_distance(before: Array, after: Array) -> float | None:
    # numpy's letter for the types of machine learning, such as bfloat16, is V.
    if before.dtype.kind not in "biufV":
        return None
    # A stranger's weights may be anything, and the difference of two infinities is none.
    with np.errstate(all="ignore"):
        distance = float(np.abs(before.astype(np.float64) - after.astype(np.float64)).max(initial=0.0))
    return distance if np.isfinite(distance) else None


def _read_onnx(path: Path) -> Iterator[tuple[str, Array]]:
    import onnx

    check_onnx(path)
    try:
        model = onnx.load(path)
        named = [pair for graph in (model.graph, *model.functions) for pair in _list_onnx_tensors(graph)]
        yield from [(name, to_plain(onnx.numpy_helper.to_array(tensor))) for name, tensor in named]
    except Exception as error:
        # protobuf, onnx and numpy raise errors of their own, with no common root, for a file that is not whole.
        raise InputError(path, f"it is not a whole ONNX model: {error}", "Fetch or make the file again.") from error


def _list_onnx_tensors(graph: Any) -> Iterator[tuple[str, Any]]:
    """The constants of *graph* and of the graphs inside its operators, by name. A function has no initialisers of its own."""
    for tensor in getattr(graph, "initializer", ()):
        yield tensor.name, tensor
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield f"{node.name or '/'.join(node.output)}.{attribute.name}", attribute.t
            for inner in (attribute.g, *attribute.graphs):
                yield from _list_onnx_tensors(inner)


def _read_tflite(path: Path) -> Iterator[tuple[str, Array]]:
    from ai_edge_litert import schema_py_generated as schema

    check_tflite(path)
    data = path.read_bytes()
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    types = {value: name.lower() for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
    for graph in model.subgraphs:
        for tensor in graph.tensors or []:
            name = (tensor.name or b"").decode(errors="replace")
            stored = _find_buffer(model.buffers, tensor.buffer, data)
            if len(stored):
                yield name, _shape(stored, types.get(tensor.type, ""), tensor.shape)
            yield from _list_scales(name, tensor.quantization)


def _find_buffer(buffers: Any, index: int, data: bytes) -> Array:
    """The bytes of a buffer. Files of more than 2 GiB have them behind the FlatBuffer (schema.fbs, Buffer.offset)."""
    if not 0 <= index < len(buffers):
        return np.zeros(0, np.uint8)
    buffer = buffers[index]
    if buffer.offset > 1:
        return np.frombuffer(data[buffer.offset : buffer.offset + buffer.size], np.uint8)
    return np.zeros(0, np.uint8) if buffer.data is None else np.asarray(buffer.data, np.uint8)


def _list_scales(name: str, quantization: Any) -> Iterator[tuple[str, Array]]:
    """How integers of a tensor stand for real numbers: in TFLite that is no constant of the graph, and as much a part of the model."""
    if quantization is not None and quantization.scale is not None:
        yield f"{name}.scale", np.asarray(quantization.scale, np.float32)
        yield f"{name}.zero_point", np.asarray(quantization.zeroPoint if quantization.zeroPoint is not None else [], np.int64)


def _read_openvino(path: Path) -> Iterator[tuple[str, Array]]:
    check_openvino(path)
    weights = path.with_suffix(".bin")
    stored = np.memmap(weights, np.uint8, mode="r") if weights.is_file() and weights.stat().st_size else np.zeros(0, np.uint8)
    for layer in ElementTree.parse(path).iter("layer"):  # noqa: S314 - as above
        data = layer.find("data")
        if layer.get("type") == "Const" and data is not None:
            start, size = int(data.get("offset", "0")), int(data.get("size", "0"))
            shape = [int(axis) for axis in data.get("shape", "").split(",") if axis.strip()]
            yield layer.get("name", ""), _shape(stored[start : start + size], _IR_TYPES.get(data.get("element_type", ""), ""), shape)


def _shape(stored: Array, dtype: str, shape: Any) -> Array:
    """The bytes *stored* as numbers of *dtype* in *shape*; as they are where numpy has no such type, or they do not fill it."""
    sizes = [] if shape is None else [int(size) for size in shape]
    try:
        return stored.view(np.dtype(dtype)).reshape(sizes)
    except (TypeError, ValueError):
        return stored
