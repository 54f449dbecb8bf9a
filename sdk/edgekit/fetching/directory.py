"""A source that is a directory of this machine, or of a disk that was carried to it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from edgekit.errors import SourceMissing, TransferError, TrustError
from edgekit.fetching.base import limit_length
from edgekit.files import CHUNK


class DirectoryFetcher:
    """Serves ``file:`` addresses below the directory *root*, and nothing outside it, whatever links say."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def fetch(self, url: str, start: int, max_length: int) -> Iterator[Iterator[bytes]]:
        """As the port says."""
        with _open_regular(self._locate(url)) as file:
            file.seek(start)
            # Only the reading is guarded: an error of the block's own, as a full disk, must pass unchanged.
            yield limit_length(_read_pieces(file, url), url, max_length)

    def _locate(self, url: str) -> Path:
        place = Path(os.path.realpath(unquote(urlsplit(url).path)))
        if not place.is_relative_to(os.path.realpath(self.root)):
            raise TrustError(url, f"it leads out of {self.root}", "Use a repository that edgekit release publish made.")
        return place


def _open_regular(path: Path) -> IO[bytes]:
    # A named pipe would wait for its writer for ever.
    if not path.is_file():
        raise SourceMissing(path, "no such file")
    try:
        return path.open("rb")
    except OSError as error:
        raise TransferError(path, f"it cannot be read: {error.strerror}", "Check who may read it, and whether its disk is there.") from error


def _read_pieces(file: IO[bytes], url: str) -> Iterator[bytes]:
    while True:
        try:
            piece = file.read(CHUNK)
        except OSError as error:
            raise TransferError(url, f"it cannot be read: {error.strerror}", "Check the disk that it lies on.") from error
        if not piece:
            return
        yield piece
