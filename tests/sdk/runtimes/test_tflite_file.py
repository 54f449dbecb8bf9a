"""Broken TFLite files are told from whole ones without a crash."""

import random
from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit.runtimes.tflite_file import check_tflite

DATA = Path(__file__).with_name("data")


@pytest.mark.parametrize("name", ["affine.tflite", "affine_int8.tflite", "recurrent.tflite"])
def test_whole_files_pass(name):
    """A file as its writer made it passes."""
    check_tflite(DATA / name)


@pytest.mark.parametrize("name", ["affine.tflite", "affine_int8.tflite"])
def test_every_cut_is_found(name, tmp_path):
    """A file cut off at any byte before the last of its content is refused."""
    whole = (DATA / name).read_bytes()
    path = tmp_path / "cut.tflite"
    # The last bytes may be padding, which nothing refers to.
    for length in range(len(whole) - 8):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"cut\.tflite"):
            check_tflite(path)


def test_random_bytes_behind_the_identifier_are_refused(tmp_path):
    """Noise that bears TFLite's identifier is refused."""
    path = tmp_path / "noise.tflite"
    for seed in range(50):
        noise = bytearray(random.Random(seed).randbytes(600))
        noise[4:8] = b"TFL3"
        path.write_bytes(noise)
        with pytest.raises(InputError, match=r"noise\.tflite"):
            check_tflite(path)


def test_flipped_bytes_raise_nothing_else(tmp_path):
    """Whatever one byte is changed to, the file passes or is refused: no other error comes out, and no endless walk."""
    whole = (DATA / "affine.tflite").read_bytes()
    path = tmp_path / "flipped.tflite"
    refused = 0
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        try:
            check_tflite(path)
        except InputError:
            refused += 1
    assert refused > len(whole) // 4


def test_the_part_that_is_missing_is_told(tmp_path):
    """The refusal says which bytes are wanted and how many there are."""
    path = tmp_path / "cut.tflite"
    path.write_bytes((DATA / "affine.tflite").read_bytes()[:300])
    with pytest.raises(InputError, match=r"not a whole TFLite model.*there are 300"):
        check_tflite(path)


def test_a_tensor_that_no_device_holds_is_refused(tmp_path):
    """A runtime would take the room for every tensor when it opens the file: one of 2^32 elements is told by their number."""
    given = (DATA / "affine.tflite").read_bytes()
    path = tmp_path / "large.tflite"
    told = set()
    for at in range(0, len(given) - 12, 4):
        if int.from_bytes(given[at : at + 4], "little") == 2:  # a vector of two, which a shape may be
            path.write_bytes(given[: at + 4] + (1 << 16).to_bytes(4, "little") * 2 + given[at + 12 :])
            try:
                check_tflite(path)
            except InputError as error:
                told.add(error.problem)
    assert "one of its tensors has 4294967296 elements, and the limit is 1073741824" in told
