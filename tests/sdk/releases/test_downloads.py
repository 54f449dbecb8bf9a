"""Files on their way: resumed, verified, kept by digest."""

from contextlib import contextmanager

import pytest

from edgekit.artifacts import FileEntry
from edgekit.errors import DigestMismatch, EndlessData, SourceMissing, TransferError
from edgekit.fetching.memory import MemoryFetcher
from edgekit.files import digest_bytes
from edgekit.releases.downloads import Downloads

DATA = bytes(range(256)) * 64
ENTRY = FileEntry(path="variants/a/model.onnx", digest=digest_bytes(DATA), length=len(DATA))
HEX = ENTRY.digest.removeprefix("sha256:")
URL = f"memory:blobs/sha256/{HEX}"


class Source(MemoryFetcher):
    """A source in memory that books what is asked of it, and breaks off after *breaks_after* bytes, once."""

    def __init__(self, data=DATA, breaks_after=None):
        super().__init__({URL: data})
        self.asked = []
        self.breaks_after = breaks_after

    @contextmanager
    def fetch(self, url, start, max_length):
        self.asked.append((start, max_length))
        with super().fetch(url, start, max_length) as pieces:
            yield self._break(pieces)

    def _break(self, pieces):
        for piece in pieces:
            if self.breaks_after is not None:
                first, self.breaks_after = piece[: self.breaks_after], None
                yield first
                raise TransferError(URL, "it broke off")
            yield piece


def provide(source, directory, blobs=None):
    Downloads("memory:", source, blobs).provide(ENTRY, directory)


def files(directory):
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_file_comes_whole(tmp_path):
    """The file lies where its entry says, and nothing else is left."""
    provide(Source(), tmp_path)
    assert files(tmp_path) == {ENTRY.path: DATA}


def test_what_is_there_is_not_fetched(tmp_path):
    """An intact file is not asked for again."""
    source = Source()
    provide(source, tmp_path)
    provide(source, tmp_path)
    assert source.asked == [(0, len(DATA))]


def test_a_damaged_file_is_fetched_again(tmp_path):
    """A file with other bytes is replaced."""
    provide(Source(), tmp_path)
    (tmp_path / ENTRY.path).write_bytes(b"?" * len(DATA))
    provide(Source(), tmp_path)
    assert files(tmp_path) == {ENTRY.path: DATA}


def test_a_broken_download_goes_on(tmp_path):
    """What came before the break is kept, and the next call asks only for the rest."""
    source = Source(breaks_after=500)
    with pytest.raises(TransferError):
        provide(source, tmp_path)
    provide(source, tmp_path)
    assert source.asked == [(0, len(DATA)), (500, len(DATA) - 500)]
    assert files(tmp_path) == {ENTRY.path: DATA}


def test_a_damaged_part_is_not_the_sources_fault(tmp_path):
    """Where the part that was kept is damaged, the file is fetched anew from its start."""
    source = Source(breaks_after=500)
    with pytest.raises(TransferError):
        provide(source, tmp_path)
    (partial,) = (path for path in tmp_path.rglob("*") if path.is_file())
    partial.write_bytes(b"?" * 500)
    provide(source, tmp_path)
    assert source.asked[1:] == [(500, len(DATA) - 500), (0, len(DATA))]
    assert files(tmp_path) == {ENTRY.path: DATA}


@pytest.mark.parametrize("kept", [len(DATA), len(DATA) + 1])
def test_a_part_as_long_as_the_whole_is_looked_at(tmp_path, kept):
    """A part that is complete but wrong, or longer than the file, is thrown away."""
    place = tmp_path / ENTRY.path
    place.parent.mkdir(parents=True)
    place.with_name(".model.onnx.partial").write_bytes(b"?" * kept)
    provide(Source(), tmp_path)
    assert files(tmp_path) == {ENTRY.path: DATA}


@pytest.mark.parametrize("data", [DATA[:-1], DATA[:-1] + b"?", b""])
def test_other_bytes_are_refused_and_not_kept(tmp_path, data):
    """A source with shorter or changed bytes is named, and nothing stays of what it sent."""
    with pytest.raises(DigestMismatch, match=HEX):
        provide(Source(data), tmp_path)
    assert files(tmp_path) == {}


def test_more_bytes_are_refused(tmp_path):
    """A source that sends more than the manifest says is cut off, and does not fill the disk."""
    with pytest.raises(EndlessData):
        provide(Source(DATA * 50), tmp_path)
    assert sum(map(len, files(tmp_path).values())) <= len(DATA)
    provide(Source(), tmp_path)
    assert files(tmp_path) == {ENTRY.path: DATA}


def test_a_missing_blob_is_named(tmp_path):
    """A source that lacks the file says which one."""
    with pytest.raises(SourceMissing, match=HEX):
        Downloads("memory:", MemoryFetcher({})).provide(ENTRY, tmp_path)


def test_kept_blobs_are_not_fetched_again(tmp_path):
    """With a directory of blobs, a file that is in it is linked and never fetched twice."""
    source = Source()
    provide(source, tmp_path / "one", tmp_path / "blobs")
    provide(source, tmp_path / "two", tmp_path / "blobs")
    assert len(source.asked) == 1
    inodes = {(tmp_path / name).stat().st_ino for name in (f"one/{ENTRY.path}", f"two/{ENTRY.path}", f"blobs/{HEX}")}
    assert len(inodes) == 1


def test_a_damaged_blob_is_fetched_again(tmp_path):
    """A kept blob is held against its digest before it is used."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / HEX).write_bytes(b"?" * len(DATA))
    provide(Source(), tmp_path / "one", tmp_path / "blobs")
    assert files(tmp_path) == {f"one/{ENTRY.path}": DATA, f"blobs/{HEX}": DATA}
