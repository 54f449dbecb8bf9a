"""Protobuf messages without a schema: their parts are found, and what is no message is refused."""

import mmap

import pytest

from edgekit.runtimes.wire_format import BrokenMessageError, list_fields


def list_all(data: bytes) -> list[tuple[int, bytes]]:
    with mmap.mmap(-1, len(data)) as memory:
        memory.write(data)
        return [(field, memory[first:last]) for field, first, last in list_fields(memory, 0, len(data))]


def test_parts_with_a_length_are_told():
    """Strings and messages are told with their numbers in the order of the file; numbers of every width are passed over."""
    numbers = b"\x08\x96\x01" + b"\x11" + bytes(8) + b"\x1d" + bytes(4)
    assert list_all(b"\x0a\x03abc" + numbers + b"\x82\x01\x00") == [(1, b"abc"), (16, b"")]


@pytest.mark.parametrize("data", [b"\x0a\x04abc", b"\x08", b"\x08" + b"\xff" * 10 + b"\x01", b"\x0b\x00", b"\x11\x00"])
def test_what_is_no_message_is_refused(data):
    """A length beyond the end, a number without an end, an unknown kind of field, and a number cut short are refused."""
    with pytest.raises(BrokenMessageError):
        list_all(data)
