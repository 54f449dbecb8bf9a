"""A connection over a real socket: limits of size and time, pipelining, and refusals that arrive."""

import json
import socket
import threading
from http import HTTPStatus

import pytest

from edgekit_agent.local_api.connection import Limits
from edgekit_agent.local_api.messages import Response

LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n"
BODY = json.dumps({"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}).encode()
POST = b"POST /v2/models/adder/infer HTTP/1.1\r\nHost: a\r\n"


def echo(request):
    """An answer that is the request's own body."""
    return Response(HTTPStatus.OK, (bytes(request.body),))


def test_one_connection_serves_many_requests(client):
    """A connection is kept and used again, and the body of one request does not leak into the next."""
    for size in (1, 3, 2):
        body = {"inputs": [{"name": "x", "shape": [size], "datatype": "FP32", "data": [1] * size}]}
        status, headers, answer = client.ask("POST", "/v2/models/adder/infer", body)
        assert (status, headers["connection"]) == (200, "keep-alive")
        assert json.loads(answer)["outputs"][0]["data"] == [2.0] * size


def test_pipelined_requests_are_answered_in_order(client):
    """Requests sent without waiting are all answered, one after the other."""
    client.send(LIVE + POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY + b"\r\n" + LIVE)
    assert [client.receive()[2][:8] for _ in range(3)] == [b'{"live":', b'{"model_', b'{"live":']


def test_a_request_may_come_byte_by_byte(client):
    """However slowly within its time, a request is understood."""
    for byte in POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY:
        client.send(bytes([byte]))
    assert client.receive()[0] == 200


def test_a_large_body_arrives_whole(start, connect):
    """A body of many packets comes through unchanged, and so does the answer."""
    client = connect(start(Limits(max_body=8 << 20), answer=echo))
    body = bytes(range(256)) * 4 * 6000
    for _ in range(2):
        status, _, answer = client.ask("POST", "/", body)
        assert status == 200
        assert answer == body


def test_a_client_that_waits_is_told_to_go_on(client):
    """With Expect: 100-continue the body is asked for before it is awaited."""
    client.send(POST + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(BODY))
    assert client.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert client.send(BODY).receive()[0] == 200


def test_a_client_that_waits_in_vain_is_refused_before_it_sends(client):
    """A body that is too large is refused without being asked for."""
    client.send(POST + b"Content-Length: 9999999\r\nExpect: 100-continue\r\n\r\n")
    status, headers, _ = client.receive()
    assert (status, headers["connection"]) == (413, "close")


def test_a_refusal_arrives_though_the_client_goes_on_sending(client):
    """A client that sends its whole large body before it reads still sees why it was refused."""
    body = b"a" * (3 << 20)
    sender = threading.Thread(target=client.send, args=(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body,))
    sender.start()
    status, _, answer = client.receive()
    sender.join(10)
    assert status == 413
    assert "max_body_mb" in json.loads(answer)["error"]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"\x00" * 100, 400),
        (b"SSH-2.0-OpenSSH_9.2\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"BREW /v2 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20000, 431),
    ],
)
def test_what_is_no_request_is_answered_and_ended(client, data, status):
    """Malformed bytes get a status at once, in JSON, and the connection ends."""
    found, headers, body = client.send(data).receive()
    assert (found, headers["connection"]) == (status, "close")
    assert "request" in json.loads(body)["error"]
    assert client.is_closed


@pytest.mark.parametrize("data", [b"GET /v2 HTTP/1.1\r\nHos", POST + b"Content-Length: 10\r\n\r\nabc"])
def test_a_request_that_does_not_end_is_refused_in_time(start, connect, data):
    """A head or a body that stops coming is answered with 408."""
    client = connect(start(Limits(head_s=0.2, body_s=0.2, linger_s=0.1)))
    assert client.send(data).receive()[0] == 408
    assert client.is_closed


def test_a_byte_now_and_then_does_not_hold_a_connection(start, connect):
    """The time is for the whole head, not for each byte of it."""
    client = connect(start(Limits(head_s=0.5, linger_s=0.1)))
    client.send(b"GET /v2 HTTP/1.1\r\nHost: a\r\nX: ")
    client.socket.settimeout(0.05)
    for _ in range(200):
        client.send(b"a")
        try:
            assert client.socket.recv(12) == b"HTTP/1.1 408"
        except TimeoutError:
            continue
        break
    else:
        pytest.fail("it was held for 10 s")


def test_an_idle_connection_is_closed_without_a_word(start, connect):
    """Silence between requests is no error, and does not last for ever."""
    client = connect(start(Limits(idle_s=0.2)))
    assert client.ask("GET", "/v2/health/live")[0] == 200
    assert client.is_closed


def test_a_client_may_leave_at_any_moment(start, connect):
    """Clients that hang up within a request leave a server that answers the next."""
    api = start()
    for data in (b"", b"GET", POST, POST + b"Content-Length: 10\r\n\r\nabc", LIVE):
        client = connect(api).send(data)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.socket.close()
    assert connect(api).ask("GET", "/v2/health/live")[0] == 200


def test_a_client_that_asks_to_close_is_obeyed(client):
    """Connection: close is answered in kind, and done."""
    assert client.ask("GET", "/v2/health/live", Connection="close")[1]["connection"] == "close"
    assert client.is_closed
