"""What every source of bytes must do, whichever adapter stands before it."""

import pytest

from edgekit.errors import EndlessData, SourceMissing
from edgekit.fetching.directory import DirectoryFetcher
from edgekit.fetching.http_fetcher import HttpFetcher
from edgekit.fetching.memory import MemoryFetcher

DATA = bytes(range(256)) * 1024
WHOLE = len(DATA)


@pytest.fixture(params=["directory", "http", "memory"])
def source(request, tmp_path, serve):
    """A fetcher and the address of its files: ``data`` has DATA and ``a b/empty`` nothing."""
    root = tmp_path / "source"
    (root / "a b").mkdir(parents=True)
    (root / "data").write_bytes(DATA)
    (root / "a b" / "empty").write_bytes(b"")
    if request.param == "directory":
        return DirectoryFetcher(root), root.as_uri() + "/"
    if request.param == "http":
        return HttpFetcher(), serve(root)
    return MemoryFetcher({"memory:data": DATA, "memory:a%20b/empty": b""}), "memory:"


def read(source, name, start=0, max_length=WHOLE):
    fetcher, base = source
    with fetcher.fetch(base + name, start, max_length) as pieces:
        return b"".join(pieces)


@pytest.mark.parametrize("start", [0, 1, 70_000, len(DATA) - 1])
def test_it_gives_the_bytes_from_the_start_on(source, start):
    """What comes is what lies there, from the offset to the end."""
    assert read(source, "data", start) == DATA[start:]


@pytest.mark.parametrize("start", [len(DATA), len(DATA) + 1])
def test_nothing_lies_behind_the_end(source, start):
    """An offset at or behind the end gives no bytes and no error."""
    assert read(source, "data", start) == b""


def test_an_empty_file_is_there(source):
    """A file without bytes is not a missing one, and a name may need escaping."""
    assert read(source, "a%20b/empty") == b""


def test_what_is_missing_is_said(source):
    """An address with nothing behind it is told from one that cannot be reached."""
    with pytest.raises(SourceMissing, match="absent"):
        read(source, "absent")


def test_no_more_than_the_limit_is_given(source):
    """A file that is longer than it may be is refused, even by one byte, and even where a part of it is asked for."""
    assert read(source, "data", 100, len(DATA) - 100) == DATA[100:]
    with pytest.raises(EndlessData):
        read(source, "data", 100, len(DATA) - 101)
    with pytest.raises(EndlessData):
        read(source, "data", 0, 0)


def test_the_block_may_end_early(source):
    """Whoever has seen enough may leave, and the next fetch works as before."""
    fetcher, base = source
    with fetcher.fetch(base + "data", 0, len(DATA)) as pieces:
        next(iter(pieces))
    assert read(source, "data") == DATA


def test_the_blocks_own_errors_pass_unchanged(source):
    """An error of the reader, as a full disk, is not taken for one of the source."""
    fetcher, base = source
    with pytest.raises(OSError, match="full"), fetcher.fetch(base + "data", 0, len(DATA)) as pieces:
        next(iter(pieces))
        raise OSError("full")
