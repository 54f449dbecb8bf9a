"""A source behind HTTP: any static file server."""

import random
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError
from urllib3.response import BaseHTTPResponse

from edgekit.errors import SourceMissing, TransferError
from edgekit.fetching.base import limit_length
from edgekit.fetching.pace import Pace, Patience

_PIECE = 1 << 16
# Object stores say 403 of what does not exist to those who may not list.
_MISSING = (403, 404, 410)
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class _Broken(Exception):
    """A failure that another try may mend; the source asked to be left alone for *pause* seconds."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


class HttpFetcher:
    """Fetches over HTTP and HTTPS, going on where a transfer broke off (RFC 9110, section 14: Range)."""

    def __init__(
        self,
        patience: Patience | None = None,
        *,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._patience = patience or Patience()
        self._sleep = sleep
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - it spreads load, it keeps no secret
        self._pools: dict[str, urllib3.PoolManager] = {}

    @contextmanager
    def fetch(self, url: str, start: int, max_length: int) -> Iterator[Iterator[bytes]]:
        """As the port says."""
        with closing(self._stream(url, start)) as pieces:
            yield limit_length(pieces, url, max_length)

    def _stream(self, url: str, start: int) -> Generator[bytes, None, None]:
        pace = Pace(url, self._patience, self._clock)
        offset, failures = start, 0
        while True:
            try:
                for piece in self._attempt(url, offset):
                    offset, failures = offset + len(piece), 0
                    pace.add(len(piece))
                    yield piece
            except _Broken as error:
                failures += 1
                self._wait(url, failures, error)
                pace.add(0)
            else:
                return

    def _wait(self, url: str, failures: int, error: _Broken) -> None:
        if failures > self._patience.retries:
            raise TransferError(
                url, f"it could not be fetched in {failures} attempts: {error}", "Check the network and the address, and try again."
            ) from error
        self._sleep(self._patience.wait_after(failures, error.pause, self._rng))

    def _attempt(self, url: str, offset: int) -> Iterator[bytes]:
        """The bytes from *offset* on, over one request; _Broken where they end too early."""
        try:
            response = self._request(url, offset)
            try:
                yield from _read_from(response, url, offset)
            finally:
                # What was read to its end has given its connection back already, and closing it then does nothing.
                response.close()
        except MaxRetryError as error:
            # urllib3 was allowed no retry: what it says about retries is of no use, and the reason is.
            raise _Broken(str(error.reason)) from error
        except HTTPError as error:
            raise _Broken(str(error)) from error

    def _request(self, url: str, offset: int) -> BaseHTTPResponse:
        # A compressed answer would make offsets and lengths those of other bytes.
        headers = {"Accept-Encoding": "identity", "User-Agent": "edgekit"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        return self._pool_for(url).request(
            "GET",
            url,
            headers=headers,
            preload_content=False,
            decode_content=False,
            timeout=urllib3.Timeout(connect=self._patience.connect, read=self._patience.read),
            retries=urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=self._patience.redirects),
        )

    def _pool_for(self, url: str) -> urllib3.PoolManager:
        """Connections to the proxy that the environment names for *url*, or straight to it."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        direct = host in _LOOPBACK or proxy_bypass(host)
        proxy = "" if direct else getproxies().get(parts.scheme, "")
        if proxy not in self._pools:
            self._pools[proxy] = urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager()
        return self._pools[proxy]


def _read_from(response: BaseHTTPResponse, url: str, offset: int) -> Iterator[bytes]:
    """The body of *response* without what lies before *offset*."""
    skip = _find_skip(response, url, offset)
    if skip is None:
        return
    # read1 gives what has come; read would wait for a whole piece, and a slow source could not be told from a dead one.
    while piece := response.read1(_PIECE):
        if len(piece) > skip:
            yield piece[skip:]
        skip = max(0, skip - len(piece))


def _find_skip(response: BaseHTTPResponse, url: str, offset: int) -> int | None:
    """How many bytes of the body lie before *offset*; None where nothing lies after it."""
    if response.status == 416:
        return None
    if response.status == 206:
        return _check_range(response, url, offset)
    if response.status == 200:
        return offset  # a server that knows no ranges sends all of it
    if response.status in _BUSY:
        raise _Broken(f"the server answers {response.status}", _read_pause(response))
    if response.status in _MISSING:
        raise SourceMissing(url, f"the server answers {response.status}")
    raise TransferError(url, f"the server answers {response.status} {response.reason or ''}".rstrip(), "Check the address.")


def _check_range(response: BaseHTTPResponse, url: str, offset: int) -> int:
    """RFC 9110, section 15.3.7: the answer says which part it is, and it need not be the one asked for."""
    found = response.headers.get("Content-Range", "")
    if not found.startswith(f"bytes {offset}-"):
        raise TransferError(url, f"the server sent the part {found!r}, and the one from {offset} was asked for", "Fetch from another mirror.")
    return 0


def _read_pause(response: BaseHTTPResponse) -> float:
    """The seconds in Retry-After; zero where it is absent or a date (RFC 9110, section 10.2.3)."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0
