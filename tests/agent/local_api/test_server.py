"""The server: ports that are taken, connections that are too many, and requests that end before it does."""

import socket
import threading
import time
from http import HTTPStatus

import pytest

from edgekit.errors import DeviceError
from edgekit_agent.config import Address
from edgekit_agent.local_api.connection import Limits
from edgekit_agent.local_api.messages import Response
from edgekit_agent.local_api.server import LocalApi

LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n"


def test_a_port_in_use_is_named(start):
    """The refusal names the port and the way out."""
    port = start().address.port
    with pytest.raises(DeviceError, match=f"port {port} is in use.*--http"), LocalApi(Address(host="127.0.0.1", port=port), None, Limits()):
        pass


def test_an_address_that_is_not_here_is_refused():
    """An address of another machine cannot be listened on."""
    with pytest.raises(DeviceError, match="cannot be listened on"), LocalApi(Address(host="192.0.2.1", port=0), None, Limits()):
        pass


def test_ipv6_is_served():
    """The loopback address of IPv6 will do too."""
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with LocalApi(Address(host="::1", port=0), lambda _: Response(HTTPStatus.OK), Limits()) as api:
        with socket.create_connection(("::1", api.address.port), timeout=10) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200 OK")
        assert str(api.address).startswith("[::1]:")


def test_too_many_connections_are_turned_away(start, connect):
    """Beyond its limit the server says 503 and when to come again; a place that is given back is taken again."""
    api = start(max_connections=2)
    first, second = connect(api), connect(api)
    assert first.ask("GET", "/v2/health/live")[0] == second.ask("GET", "/v2/health/live")[0] == 200
    status, headers, _ = connect(api).receive()
    assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
    assert second.ask("GET", "/v2/health/live", Connection="close")[0] == 200
    assert second.is_closed
    # The server closes the socket before it gives the place back.
    deadline = time.monotonic() + 10
    while connect(api).send(LIVE).receive()[0] != 200:
        assert time.monotonic() < deadline


def test_a_request_under_way_ends_before_the_server(connect):
    """Stopping closes idle connections at once, and lets the one that is answering finish and say that it closes."""
    began, let_go = threading.Event(), threading.Event()

    def answer(request):
        if request.head.target == "/slow":
            began.set()
            assert let_go.wait(10)
        return Response(HTTPStatus.OK, (b"done",))

    api = LocalApi(Address(host="127.0.0.1", port=0), answer, Limits())
    api.__enter__()
    # They are told to stop in the order in which they came: once the idle one is closed, the busy one knows.
    busy, idle = connect(api), connect(api)
    busy.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    assert began.wait(10)
    assert idle.ask("GET", "/")[0] == 200
    stopping = threading.Thread(target=api.__exit__, args=(None, None, None))
    stopping.start()
    assert idle.is_closed
    assert stopping.is_alive()
    let_go.set()
    status, headers, body = busy.receive()
    assert (status, headers["connection"], body) == (200, "close", b"done")
    stopping.join(10)
    assert not stopping.is_alive()


def test_a_request_that_does_not_end_is_cut_off(connect, monkeypatch, caplog):
    """A server that is asked to stop does so, in bounded time."""
    monkeypatch.setattr("edgekit_agent.local_api.server.DRAIN_S", 0.1)
    began, let_go = threading.Event(), threading.Event()

    def answer(_request):
        began.set()
        let_go.wait(10)
        return Response(HTTPStatus.OK)

    with LocalApi(Address(host="127.0.0.1", port=0), answer, Limits()) as api:
        client = connect(api).send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert began.wait(10)
    let_go.set()
    assert client.is_closed
    assert "cut off" in caplog.text


def test_the_port_is_free_again_afterwards(start, serving):
    """A server that has ended leaves its port to the next at once."""
    with LocalApi(Address(host="127.0.0.1", port=0), None, Limits()) as api:
        port = api.address.port
    with LocalApi(Address(host="127.0.0.1", port=port), None, Limits()):
        pass
