"""HTTP/1.1 messages without a socket: the head of a request from bytes, a response to bytes.

Clauses are those of RFC 9110 (semantics) and RFC 9112 (HTTP/1.1).
"""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import httptools

from edgekit.errors import WireError

#: The most that a request line and its headers may take, in bytes.
MAX_HEAD = 16 << 10
_END = b"\r\n\r\n"
#: What may be a method at all: a token and a space (RFC 9112, section 3).
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ ")


class MessageRefused(WireError):
    """A request that is not answered but refused; the connection is of no further use."""

    def __init__(self, status: HTTPStatus, problem: str, remedy: str = "") -> None:
        super().__init__("request", problem, remedy)
        self.status = status


@dataclass(frozen=True)
class Head:
    """The head of a request. Names in *headers* are in lower case; *content_length* is 0 where there is no body."""

    method: str
    target: str
    headers: Mapping[str, str]
    content_length: int
    keep_alive: bool
    expects_continue: bool


@dataclass(frozen=True)
class Request:
    """A whole request. *body* is valid until the next one is read on the same connection."""

    head: Head
    body: memoryview


@dataclass(frozen=True)
class Response:
    """A status, a body in pieces, and the headers beside those that describe its length and the connection."""

    status: HTTPStatus
    pieces: tuple[bytes, ...] = ()
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)

    @property
    def length(self) -> int:
        """The bytes of the body."""
        return sum(map(len, self.pieces))


class HeadParser:
    """Takes the head of one request in pieces, as they come from the network."""

    def __init__(self, max_body: int) -> None:
        self.head: Head | None = None
        self._max_body = max_body
        self._fields = _Fields()
        self._parser = httptools.HttpRequestParser(self._fields)
        self._tail = b""
        self._length = 0

    def feed(self, piece: memoryview) -> int:
        """Take what belongs to the head from the front of *piece*, and say how many bytes that was.

        Afterwards, *head* is set if this was its end.

        Raises:
            MessageRefused: this is not HTTP, or not a request that this server takes.
        """
        joined = self._tail + bytes(piece[: MAX_HEAD + 1])
        end = joined.find(_END)
        taken = len(piece) if end < 0 else end + len(_END) - len(self._tail)
        self._length += taken
        if self._length > MAX_HEAD:
            raise MessageRefused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"its head is longer than {MAX_HEAD} bytes")
        self._parse(piece[:taken])
        self._tail = joined[-3:]
        if end >= 0:
            self.head = self._finish()
        return taken

    def _parse(self, piece: memoryview) -> None:
        try:
            # An offer to upgrade to another protocol may be ignored (RFC 9110, section 7.8).
            with contextlib.suppress(httptools.HttpParserUpgrade):
                self._parser.feed_data(piece)
        except httptools.HttpParserInvalidMethodError as error:
            if _METHOD.match(piece) is None:
                raise MessageRefused(HTTPStatus.BAD_REQUEST, "it is not HTTP/1.1") from error
            raise MessageRefused(HTTPStatus.NOT_IMPLEMENTED, "its method is not one of HTTP's") from error
        except httptools.HttpParserError as error:
            raise MessageRefused(HTTPStatus.BAD_REQUEST, f"it is not HTTP/1.1: {error}") from error

    def _finish(self) -> Head:
        headers, version = self._fields.join_headers(), self._parser.get_http_version()
        if not self._fields.complete:
            raise MessageRefused(HTTPStatus.BAD_REQUEST, "its head ends before it is complete")
        if version not in ("1.0", "1.1"):
            raise MessageRefused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, f"it is HTTP/{version}, and this server speaks HTTP/1.1")
        if version == "1.1" and "," in headers.get("host", ","):
            raise MessageRefused(HTTPStatus.BAD_REQUEST, "it must have one Host header (RFC 9112, section 3.2)")
        return Head(
            method=(method := self._parser.get_method().decode()),
            target=self._fields.target.decode("latin-1"),
            headers=headers,
            content_length=_find_length(method, headers, self._max_body),
            keep_alive=_is_kept_alive(version, headers),
            expects_continue=_expects_continue(version, headers),
        )


class _Fields:
    """What httptools calls back with. It knows nothing of the parser, so that the two make no cycle."""

    def __init__(self) -> None:
        self.target = b""
        self.complete = False
        self._headers: list[tuple[str, str]] = []

    def on_url(self, piece: bytes) -> None:
        self.target += piece

    def on_header(self, name: bytes, value: bytes | None) -> None:
        self._headers.append((name.decode("latin-1").lower(), (value or b"").decode("latin-1").strip()))

    def on_headers_complete(self) -> None:
        self.complete = True

    def join_headers(self) -> dict[str, str]:
        """The headers, those of the same name joined by commas (RFC 9110, section 5.3)."""
        joined: dict[str, str] = {}
        for name, value in self._headers:
            joined[name] = f"{joined[name]},{value}" if name in joined else value
        return joined


def _find_length(method: str, headers: Mapping[str, str], max_body: int) -> int:
    """The length of the body, which must be said beforehand: a server may insist on that (RFC 9112, section 6.3)."""
    if "transfer-encoding" in headers or (method in ("POST", "PUT", "PATCH") and "content-length" not in headers):
        raise MessageRefused(HTTPStatus.LENGTH_REQUIRED, "its length is not given", "Send it with Content-Length and without Transfer-Encoding.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise MessageRefused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "it is compressed", "Send it without Content-Encoding.")
    given = headers.get("content-length", "0")
    if not (given.isascii() and given.isdigit() and len(given) < 20):
        raise MessageRefused(HTTPStatus.BAD_REQUEST, f"its Content-Length is {given!r}")
    if int(given) > max_body:
        raise MessageRefused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"its body has {given} bytes, and {max_body} are allowed", "Raise api.max_body_mb, or send less."
        )
    return int(given)


def _is_kept_alive(version: str, headers: Mapping[str, str]) -> bool:
    """Whether the connection serves for another request (RFC 9112, section 9.3)."""
    options = {option.strip().lower() for option in headers.get("connection", "").split(",")}
    return "close" not in options if version == "1.1" else "keep-alive" in options


def _expects_continue(version: str, headers: Mapping[str, str]) -> bool:
    """Whether the client waits for 100 before it sends the body. HTTP/1.0 has no such thing (RFC 9110, section 10.1.1)."""
    expected = headers.get("expect", "").lower()
    if expected not in ("", "100-continue"):
        raise MessageRefused(HTTPStatus.EXPECTATION_FAILED, f"it expects {expected!r}, and 100-continue is all that this server knows")
    return version == "1.1" and bool(expected)


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def encode_head(response: Response, *, keep_alive: bool) -> bytes:
    """The status line and headers of *response*."""
    lines = [f"HTTP/1.1 {response.status.value} {response.status.phrase}"]
    lines += [f"{name}: {value}" for name, value in response.headers]
    lines += [f"Content-Length: {response.length}", f"Connection: {'keep-alive' if keep_alive else 'close'}", "", ""]
    return "\r\n".join(lines).encode("latin-1")
