"""Whether a file is whole TFLite, looked at before a runtime maps it into memory.

tflite-runtime follows a file's offsets without looking where they lead, so a truncated file ends the process with
SIGSEGV. Each offset that a runtime follows to build its graph is followed here first, within bounds, as the verifier of
FlatBuffers does ("FlatBuffers internals": tables, vtables, vectors, strings). Tensors' data are not read. Their shapes are,
since a runtime takes room for every tensor between two operators when it opens a file.
"""

import math
import mmap
import struct
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.errors import InputError

IDENTIFIER = b"TFL3"
_REMEDY = "Fetch or make the file again."
#: The most elements that one tensor may have: 4 GiB of float32.
MAX_ELEMENTS = 1 << 30


@dataclass(frozen=True)
class _Scalar:
    width: int


@dataclass(frozen=True)
class _Vector:
    width: int


@dataclass(frozen=True)
class _Shape(_Vector):
    """Sizes as int32."""


@dataclass(frozen=True)
class _Table:
    name: str


@dataclass(frozen=True)
class _Tables:
    name: str


class _String:
    """Bytes with a NUL behind them."""


_Kind = _Scalar | _Vector | _Table | _Tables | _String

_BYTE, _INT, _LONG = _Scalar(1), _Scalar(4), _Scalar(8)
_BYTES, _INTS, _LONGS, _SHAPE = _Vector(1), _Vector(4), _Vector(8), _Shape(4)
#: A table of which only the outline is known here: an operator's options, or a member of another union.
_ANY = _Table("")

# The fields of each table in the order of their ids: tensorflow/compiler/mlir/lite/schema/schema.fbs, version 3.
# fmt: off
_FIELDS: dict[str, tuple[_Kind, ...]] = {
    "":                       (),
    "Model":                  (_INT, _Tables("OperatorCode"), _Tables("SubGraph"), _String(), _Tables("Buffer"), _INTS, _Tables("Metadata"),
                               _Tables("SignatureDef")),
    "OperatorCode":           (_BYTE, _String(), _INT, _INT),
    "SubGraph":               (_Tables("Tensor"), _INTS, _INTS, _Tables("Operator"), _String()),
    "Tensor":                 (_SHAPE, _BYTE, _INT, _String(), _Table("QuantizationParameters"), _BYTE, _Table("SparsityParameters"), _INTS, _BYTE,
                               _Tables("VariantSubType")),
    "QuantizationParameters": (_INTS, _INTS, _INTS, _LONGS, _BYTE, _ANY, _INT),
    "SparsityParameters":     (_INTS, _INTS, _Tables("DimensionMetadata")),
    "DimensionMetadata":      (_BYTE, _INT, _BYTE, _ANY, _BYTE, _ANY),
    "VariantSubType":         (_INTS, _BYTE, _BYTE),
    "Operator":               (_INT, _INTS, _INTS, _BYTE, _ANY, _BYTES, _BYTE, _BYTES, _INTS, _LONG, _LONG, _BYTE, _ANY),
    "Buffer":                 (_BYTES, _LONG, _LONG),
    "Metadata":               (_String(), _INT),
    "SignatureDef":           (_Tables("TensorMap"), _Tables("TensorMap"), _String(), _INT),
    "TensorMap":              (_String(), _INT),
}
# fmt: on


class _TooLargeError(Exception):
    """A tensor has more elements than any device holds."""


class _BrokenError(Exception):
    """An offset leads out of the file, or to something that is not what the schema says."""


def check_tflite(path: Path) -> None:
    """Refuse a file that is not TFLite, or in which something lies beyond its end (InputError)."""
    try:
        with path.open("rb") as file:
            if file.read(8)[4:] != IDENTIFIER:
                raise InputError(path, "it is not a TFLite model, which has TFL3 as its fifth to eighth bytes", _REMEDY)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                _Walk(data).check_root("Model")
    except OSError as error:
        raise InputError(path, f"it cannot be read: {error.strerror}", "Check the path.") from error
    except _TooLargeError as error:
        raise InputError(path, f"{error}, and the limit is {MAX_ELEMENTS}", "Give a smaller model.") from error
    except (_BrokenError, struct.error) as error:
        raise InputError(path, f"it is not a whole TFLite model: {error}", _REMEDY) from error


@dataclass(frozen=True)
class _Walk:
    """A walk over the tables in *data*; each is visited once, so that shared ones cannot multiply the work."""

    data: mmap.mmap
    _seen: set[tuple[int, str]] = field(default_factory=set)

    def check_root(self, name: str) -> None:
        self._check_table(self._follow(0), name)

    def _check_table(self, at: int, name: str) -> None:
        if (at, name) in self._seen:
            return
        self._seen.add((at, name))
        offsets, size = self._read_vtable(at)
        for offset, kind in zip(offsets, _FIELDS[name], strict=False):
            if offset == 0:  # The field is absent.
                continue
            self._check_inside(offset, kind.width if isinstance(kind, _Scalar) else 4, size)
            self._check_field(at + offset, kind)

    def _read_vtable(self, at: int) -> tuple[tuple[int, ...], int]:
        """Where the fields of the table at *at* lie, counted from it, and its size in bytes."""
        self._check_inside(at, 4)
        vtable = at - self._read("<i", at)
        self._check_inside(vtable, 4)
        length, size = self._read("<H", vtable), self._read("<H", vtable + 2)
        if length < 4 or length % 2:
            raise _BrokenError(f"the table at byte {at} has no sound list of fields")
        self._check_inside(vtable, length)
        self._check_inside(at, size)
        return struct.unpack_from(f"<{length // 2 - 2}H", self.data, vtable + 4), size

    def _check_field(self, at: int, kind: _Kind) -> None:
        if isinstance(kind, _Scalar):
            return
        target = self._follow(at)
        if isinstance(kind, _Table):
            self._check_table(target, kind.name)
        elif isinstance(kind, _Tables):
            self._check_tables(target, kind.name)
        elif isinstance(kind, _Shape):
            self._check_shape(target)
        elif isinstance(kind, _Vector):
            self._check_vector(target, kind.width)
        else:
            self._check_string(target)

    def _check_tables(self, at: int, name: str) -> None:
        for index in range(self._check_vector(at, 4)):
            self._check_table(self._follow(at + 4 + 4 * index), name)

    def _check_string(self, at: int) -> None:
        end = at + 4 + self._check_vector(at, 1)
        self._check_inside(end, 1)
        if self.data[end] != 0:
            raise _BrokenError(f"the text at byte {at} has no end")

    def _check_shape(self, at: int) -> None:
        count = self._check_vector(at, 4)
        elements = math.prod(struct.unpack_from(f"<{count}i", self.data, at + 4))
        if elements > MAX_ELEMENTS:
            raise _TooLargeError(f"one of its tensors has {elements} elements")

    def _check_vector(self, at: int, width: int) -> int:
        """The number of the elements, once all of them are inside the file."""
        self._check_inside(at, 4)
        count = self._read("<I", at)
        self._check_inside(at + 4, count * width)
        return count

    def _follow(self, at: int) -> int:
        self._check_inside(at, 4)
        return at + self._read("<I", at)

    def _read(self, format: str, at: int) -> int:
        value: int = struct.unpack_from(format, self.data, at)[0]
        return value

    def _check_inside(self, at: int, length: int, size: int | None = None) -> None:
        end = len(self.data) if size is None else size
        if at < 0 or at + length > end:
            raise _BrokenError(f"it refers to bytes {at} to {at + length}, and there are {end}")
