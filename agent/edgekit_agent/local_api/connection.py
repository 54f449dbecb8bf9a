"""One client's connection: requests read from its socket with limits of size and time, responses written to it."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from edgekit_agent.local_api.messages import CONTINUE, Head, HeadParser, MessageRefused, Request, Response, encode_head
from edgekit_agent.local_api.routes import error_response

_BUFFER = 64 << 10
#: Between requests, a connection gives back a body buffer larger than this.
_KEPT_BODY = 4 << 20
#: What is sent in one piece with the head, since a second packet costs more than a copy.
_JOINED = 64 << 10
_MOMENT_S = 0.1


@dataclass(frozen=True)
class Limits:
    """What one connection may take: bytes of a body, and seconds of idling, of sending a head, of sending a body, of taking an answer.

    Each is for the whole of it, so that a byte now and then does not hold a thread for ever.
    """

    max_body: int = 64 << 20
    idle_s: float = 75.0
    head_s: float = 10.0
    body_s: float = 60.0
    answer_s: float = 60.0
    linger_s: float = 2.0


class ConnectionEnded(Exception):
    """The client has gone, or was silent for too long: there is nobody to answer."""


class Connection:
    """Reads requests from *client* into buffers that are used again for the next, and answers each with *answer*."""

    def __init__(self, client: socket.socket, answer: Callable[[Request], Response], limits: Limits) -> None:
        self._socket = client
        self._answer = answer
        self._limits = limits
        self._buffer = memoryview(bytearray(_BUFFER))
        self._start = self._end = 0
        self._body = bytearray()
        self._lock = threading.Lock()
        self._busy = self._stopping = False

    def run(self) -> None:
        """Answer one request after the other until the client leaves or stop() is called; then close the socket."""
        with self._socket, suppress(ConnectionEnded, OSError):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while self._wait() and self._converse():
                self._settle()

    def stop(self) -> None:
        """Let the request that is under way be the last. An idle connection ends at once."""
        with self._lock:
            self._stopping = True
            if not self._busy:
                self._shut(socket.SHUT_RD)

    def abort(self) -> None:
        """End the connection whatever it is doing."""
        self._shut(socket.SHUT_RDWR)

    def _shut(self, how: int) -> None:
        # The client may have closed it meanwhile (ENOTCONN), or the thread (EBADF): then it is shut already.
        with suppress(OSError):
            self._socket.shutdown(how)

    def _wait(self) -> bool:
        """Wait for the first byte of a request; False where none comes."""
        deadline = time.monotonic() + self._limits.idle_s
        self._skip_empty_lines()
        while self._start == self._end:
            self._fill(deadline)
            self._skip_empty_lines()
        with self._lock:
            self._busy = True
            return True

    def _settle(self) -> None:
        if len(self._body) > _KEPT_BODY:
            self._body = bytearray()
        with self._lock:
            self._busy = False
            if self._stopping:
                self._shut(socket.SHUT_RD)

    def _converse(self) -> bool:
        """Answer one request; whether the connection serves for another."""
        try:
            head = self._read_head()
            request = Request(head, self._read_body(head))
        except MessageRefused as refusal:
            self._write(error_response(refusal.status, str(refusal)), keep_alive=False)
            self._linger()
            return False
        response = self._answer(request)
        keep_alive = head.keep_alive and not self._stopping
        self._write(response, keep_alive=keep_alive, with_body=head.method != "HEAD")
        return keep_alive

    def _read_head(self) -> Head:
        parser = HeadParser(self._limits.max_body)
        deadline = time.monotonic() + self._limits.head_s
        while True:
            self._start += parser.feed(self._buffer[self._start : self._end])
            if parser.head is not None:
                return parser.head
            self._fill(deadline, during="head")

    def _read_body(self, head: Head) -> memoryview:
        """The body, received straight into the place where its tensors are read."""
        length = head.content_length
        if len(self._body) < length:
            self._body = bytearray(length)
        body = memoryview(self._body)[:length]
        taken = min(length, self._end - self._start)
        body[:taken] = self._buffer[self._start : self._start + taken]
        self._start += taken
        if taken < length and head.expects_continue:
            self._send(CONTINUE, time.monotonic() + self._limits.answer_s)
        deadline = time.monotonic() + self._limits.body_s
        while taken < length:
            taken += self._receive(body[taken:], deadline, during="body")
        return body

    def _fill(self, deadline: float, during: str | None = None) -> None:
        """Receive once into the buffer, whose bytes are all used up."""
        self._start = 0
        self._end = self._receive(self._buffer, deadline, during)

    def _receive(self, place: memoryview, deadline: float, during: str | None = None) -> int:
        """Receive at least one byte into *place*. *during* names the part of a request that is being waited for."""
        try:
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            count = self._socket.recv_into(place)
        except TimeoutError as error:
            if during is None:
                raise ConnectionEnded from error
            raise MessageRefused(HTTPStatus.REQUEST_TIMEOUT, f"its {during} did not come in time") from error
        if count == 0:
            raise ConnectionEnded
        return count

    def _skip_empty_lines(self) -> None:
        """An empty line before a request is to be ignored (RFC 9112, section 2.2)."""
        while self._start < self._end and self._buffer[self._start] in b"\r\n":
            self._start += 1

    def _write(self, response: Response, *, keep_alive: bool, with_body: bool = True) -> None:
        deadline = time.monotonic() + self._limits.answer_s
        head = encode_head(response, keep_alive=keep_alive)
        pieces = response.pieces if with_body else ()
        if sum(map(len, pieces)) <= _JOINED:
            self._send(b"".join((head, *pieces)), deadline)
            return
        for piece in (head, *pieces):
            self._send(piece, deadline)

    def _send(self, data: bytes, deadline: float) -> None:
        self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
        self._socket.sendall(data)

    def _linger(self) -> None:
        """Take what the client still sends, so that it sees the refusal.

        Closing on unread bytes would reset the connection, and with it what was just written (RFC 9112, section 9.6).
        """
        self._shut(socket.SHUT_WR)
        deadline = time.monotonic() + self._limits.linger_s
        while time.monotonic() < deadline:
            self._receive(self._buffer, deadline)


def turn_away(client: socket.socket) -> None:
    """Tell *client* that there is no room for it, and close.

    The thread that accepts connections does this, so it waits but a moment for what the client sends, that it may see
    the refusal and not a reset.
    """
    response = error_response(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections are open; close some, or try again in a second")
    with client, suppress(OSError):
        client.settimeout(_MOMENT_S)
        client.sendall(encode_head(response, keep_alive=False) + b"".join(response.pieces))
        client.shutdown(socket.SHUT_WR)
        client.recv(_BUFFER)
