"""HTTP as a source: it breaks off, lies about ranges, sends without end, and says when it is busy."""

import itertools
import random
import socket
import threading
from http.server import BaseHTTPRequestHandler

import pytest

from edgekit.errors import EndlessData, SourceMissing, TransferError
from edgekit.fetching.http_fetcher import HttpFetcher
from edgekit.fetching.pace import Patience

DATA = bytes(range(256)) * 512


class Script:
    """A server's answers, one for each request, and what was asked."""

    def __init__(self, *answers) -> None:
        self.answers = list(answers)
        self.ranges: list[str | None] = []
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                script.ranges.append(self.headers.get("Range"))
                script.answers.pop(0)(self)

            def log_message(self, format, *args) -> None:
                pass

        self.handler = Handler


def reply(status, body=b"", *, sent=None, **headers):
    """An answer with *body*; of which only *sent* bytes come before the connection is closed."""

    def answer(handler):
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **{key.replace("_", "-"): value for key, value in headers.items()}}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body[:sent])
        handler.close_connection = sent is not None

    return answer


def endless(handler):
    """Bytes without end, of a length that is not said."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    while True:
        handler.wfile.write(DATA)


def reset(handler):
    """No answer at all."""
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def fetch(url, start=0, max_length=len(DATA), waits=None, **patience):  # noqa: B008
    asked = [] if waits is None else waits
    fetcher = HttpFetcher(Patience(**patience), sleep=asked.append, rng=random.Random(1))
    with fetcher.fetch(url + "data", start, max_length) as pieces:
        return b"".join(pieces)


def test_it_goes_on_where_it_broke_off(serve):
    """A transfer that ends early is resumed from the byte where it ended, and the bytes are those of one transfer."""
    script = Script(reply(200, DATA, sent=1000), reply(206, DATA[1000:], Content_Range=f"bytes 1000-{len(DATA) - 1}/{len(DATA)}"))
    assert fetch(serve(script.handler)) == DATA
    assert script.ranges == [None, "bytes=1000-"]


def test_a_server_without_ranges_sends_all_again(serve):
    """Where the server knows no ranges, what is here already is passed over."""
    script = Script(reply(200, DATA, sent=1000), reply(200, DATA))
    assert fetch(serve(script.handler)) == DATA


def test_another_part_than_asked_for_is_refused(serve):
    """Bytes of another place than the one asked for are never put there."""
    script = Script(reply(206, DATA[500:], Content_Range=f"bytes 500-{len(DATA) - 1}/{len(DATA)}"))
    with pytest.raises(TransferError, match="part"):
        fetch(serve(script.handler), start=1000)


def test_endless_data_is_cut_off(serve):
    """A server that never stops is left after the length that was allowed."""
    with pytest.raises(EndlessData):
        fetch(serve(Script(endless).handler), max_length=1000)


def test_compression_is_not_asked_for_nor_undone(serve):
    """Bytes are taken as they lie on the server, whatever encoding it claims."""
    script = Script(reply(200, DATA, Content_Encoding="gzip"))
    assert fetch(serve(script.handler)) == DATA


@pytest.mark.parametrize("status", [403, 404, 410])
def test_what_is_missing_is_not_tried_again(serve, status):
    """A server that says that there is nothing is believed at once."""
    waits = []
    with pytest.raises(SourceMissing, match=str(status)):
        fetch(serve(Script(reply(status)).handler), waits=waits)
    assert waits == []


@pytest.mark.parametrize("status", [400, 401, 418])
def test_a_refusal_is_not_tried_again(serve, status):
    """A status that time does not mend ends the fetch at once."""
    waits = []
    with pytest.raises(TransferError, match=str(status)):
        fetch(serve(Script(reply(status)).handler), waits=waits)
    assert waits == []


def test_a_busy_server_is_waited_for(serve):
    """A server that is busy is tried again after the time that it asks for."""
    waits = []
    script = Script(reply(503, Retry_After="7"), reply(429, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"), reply(200, DATA))
    assert fetch(serve(script.handler), waits=waits) == DATA
    assert waits[0] == 7.0
    assert 0 < waits[1] < 1


def test_attempts_are_bounded(serve):
    """A server that never answers is given up after the retries, each wait longer than the one before."""
    waits = []
    with pytest.raises(TransferError, match="4 attempts"):
        fetch(serve(Script(reset, reset, reset, reset).handler), waits=waits, retries=3)
    assert len(waits) == 3
    assert waits == sorted(waits)


def test_progress_makes_up_for_failures(serve):
    """A line that breaks often but brings bytes each time is not given up."""
    parts = [reply(206, DATA[at:], sent=100, Content_Range=f"bytes {at}-{len(DATA) - 1}/{len(DATA)}") for at in range(100, 1000, 100)]
    last = reply(206, DATA[1000:], Content_Range=f"bytes 1000-{len(DATA) - 1}/{len(DATA)}")
    script = Script(reply(200, DATA, sent=100), *parts, last)
    assert fetch(serve(script.handler), retries=1) == DATA


def test_redirects_are_followed_within_bounds(serve):
    """A redirect is followed, and one that leads in circles ends."""
    script = Script(reply(302, Location="/there"), reply(200, DATA))
    assert fetch(serve(script.handler)) == DATA
    circle = Script(*[reply(302, Location="/data")] * 20)
    with pytest.raises(TransferError, match="redirect"):
        fetch(serve(circle.handler), retries=1)
    assert len(circle.ranges) == 2 * 4


def test_a_silent_server_is_given_up():
    """A server that takes the request and says nothing runs into the read timeout."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(TransferError, match="timed out"):
            fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/", retries=0, read=0.05)


def test_a_closed_port_cannot_be_reached():
    """Where nobody listens, the error names the address and says what to check."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    with pytest.raises(TransferError, match="Check the network"):
        fetch(url)


def test_a_dripping_server_is_given_up(serve):
    """A server that sends one byte now and then is left when it stays below the least speed, long before the end."""
    wanted = threading.Semaphore(1)

    def drip(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        while wanted.acquire(timeout=10):
            handler.wfile.write(b"x")

    times = itertools.count(0, 20)
    fetcher = HttpFetcher(Patience(grace=60, min_speed=1000, retries=0), clock=lambda: float(next(times)))
    received = []
    with pytest.raises(TransferError, match="fewer than 1000 bytes"), fetcher.fetch(serve(Script(drip).handler), 0, 100_000) as pieces:
        for piece in pieces:
            received.append(piece)
            wanted.release()
    wanted.release()
    assert received == [b"x"] * 3
