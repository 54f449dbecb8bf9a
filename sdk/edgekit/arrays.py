"""Named arrays in ``.npz`` files, read with care: such a file may come from anybody."""

import contextlib
import io
import math
import mmap
import struct
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from edgekit.errors import InputError

Array = NDArray[Any]
Arrays = dict[str, Array]

#: The most that the arrays of one file may take in memory, in bytes.
MAX_BYTES = 4 << 30
#: numpy itself takes no header of more than 10,000 letters (numpy.lib.format).
_LONGEST_HEADER = 1 << 16
_CHUNK = 1 << 20
#: The fields of a file's own header in a ZIP archive, of which the last two are the lengths of its name and extra field
#: (APPNOTE.TXT, 4.3.7).
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
#: numpy's messages repeat a header that it cannot parse.
_LONGEST_REASON = 200
_REMEDY = "Write it with numpy.savez(path, name=array, …)."


def read_arrays(path: Path, max_bytes: int = MAX_BYTES) -> Arrays:
    """The arrays of the ``.npz`` file at *path*, by name.

    Sizes are added up from the headers before anything is unpacked, so a zip bomb costs nothing.

    Raises:
        InputError: there is no such file, it is not an ``.npz`` of plain arrays, or it is larger than *max_bytes*.
    """
    try:
        if path.is_fifo() or path.is_char_device():
            # To open a pipe is to wait for its other end, and some devices never end.
            raise InputError(path, "it is a pipe or a device, and an .npz is read from its end", _REMEDY)
        with path.open("rb") as file:
            return _read(file, str(path), max_bytes)
    except OSError as error:
        raise InputError(path, f"it cannot be read: {error.strerror}", "Check the path.") from error


def map_arrays(path: Path, max_bytes: int = MAX_BYTES) -> Arrays:
    """The arrays of the ``.npz`` file at *path*, of which memory holds what is looked at: they may be larger than it.

    What lies in the archive as it is, as numpy.savez writes it, is mapped. What is compressed is unpacked into a temporary
    file without a name, which goes with the array. Every byte is held against the archive's checksums first.

    Raises:
        InputError: as read_arrays does; *max_bytes* bounds what is unpacked.
    """
    try:
        with path.open("rb") as file, _naming_damage(str(path)), zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            packed = [member for member in members if member.compress_type != zipfile.ZIP_STORED]
            for member in members:
                _declared_bytes(archive, member)
            _check_sizes(archive, packed, str(path), max_bytes)
            return {member.filename.removesuffix(".npy"): _map_member(archive, member, file) for member in members}
    except OSError as error:
        raise InputError(path, f"it cannot be read: {error.strerror}", "Check the path.") from error


def decode_arrays(data: bytes, subject: str, max_bytes: int = MAX_BYTES) -> Arrays:
    """The arrays of an ``.npz`` file held in memory; raises as read_arrays does."""
    return _read(io.BytesIO(data), subject, max_bytes)


def encode_arrays(arrays: Mapping[str, Array]) -> bytes:
    """The bytes of a compressed ``.npz`` file; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            # ZipInfo's own date is 1980, so no clock gets into the bytes.
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                npy.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def dtype_of(array: Array) -> str:
    """The dtype's name as a tensor spec writes it."""
    return "bytes" if is_text(array) else array.dtype.name


def is_text(array: Array) -> bool:
    """Whether *array* holds strings, as numpy's text, as bytes, or as objects."""
    return array.dtype.kind in "OSU"


def to_plain(array: Array) -> Array:
    """*array* as an ``.npz`` file can hold it and as bytes can be compared: strings as UTF-8 of one width, all else as it is."""
    if array.dtype.kind not in "OU":
        return array
    texts = [item.encode() if isinstance(item, str) else bytes(item) for item in array.ravel()]
    return np.array(texts, dtype=np.bytes_).reshape(array.shape)


def release_pages(arrays: Mapping[str, Array]) -> None:
    """Let go of what memory holds of those of *arrays* that are mapped from files; what is looked at again is read again.

    The system would take it back itself when memory runs short, and until then count it as this process's own.
    """
    for array in arrays.values():
        mapped = getattr(array, "_mmap", None)
        if mapped is not None:
            mapped.madvise(mmap.MADV_DONTNEED)


def _read(file: IO[bytes], subject: str, max_bytes: int) -> Arrays:
    with _naming_damage(subject), zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        _check_sizes(archive, members, subject, max_bytes)
        return {member.filename.removesuffix(".npy"): _read_member(archive, member) for member in members}


@contextlib.contextmanager
def _naming_damage(subject: str) -> Iterator[None]:
    """Turn whatever a damaged archive raises into an InputError."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        # A damaged archive raises BadZipFile, zlib.error, EOFError, ValueError, SyntaxError (numpy parses its
        # header as a literal) and more: they have no common root, and all mean the same here.
        raise InputError(subject, f"it is not an .npz file of plain arrays ({str(error)[:_LONGEST_REASON]})", _REMEDY) from error


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    with archive.open(member) as file:
        array: Array = npy.read_array(file, allow_pickle=False)
        return array


def _map_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, file: IO[bytes]) -> Array:
    """The array of *member*, mapped from the archive's own *file*, or from a nameless one where it is compressed."""
    stored = member.compress_type == zipfile.ZIP_STORED
    with archive.open(member) as source, tempfile.TemporaryFile() as unpacked:
        while chunk := source.read(_CHUNK):  # to the end, where zipfile holds the bytes against their checksum
            if not stored:
                unpacked.write(chunk)
        if not stored:
            return _map_array(unpacked, 0)
    file.seek(member.header_offset)
    *_, name_length, extra_length = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    return _map_array(file, member.header_offset + _LOCAL_HEADER.size + name_length + extra_length)


def _map_array(file: IO[bytes], start: int) -> Array:
    """The array whose ``.npy`` form begins at the byte *start* of *file*."""
    file.seek(start)
    version = npy.read_magic(file)
    shape, fortran, dtype = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(file)
    if 0 in shape or dtype.itemsize == 0:
        return np.empty(shape, dtype)
    # A map of its own keeps the file open for as long as the array lives.
    return np.memmap(file, dtype, "r", file.tell(), shape, "F" if fortran else "C")


def _check_sizes(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], subject: str, max_bytes: int) -> None:
    total = sum(max(member.file_size, _declared_bytes(archive, member)) for member in members)
    if total > max_bytes:
        raise InputError(subject, f"its arrays need {total >> 20} MiB, and the limit is {max_bytes >> 20} MiB", "Give fewer samples.")


def _declared_bytes(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> int:
    if not member.filename.endswith(".npy"):
        raise ValueError(f"it holds {member.filename!r}, which is not an array")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # Others than those that numpy writes may ask for gigabytes of memory of their own.
        raise ValueError(f"{member.filename} is compressed in a way that numpy does not write")
    with archive.open(member) as file:
        # A header says how long it is, and numpy would read 4 GiB of it.
        head = io.BytesIO(file.read(_LONGEST_HEADER))
    version = npy.read_magic(head)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read_header(head)
    if dtype.hasobject:
        raise ValueError(f"{member.filename} holds Python objects, which could run code")
    # An element of no bytes takes room in other forms.
    return math.prod(shape) * max(dtype.itemsize, 1)
