"""Whether an ONNX file keeps to its own directory, looked at before a runtime reads what it points to.

Weights may lie in other files, which a tensor names. The ONNX Runtime that runs on Python 3.10 follows such a name
anywhere, so a hostile model could make a file of the device part of its answers. The tensors are found by walking the
protobuf message (protobuf.dev, "Encoding"); values are skipped, not read, so a large file costs no more than a small one.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from edgekit.errors import InputError
from edgekit.runtimes.wire_format import BrokenMessageError, list_fields

# For each message the fields that hold messages on the way to a tensor's file: onnx.proto, IR version 13.
# fmt: off
_NESTED: dict[str, dict[int, str]] = {
    "Model":        {7: "Graph", 20: "TrainingInfo", 25: "Function"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "Graph":        {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Function":     {7: "Node", 11: "Attribute"},
    "Node":         {5: "Attribute"},
    "Attribute":    {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor":       {13: "Entry"},
}
# fmt: on
_KEY, _VALUE = 1, 2


def check_onnx(path: Path) -> None:
    """Refuse a file that is not ONNX, or that names a file outside its own directory (InputError)."""
    try:
        locations = find_external_files(path)
    except OSError as error:
        raise InputError(path, f"it cannot be read: {error.strerror}", "Check the path.") from error
    except (BrokenMessageError, UnicodeDecodeError) as error:
        raise InputError(path, f"it is not a whole ONNX model: {error}", "Fetch or make the file again.") from error
    for location in locations:
        name = PurePosixPath(location)
        if name.is_absolute() or ".." in name.parts:
            raise InputError(path, f"its weights are in {location!r}, outside its own directory", "Save the model with its weights beside it.")


def find_external_files(path: Path) -> list[str]:
    """The files that the tensors of the ONNX file at *path* name, as they name them."""
    with path.open("rb") as file:
        if not file.read(1):
            raise BrokenMessageError("it is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return list(_walk(data))


def _walk(data: mmap.mmap) -> Iterator[str]:
    # A list instead of recursion, since a hostile file may nest graphs as deep as it likes.
    waiting = [("Model", 0, len(data))]
    while waiting:
        kind, start, end = waiting.pop()
        if kind == "Entry":
            fields = {field: data[first:last].decode() for field, first, last in list_fields(data, start, end)}
            if fields.get(_KEY) == "location":
                yield fields.get(_VALUE, "")
            continue
        nested = _NESTED[kind]
        waiting += [(nested[field], first, last) for field, first, last in list_fields(data, start, end) if field in nested]
