"""The head of an HTTP request, in whatever pieces it comes: understood, or refused with the status of the clause."""

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit_agent.local_api.messages import MAX_HEAD, Head, HeadParser, MessageRefused, Response, encode_head

GET = b"GET /v2?a=b HTTP/1.1\r\nHost: localhost\r\n\r\n"


def parse(data: bytes, max_body: int = 1000) -> Head:
    parser = HeadParser(max_body)
    assert parser.feed(memoryview(data)) == len(data)
    assert parser.head is not None
    return parser.head


def post(*lines: str) -> bytes:
    return "\r\n".join(["POST /v2/models/m/infer HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def test_a_head_is_understood():
    """Method, target, headers in lower case, length and what becomes of the connection."""
    head = parse(post("Content-Length: 12", "X-One:  a ", "x-one: b", "Empty:"))
    assert (head.method, head.target, head.content_length, head.keep_alive, head.expects_continue) == ("POST", "/v2/models/m/infer", 12, True, False)
    assert (head.headers["x-one"], head.headers["empty"]) == ("a,b", "")


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30))
def test_pieces_make_no_difference(sizes):
    """However the network cuts a head, it is the same head, and what follows it is left alone."""
    data, parser, position = post("Content-Length: 4") + b"body", HeadParser(1000), 0
    for size in sizes * 100:
        taken = parser.feed(memoryview(data)[position : position + size])
        position += taken
        if parser.head is not None:
            break
    assert parser.head == parse(post("Content-Length: 4"))
    assert data[position:] == b"body"


@given(st.binary(max_size=400))
def test_any_bytes_are_parsed_or_refused(data):
    """Whatever a client sends, it is a head, an unfinished one, or refused: never another error."""
    parser = HeadParser(1000)
    try:
        parser.feed(memoryview(data))
    except MessageRefused as refusal:
        assert 400 <= refusal.status <= 505


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET /v2 HTTP/1.1\nHost: a\n\n", 400),
        (b"GET /v2 HTTP/1.1\r\n\r\n", 400),
        (b"GET /v2 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /v2 HTTP/1.1\r\nHost: a\r\nBad Name: b\r\n\r\n", 400),
        (b"FETCH /v2 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"GET /v2 HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (post("Content-Length: -1"), 400),
        (post("Content-Length: 1x"), 400),
        (post("Content-Length: 1", "Content-Length: 2"), 400),
        (post("Content-Length: 99999999999999999999999"), 400),
        (post("Content-Length: 1001"), 413),
        (post(), 411),
        (post("Transfer-Encoding: chunked"), 411),
        (post("Transfer-Encoding: chunked", "Content-Length: 1"), 400),
        (post("Content-Length: 1", "Content-Encoding: gzip"), 415),
        (post("Content-Length: 1", "Expect: tea"), 417),
        (post("Content-Length: 1", "X: " + "a" * MAX_HEAD), 431),
    ],
)
def test_what_is_refused_has_its_status(data, status):
    """Each kind of bad request is told apart."""
    with pytest.raises(MessageRefused) as refusal:
        parse(data)
    assert refusal.value.status == status


def test_a_head_without_end_is_refused_in_time():
    """A client that never ends its headers is refused at the limit, not stored."""
    parser = HeadParser(1000)
    parser.feed(memoryview(b"GET / HTTP/1.1\r\nHost: a\r\nX: "))
    with pytest.raises(MessageRefused) as refusal:
        for _ in range(MAX_HEAD // 1000 + 1):
            parser.feed(memoryview(b"a" * 1000))
    assert refusal.value.status == 431


@pytest.mark.parametrize(
    ("data", "keep_alive"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", True),
    ],
)
def test_the_connection_is_kept_as_the_version_says(data, keep_alive):
    """HTTP/1.1 keeps a connection unless told to close it, HTTP/1.0 the other way round."""
    assert parse(data).keep_alive is keep_alive


def test_an_offered_upgrade_is_ignored():
    """A client that offers HTTP/2 in passing is answered in HTTP/1.1."""
    head = parse(b"GET /v2 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n")
    assert (head.target, head.keep_alive) == ("/v2", True)


def test_a_waiting_client_is_recognised():
    """Expect: 100-continue counts in HTTP/1.1 alone."""
    assert parse(post("Content-Length: 1", "Expect: 100-Continue")).expects_continue
    assert not parse(b"POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n").expects_continue


def test_a_response_says_its_length_and_what_becomes_of_the_connection():
    """The head of a response has all that a client needs to find its end."""
    head = encode_head(Response(HTTPStatus.OK, (b"ab", b"c")), keep_alive=False)
    assert head == b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"
