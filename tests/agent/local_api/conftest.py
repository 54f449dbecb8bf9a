"""The local API with a model in memory, and a client that says what it likes."""

import json
import socket
from collections.abc import Callable, Iterator
from http.client import HTTPResponse

import pytest

from edgekit_agent.config import Address
from edgekit_agent.local_api.connection import Limits
from edgekit_agent.local_api.routes import Routes
from edgekit_agent.local_api.server import LocalApi
from edgekit_agent.serving import Serving

LIMITS = Limits(max_body=1 << 20, idle_s=5, head_s=5, body_s=5, answer_s=5, linger_s=1)


class Client:
    """A raw connection: bytes in, whole responses out."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)

    def send(self, data: bytes) -> "Client":
        self.socket.sendall(data)
        return self

    def receive(self, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        response = HTTPResponse(self.socket, method=method)
        # One byte at a time, so that nothing of a pipelined response after this one is taken.
        response.fp.close()
        response.fp = self.socket.makefile("rb", buffering=0)
        response.begin()
        body = b"" if method == "HEAD" else response.fp.read(response.length) if response.length else b""
        while len(body) < (response.length or 0) and method != "HEAD":
            body += response.fp.read(response.length - len(body))
        return response.status, {name.lower(): value for name, value in response.getheaders()}, body

    def ask(self, method: str, path: str, body: bytes | dict | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        data = json.dumps(body).encode() if isinstance(body, dict) else body or b""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
        if method == "POST":
            lines.append(f"Content-Length: {len(data)}")
        return self.send("\r\n".join([*lines, "", ""]).encode() + data).receive(method)

    @property
    def is_closed(self) -> bool:
        """Whether the server has ended the connection; waits for it."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


@pytest.fixture
def serving(make_live) -> Iterator[Serving]:
    with Serving({"adder"}) as serving:
        serving.swap(make_live())
        yield serving


@pytest.fixture
def start(serving) -> Iterator[Callable[..., LocalApi]]:
    """Starts a server with other limits or routes than those of *api*."""
    opened: list[LocalApi] = []

    def start(limits: Limits = LIMITS, max_connections: int = 16, answer=None) -> LocalApi:
        api = LocalApi(Address(host="127.0.0.1", port=0), answer or Routes(serving).answer, limits, max_connections)
        opened.append(api.__enter__())
        return api

    yield start
    for api in opened:
        api.__exit__(None, None, None)


@pytest.fixture
def connect() -> Iterator[Callable[[LocalApi], Client]]:
    clients: list[Client] = []

    def connect(api: LocalApi) -> Client:
        clients.append(Client(api.address.port))
        return clients[-1]

    yield connect
    for client in clients:
        client.socket.close()


@pytest.fixture
def client(start, connect) -> Client:
    return connect(start())
