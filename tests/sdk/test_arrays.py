"""Arrays in .npz files, good and hostile."""

import io
import os
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.lib import format as npy

from edgekit.arrays import Arrays, decode_arrays, dtype_of, encode_arrays, map_arrays, read_arrays, release_pages, to_plain
from edgekit.errors import InputError

ARRAYS = hnp.arrays(
    st.sampled_from([np.float32, np.float16, np.int8, np.int64, np.bool_]), hnp.array_shapes(min_dims=0, min_side=0), fill=st.nothing()
)


@given(st.dictionaries(st.sampled_from(["image", "file", "input:a/b"]), ARRAYS))
def test_round_trip(arrays: Arrays) -> None:
    """Arrays of any shape, dtype and name come back equal, and equal arrays give equal bytes."""
    data = encode_arrays(arrays)
    decoded = decode_arrays(data, "test")
    assert decoded.keys() == arrays.keys()
    for name, array in arrays.items():
        assert decoded[name].dtype == array.dtype
        np.testing.assert_array_equal(decoded[name], array)
    assert encode_arrays(decoded) == data


def test_reads_what_numpy_writes(tmp_path: Path) -> None:
    """A file of numpy.savez is read by name."""
    np.savez(tmp_path / "a.npz", image=np.ones((2, 3), np.float32))
    assert read_arrays(tmp_path / "a.npz")["image"].shape == (2, 3)


def test_pickled_objects_are_refused_unread(tmp_path: Path) -> None:
    """An array of Python objects, which could run code, is refused before it is read."""

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))  # type: ignore[return-value]

    np.savez(tmp_path / "a.npz", image=np.array([Bomb()], object))
    with pytest.raises(InputError, match=r"a\.npz.*objects"):
        read_arrays(tmp_path / "a.npz")
    assert not (tmp_path / "ran").exists()


def test_bomb_is_refused_before_it_is_unpacked() -> None:
    """A small file whose header declares terabytes is refused by its header, and one that unpacks to them by its directory."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)})
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("image.npy", header.getvalue())
    with pytest.raises(InputError, match="limit"):
        decode_arrays(data.getvalue(), "bomb.npz")
    with pytest.raises(InputError, match="limit"):
        decode_arrays(encode_arrays({"image": np.zeros(1 << 20)}), "bomb.npz", max_bytes=1 << 20)


def _npz(member: bytes, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as archive:
        archive.writestr("image.npy", member)
    return data.getvalue()


def test_header_of_gigabytes_is_not_read() -> None:
    """A header that says it has 16 MiB, and has them, packed into less than 30 KB, costs next to no memory."""
    length = 1 << 24
    data = _npz(b"\x93NUMPY\x02\x00" + length.to_bytes(4, "little") + b" " * length)
    assert len(data) < 30_000
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="array header"):
            decode_arrays(data, "bomb.npz")
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("descr", ["|V0", "|S0", "<U0"])
def test_elements_of_no_bytes_are_counted(descr: str) -> None:
    """Very many elements that take no bytes in the file are refused too."""
    header = io.BytesIO()
    npy.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": (1 << 60,)})
    with pytest.raises(InputError, match="limit"):
        decode_arrays(_npz(header.getvalue()), "bomb.npz")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_that_numpy_does_not_write_are_refused(compression: int) -> None:
    """What could take gigabytes just to unpack is refused unread."""
    member = io.BytesIO()
    npy.write_array(member, np.zeros(4))
    with pytest.raises(InputError, match="compressed"):
        decode_arrays(_npz(member.getvalue(), compression), "odd.npz")


def test_damage_anywhere_is_an_input_error() -> None:
    """A file that is cut or has a byte flipped reads as it was or ends in InputError, and in nothing else."""
    good = encode_arrays({"image": np.arange(200, dtype=np.float32), "labels": np.arange(3)})
    damaged = [good[:length] for length in range(0, len(good), 7)]
    damaged += [good[:index] + bytes([good[index] ^ 0x55]) + good[index + 1 :] for index in range(0, len(good), 3)]
    refused = 0
    for data in damaged:
        try:
            decode_arrays(data, "damaged.npz")
        except InputError as error:
            refused += 1
            assert "damaged.npz" in str(error)
    assert refused > len(damaged) / 2


@pytest.mark.parametrize("data", [b"", b"not a zip", pickle.dumps([1])])
def test_other_files_are_refused(data: bytes, tmp_path: Path) -> None:
    """A file that is no archive is refused with its name and how to write one."""
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.npz.*numpy\.savez"):
        read_arrays(tmp_path / "a.npz")


def test_missing_file_is_refused(tmp_path: Path) -> None:
    """A path that leads nowhere, or to a directory, is an InputError."""
    for path in (tmp_path / "none.npz", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read_arrays(path)


@pytest.mark.parametrize("texts", [["owl", "ümläut"], [b"owl", b"\xff"], np.array(["owl", b"owl"], object)])
def test_strings_become_bytes_of_one_width(texts: object, tmp_path: Path) -> None:
    """Strings in whatever form numpy has them go into a file and come back as the same bytes."""
    array = np.array(texts)
    wanted = [item.encode() if isinstance(item, str) else bytes(item) for item in array]
    (tmp_path / "texts.npz").write_bytes(encode_arrays({"label": to_plain(array)}))
    assert read_arrays(tmp_path / "texts.npz")["label"].tolist() == wanted
    assert dtype_of(array) == dtype_of(to_plain(array)) == "bytes"


def test_numbers_are_plain_already() -> None:
    """An array of numbers is given back as it is, and its dtype is named as numpy names it."""
    array = np.zeros((2, 0), np.float16)
    assert to_plain(array) is array
    assert dtype_of(array) == "float16"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_mapped_arrays_are_those_that_were_saved(save: Callable[..., None], tmp_path: Path) -> None:
    """What is mapped is equal to what was saved, packed or not, of any order, also of no size and of no axes."""
    arrays = {
        "a": np.random.default_rng(0).random((50, 3)),
        "fortran": np.asfortranarray(np.arange(12).reshape(3, 4)),
        "texts": np.array(["owl", "\u00fc"]),
        "none": np.zeros((0, 3)),
        "figure": np.float32(2),
    }
    save(tmp_path / "a.npz", **arrays)
    mapped = map_arrays(tmp_path / "a.npz")
    assert mapped.keys() == arrays.keys()
    assert all(np.array_equal(mapped[name], array) and mapped[name].dtype == np.asarray(array).dtype for name, array in arrays.items())
    assert isinstance(mapped["a"], np.memmap)


def test_mapped_arrays_take_no_memory(tmp_path: Path) -> None:
    """A file of 64 MiB is mapped in less than 8."""
    np.savez(tmp_path / "a.npz", x=np.arange(1 << 23))
    tracemalloc.start()
    array = map_arrays(tmp_path / "a.npz")["x"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert array[-1] == (1 << 23) - 1
    assert peak < 8 << 20


def test_damage_of_a_mapped_file_is_an_input_error(tmp_path: Path) -> None:
    """A file that is cut or has a byte flipped is mapped as it was or ends in InputError, and in nothing else."""
    np.savez(tmp_path / "a.npz", image=np.arange(60, dtype=np.float32), labels=np.arange(3))
    good = (tmp_path / "a.npz").read_bytes()
    refused = 0
    places = range(0, len(good), 5)
    for data in [*(good[:length] for length in places), *(good[:index] + bytes([good[index] ^ 0x55]) + good[index + 1 :] for index in places)]:
        (tmp_path / "b.npz").write_bytes(data)
        try:
            arrays = map_arrays(tmp_path / "b.npz")
            assert "image" not in arrays or np.array_equal(arrays["image"], np.arange(60))
        except InputError:
            refused += 1
    assert refused > len(places)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """What would take more than the limit once it is unpacked is refused, and so is a header that lies."""
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(1 << 20))
    with pytest.raises(InputError, match="limit"):
        map_arrays(tmp_path / "a.npz", max_bytes=1 << 20)
    header = io.BytesIO()
    npy.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)})
    (tmp_path / "b.npz").write_bytes(_npz(header.getvalue(), zipfile.ZIP_STORED))
    with pytest.raises(InputError, match=r"b\.npz"):
        map_arrays(tmp_path / "b.npz")
    (tmp_path / "c.npz").write_bytes(_npz(pickle.dumps([1]), zipfile.ZIP_STORED))
    with pytest.raises(InputError, match=r"c\.npz"):
        map_arrays(tmp_path / "c.npz")


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    """Nobody waits for the other end of a pipe, and a device that never ends is not read."""
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "zero.npz").symlink_to("/dev/zero")
    for name in ("pipe.npz", "zero.npz"):
        with pytest.raises(InputError, match=rf"{name}: it is a pipe or a device"):
            read_arrays(tmp_path / name)


def test_a_reason_is_short(tmp_path: Path) -> None:
    """A header of thousands of letters that numpy cannot parse is not told whole."""
    header = b"{'shape': " + b"(" * 5000 + b")" * 5000 + b"}"
    with zipfile.ZipFile(tmp_path / "deep.npz", "w") as archive:
        archive.writestr("a.npy", npy.magic(1, 0) + len(header).to_bytes(2, "little") + header)
    with pytest.raises(InputError) as caught:
        read_arrays(tmp_path / "deep.npz")
    assert len(str(caught.value)) < 500 + len(str(tmp_path))


def test_released_pages_are_read_again(tmp_path: Path) -> None:
    """What memory held of a mapped array goes, and comes back the same; arrays that are not mapped stay."""
    saved = np.arange(1 << 20, dtype=np.float32)
    np.savez(tmp_path / "large.npz", saved=saved)
    arrays = map_arrays(tmp_path / "large.npz") | {"own": np.arange(3)}
    assert np.array_equal(arrays["saved"], saved)
    release_pages(arrays)
    release_pages({"view": arrays["saved"][::7]})
    assert np.array_equal(arrays["saved"], saved)
    assert arrays["own"].tolist() == [0, 1, 2]
