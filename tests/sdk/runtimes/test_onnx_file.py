"""Which files an ONNX file points to is known before anything is loaded."""

from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit.runtimes.onnx_file import check_onnx, find_external_files

DATA = Path(__file__).with_name("data")


def field(number: int, content: bytes) -> bytes:
    """A protobuf field that has a length."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first, with the highest bit set on all but the last."""
    return (bytes([value & 0x7F | 0x80]) + varint(value >> 7)) if value > 0x7F else bytes([value])


def tensor(location: str) -> bytes:
    """A tensor whose data lie in the file *location*."""
    return field(13, field(1, b"location") + field(2, location.encode())) + field(13, field(1, b"offset") + field(2, b"0"))


PLACES = {
    "initializer": lambda one: field(7, field(5, one)),
    "attribute": lambda one: field(7, field(1, field(5, field(5, one)))),
    "attribute's list": lambda one: field(7, field(1, field(5, field(10, one)))),
    "subgraph": lambda one: field(7, field(1, field(5, field(6, field(5, one))))),
    "sparse initializer": lambda one: field(7, field(15, field(1, one))),
    "function": lambda one: field(25, field(7, field(5, field(5, one)))),
    "training": lambda one: field(20, field(1, field(5, one))),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_tensor_s_file_is_found_wherever_the_tensor_is(place, tmp_path):
    """Weights may be named in any part of a model, and are found in each."""
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x08\x0a" + PLACES[place](tensor("weights.bin")))
    assert find_external_files(path) == ["weights.bin"]


@pytest.mark.parametrize("location", ["/etc/passwd", "../secret", "data/../../secret", ".."])
def test_a_file_elsewhere_is_refused(location, tmp_path):
    """Absolute names, and names that climb, are refused with the name."""
    path = tmp_path / "model.onnx"
    path.write_bytes(PLACES["initializer"](tensor(location)))
    with pytest.raises(InputError, match=f"{location}.*outside"):
        check_onnx(path)


@pytest.mark.parametrize("location", ["weights.bin", "data/weights.bin", "..weights"])
def test_a_file_beside_is_accepted(location, tmp_path):
    """Names beside or below the model pass."""
    path = tmp_path / "model.onnx"
    path.write_bytes(PLACES["initializer"](tensor(location)))
    check_onnx(path)


@pytest.mark.parametrize("content", [b"", b"\xff" * 20, b"\x3a\x05ab", b"\x0b", b"hello"])
def test_what_is_no_message_is_refused(content, tmp_path):
    """Bytes that are not a protobuf message are refused, and the walk ends."""
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.onnx.*not a whole ONNX"):
        check_onnx(path)


def test_graphs_nested_deeply_are_walked(tmp_path):
    """A file named under two thousand graphs within graphs is found, without running out of stack."""
    graph = field(5, tensor("deep.bin"))
    for _ in range(2_000):
        graph = field(1, field(5, field(6, graph)))
    path = tmp_path / "deep.onnx"
    path.write_bytes(field(7, graph))
    assert find_external_files(path) == ["deep.bin"]


def test_models_with_their_weights_inside_name_no_file():
    """A model in one file points to none."""
    assert find_external_files(DATA / "affine.onnx") == []
    assert find_external_files(DATA / "outside.onnx") == ["../secret"]
