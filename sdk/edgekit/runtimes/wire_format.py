"""Protobuf messages walked field by field, without a schema: where each part of a message lies (protobuf.dev, "Encoding").

Only what has a length is told; numbers are skipped. A file of gigabytes costs no more than the parts that are looked at.
"""

import mmap
from collections.abc import Iterator

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_VARINT = 10


class BrokenMessageError(Exception):
    """The bytes are not a protobuf message."""


def list_fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int]]:
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
            raise BrokenMessageError(f"there is no field at byte {at}")
    if at != end:
        raise BrokenMessageError(f"it refers to byte {at}, and its part ends at byte {end}")


def _read_varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    """The number at *at*, seven bits a byte, and where it ends."""
    value = 0
    for index in range(min(_LONGEST_VARINT, end - at)):
        byte = data[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise BrokenMessageError(f"the number at byte {at} has no end")
