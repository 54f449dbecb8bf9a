"""The port that every source of bytes fills."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from edgekit.errors import EndlessData


class Fetcher(Protocol):
    """Gets bytes by their address. It vouches for none of them: whoever asked holds them against a digest."""

    def fetch(self, url: str, start: int, max_length: int) -> AbstractContextManager[Iterator[bytes]]:
        """The bytes at *url* from the offset *start* on, in pieces; none where they end before it.

        Raises, when the block is entered or while it reads:
            SourceMissing: there is nothing at *url*.
            TransferError: the source cannot be reached, broke off, or is too slow.
            TrustError: there are more than *max_length* bytes after *start*, or *url* leads out of the source.
        """
        ...


def limit_length(pieces: Iterable[bytes], url: str, max_length: int) -> Iterator[bytes]:
    """The same *pieces*, and EndlessData as soon as they are more than *max_length* bytes together."""
    received = 0
    for piece in pieces:
        received += len(piece)
        if received > max_length:
            raise EndlessData(url, max_length)
        yield piece
