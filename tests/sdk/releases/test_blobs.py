"""Files by their digest."""

import errno
import os

import pytest

from edgekit.artifacts import FileEntry
from edgekit.errors import DeviceError, DigestMismatch
from edgekit.files import digest_bytes
from edgekit.releases.blobs import is_intact, link_or_copy, store_blob

DATA = b"bytes of a model"
ENTRY = FileEntry(path="model", digest=digest_bytes(DATA), length=len(DATA))
HEX = ENTRY.digest.removeprefix("sha256:")


@pytest.fixture
def source(tmp_path):
    (tmp_path / "model").write_bytes(DATA)
    return tmp_path / "model"


@pytest.fixture
def blobs(tmp_path):
    return tmp_path / "blobs"


def test_a_file_is_stored_once(source, blobs):
    """The second time, nothing is written."""
    assert store_blob(source, ENTRY, blobs)
    before = (blobs / HEX).stat().st_mtime_ns
    assert not store_blob(source, ENTRY, blobs)
    assert ((blobs / HEX).read_bytes(), (blobs / HEX).stat().st_mtime_ns) == (DATA, before)


def test_a_damaged_blob_is_replaced(source, blobs):
    """A blob that is not what its name says is written again."""
    blobs.mkdir()
    (blobs / HEX).write_bytes(DATA[:-1] + b"?")
    assert store_blob(source, ENTRY, blobs)
    assert (blobs / HEX).read_bytes() == DATA


def test_other_bytes_are_not_stored(source, blobs):
    """A source that changed since it was verified leaves nothing behind."""
    source.write_bytes(DATA[:-1] + b"?")
    with pytest.raises(DigestMismatch, match="model"):
        store_blob(source, ENTRY, blobs)
    assert list(blobs.iterdir()) == []


def test_a_full_disk_leaves_no_blob(source, blobs, monkeypatch):
    """Where there is no room, the refusal names the place and no half of a file is left to fill it."""

    def fail(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DeviceError, match="full"):
        store_blob(source, ENTRY, blobs)
    assert list(blobs.iterdir()) == []


def test_a_link_costs_no_room(source, tmp_path):
    """Where the file system can, two names share one file."""
    link_or_copy(source, tmp_path / "deep" / "place")
    assert (tmp_path / "deep" / "place").stat().st_ino == source.stat().st_ino


def test_a_copy_does_where_no_link_can_be(source, tmp_path, monkeypatch):
    """Between two file systems the bytes are copied."""

    def fail(source, destination):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", fail)
    (tmp_path / "place").write_bytes(b"old")
    link_or_copy(source, tmp_path / "place")
    assert (tmp_path / "place").read_bytes() == DATA


@pytest.mark.parametrize("data", [None, b"", DATA + b"x", DATA[:-1] + b"?"])
def test_what_differs_is_not_intact(tmp_path, data):
    """Absent, shorter, longer and changed files are told from the right one."""
    if data is not None:
        (tmp_path / "file").write_bytes(data)
    assert not is_intact(tmp_path / "file", ENTRY)
