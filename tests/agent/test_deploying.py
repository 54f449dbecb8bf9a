"""Fetching asks before each piece whether to go on."""

import pytest

from edgekit.errors import SourceMissing, TransferError
from edgekit.fetching.memory import MemoryFetcher
from edgekit_agent.deploying import Interrupted, WatchedFetcher

URL = "memory:file"
DATA = bytes(range(256)) * 20


class Checks:
    """Lets so many pieces pass."""

    def __init__(self, most: int) -> None:
        self.left = most

    def __call__(self) -> None:
        if self.left == 0:
            raise Interrupted("digits@1.0.0")
        self.left -= 1


def read(most: int, start: int = 0) -> bytes:
    with WatchedFetcher(MemoryFetcher({URL: DATA}), Checks(most)).fetch(URL, start, len(DATA)) as pieces:
        return b"".join(pieces)


def test_what_is_watched_comes_whole():
    """As long as it is wanted, every byte comes, from wherever it is asked for."""
    assert read(-1) == DATA
    assert read(-1, start=1000) == DATA[1000:]


@pytest.mark.parametrize("most", [0, 1, 2])
def test_it_breaks_off_before_the_next_piece(most):
    """What is no longer wanted ends before the first byte or between two pieces, as a transfer that may be tried again."""
    with pytest.raises(Interrupted, match=r"digits@1\.0\.0: it was broken off"):
        read(most)
    assert issubclass(Interrupted, TransferError)


def test_what_the_source_raises_passes():
    """A file that is not there is told as the source tells it."""
    with pytest.raises(SourceMissing), WatchedFetcher(MemoryFetcher({}), Checks(-1)).fetch(URL, 0, 10):
        pytest.fail("it was opened")
