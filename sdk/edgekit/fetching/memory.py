"""A source in memory."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from edgekit.errors import SourceMissing
from edgekit.fetching.base import limit_length

_PIECE = 1 << 10


class MemoryFetcher:
    """Serves *contents*: address → bytes."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self.contents = contents

    @contextmanager
    def fetch(self, url: str, start: int, max_length: int) -> Iterator[Iterator[bytes]]:
        """As the port says; pieces are 1 KiB, so that a limit is met within a file."""
        if url not in self.contents:
            raise SourceMissing(url, "no such address")
        data = self.contents[url]
        yield limit_length((data[at : at + _PIECE] for at in range(start, len(data), _PIECE)), url, max_length)
