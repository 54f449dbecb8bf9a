"""The client, against servers that are away, that refuse, or that are something else."""

import json
import socket
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

import edgekit
from edgekit.errors import DeviceError, EdgekitError, GateRefused, InputError, TransferError, TrustError, WireError
from edgekit.fleet.client import FleetClient

Serve = Callable[[Path | type[BaseHTTPRequestHandler]], str]


def answer(status: int, body: bytes) -> type[BaseHTTPRequestHandler]:
    """A server that gives one answer to everything."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a test's output is for its claim."""

    return Answering


def refuse(kind: str) -> bytes:
    return json.dumps({"error": "a: b. c", "kind": kind, "subject": "a", "problem": "b", "remedy": "c"}).encode()


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, "InputError", InputError),
        (404, "UnknownName", InputError),
        (409, "RolloutConflict", InputError),
        (409, "GateRefused", GateRefused),
        (502, "TrustError", TrustError),
        (503, "DeviceError", DeviceError),
        (503, "TransferError", TransferError),
        (500, "InputError", WireError),
    ],
)
def test_a_refusal_comes_through_whole(serve: Serve, status: int, kind: str, expected: type[EdgekitError]) -> None:
    """What the server refuses with is raised in its class, with its message; a fault of the server is no fault of the caller."""
    with FleetClient(serve(answer(status, refuse(kind)))) as client, pytest.raises(expected) as refused:
        client.read_health()
    assert type(refused.value) is expected
    assert str(refused.value) == "a: b. c"


@pytest.mark.parametrize(("status", "body"), [(200, b"<html>"), (200, b"{}"), (200, b"\xff"), (404, b"<html>"), (500, b""), (302, b"")])
def test_another_servers_answer_is_told_from_a_fleets(serve: Serve, status: int, body: bytes) -> None:
    """What no fleet's server would say is a WireError that names the address."""
    url = serve(answer(status, body))
    with FleetClient(url) as client, pytest.raises(WireError, match=url.rstrip("/")):
        client.read_health()


def test_a_server_that_is_away_cannot_be_reached() -> None:
    """Where nobody listens, the error says how a server is started or another one named."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    with FleetClient(url) as client, pytest.raises(TransferError, match=r"edgekit fleet up.*--server"):
        client.list_devices()


def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    """A connection that is taken and never answered ends after the timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with FleetClient(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.2) as client, pytest.raises(TransferError):
            client.read_health()
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("url", ["", "127.0.0.1:8420", "ftp://host", "http://", "http://host?x", "http://host:0", "http://host:99999", "http://[::1"])
def test_what_is_no_address_is_refused_when_it_is_given(url: str) -> None:
    """A wrong address fails at once, with an example of a right one."""
    with pytest.raises(InputError, match=r"http://127\.0\.0\.1:8420"):
        FleetClient(url)


@pytest.mark.parametrize("name", ["a/b", "..", "", "x" * 65, "a b", "a?b", "\0", "ä"])
def test_an_id_that_none_can_have_is_not_asked_for(name: str) -> None:
    """Ids with slashes and the like are refused before they are part of an address."""
    client = FleetClient("http://127.0.0.1:9")
    for method in (client.find_device, client.explain_device, client.find_rollout):
        with pytest.raises(InputError, match="an id has 1 to 64"):
            method(name)
    with pytest.raises(InputError, match="an id has 1 to 64"):
        client.set_labels(name, {"site": "roof"})


def test_it_is_offered_by_edgekits_own_name() -> None:
    """edgekit.FleetClient is the client, and any other name is an AttributeError as in every module."""
    assert edgekit.FleetClient is FleetClient
    with pytest.raises(AttributeError, match="no attribute 'FleetServer'"):
        edgekit.FleetServer  # noqa: B018 - asking is the test
