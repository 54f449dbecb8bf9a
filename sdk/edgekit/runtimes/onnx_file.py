"""Whether an ONNX file keeps to its own directory, looked at before a runtime reads what it points to.

Weights may lie in other files, which a tensor names. The ONNX Runtime that runs on Python 3.10 follows such a name
anywhere, so a hostile model could make a file of the device part of its answers. The tensors are found by walking the
protobuf message (protobuf.dev, "Encoding"); values are skipped, not read, so a large file costs no more than a small one.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from edgekit.errors import InputError

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
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_KEY, _VALUE = 1, 2
_LONGEST_VARINT = 10


class _BrokenError(Exception):
    """The bytes are not a protobuf message."""


def check_onnx(path: Path) -> None:
    """Refuse a file that is not ONNX, or that names a file outside its own directory (InputError)."""
    try:
        locations = find_external_files(path)
    except OSError as error:
        raise InputError(path, f"it cannot be read: {error.strerror}", "Check the path.") from error
    except (_BrokenError, UnicodeDecodeError) as error:
        raise InputError(path, f"it is not a whole ONNX model: {error}", "Fetch or make the file again.") from error
    for location in locations:
        name = PurePosixPath(location)
        if name.is_absolute() or ".." in name.parts:
            raise InputError(path, f"its weights are in {location!r}, outside its own directory", "Save the model with its weights beside it.")


def find_external_files(path: Path) -> list[str]:
    """The files that the tensors of the ONNX file at *path* name, as they name them."""
    with path.open("rb") as file:
        if not file.read(1):
            raise _BrokenError("it is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return list(_walk(data))


def _walk(data: mmap.mmap) -> Iterator[str]:
    # A list instead of recursion, since a hostile file may nest graphs as deep as it likes.
    waiting = [("Model", 0, len(data))]
    while waiting:
        kind, start, end = waiting.pop()
        if kind == "Entry":
            fields = {field: data[first:last].decode() for field, first, last in _list_fields(data, start, end)}
            if fields.get(_KEY) == "location":
                yield fields.get(_VALUE, "")
            continue
        nested = _NESTED[kind]
        waiting += [(nested[field], first, last) for field, first, last in _list_fields(data, start, end) if field in nested]


def _list_fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The number of each field of the message in bytes *at* to *end* that has a length, and where its content lies."""
    while at < end:
        tag, at = _read_varint(data, at, end)
        wire = tag & 7
        if wire == _BYTES:
            length, first = _read_varint(data, at, end)
            at = first + length
            if at <= end:
                yield tag >> 3, first, at
        elif wire == _VARINT:
            _, at = _read_varint(data, at, end)
        elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
            at += 8 if wire == _EIGHT_BYTES else 4
        else:
            raise _BrokenError(f"there is no field at byte {at}")
    if at != end:
        raise _BrokenError(f"it refers to byte {at}, and its part ends at byte {end}")


def _read_varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    """The number at *at*, seven bits a byte, and where it ends."""
    value = 0
    for index in range(min(_LONGEST_VARINT, end - at)):
        byte = data[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise _BrokenError(f"the number at byte {at} has no end")
