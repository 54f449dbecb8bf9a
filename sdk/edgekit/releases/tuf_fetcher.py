"""python-tuf's way to the network, led through our own fetchers."""

from collections.abc import Iterator

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface

from edgekit.bundles import MAX_MANIFEST_BYTES
from edgekit.errors import SourceMissing
from edgekit.fetching.base import Fetcher

#: More than any metadata or manifest may have; python-tuf holds each to its own, smaller limit (specification, section 5.2).
_MAX_BYTES = 2 * MAX_MANIFEST_BYTES


class TufFetcher(FetcherInterface):
    """Fetches metadata and manifests for python-tuf. *last* is the newest metadata that came, to say what was wrong with it."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self.last: bytes | None = None

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            with self._fetcher.fetch(url, 0, _MAX_BYTES) as pieces:
                yield from pieces
        except SourceMissing as error:
            # python-tuf takes a 404 after the newest root as the end of the chain (specification, section 5.3.3).
            raise DownloadHTTPError(str(error), 404) from error

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """As the interface says."""
        self.last = super().download_bytes(url, max_length)
        return self.last
