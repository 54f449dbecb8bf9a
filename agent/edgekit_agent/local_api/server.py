"""The local API's socket: listens, gives each client a thread, and lets every request end before it closes."""

import errno
import logging
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType

from edgekit.errors import DeviceError
from edgekit_agent.config import Address
from edgekit_agent.local_api.connection import Connection, Limits, turn_away
from edgekit_agent.local_api.messages import Request, Response

log = logging.getLogger(__name__)

#: Seconds that requests under way get to end when the server closes.
DRAIN_S = 10.0
_BACKLOG = 128


class LocalApi:
    """Serves *answer* over HTTP at *address* from when it is entered until it is left.

    Blocking threads: at the few connections that one device's programs open, they add the least to an inference.
    """

    def __init__(self, address: Address, answer: Callable[[Request], Response], limits: Limits, max_connections: int = 64) -> None:
        self._address = address
        self._answer = answer
        self._limits = limits
        self._max_connections = max_connections
        self._connections: dict[Connection, threading.Thread] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._listener: socket.socket | None = None
        self._acceptor = threading.Thread(target=self._accept, name="local-api", daemon=True)

    def __enter__(self) -> "LocalApi":
        self._listener = _listen(self._address)
        self._acceptor.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopping.set()
        assert self._listener is not None
        # Closing alone would leave accept() waiting; shutting down ends it (EINVAL).
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        self._drain()

    @property
    def address(self) -> Address:
        """Where it listens: with the port that was found, where 0 was asked for."""
        assert self._listener is not None
        return Address(host=self._address.host, port=self._listener.getsockname()[1])

    def _accept(self) -> None:
        assert self._listener is not None
        while not self._stopping.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError as error:
                if not self._stopping.is_set():
                    # Too many open files, or a client that left before it was accepted: the next may do better.
                    log.warning("a connection could not be accepted: %s", error)
                    self._stopping.wait(0.1)
                continue
            self._welcome(client)

    def _welcome(self, client: socket.socket) -> None:
        connection = Connection(client, self._answer, self._limits)
        thread = threading.Thread(target=self._run, args=(connection,), name="local-api-client", daemon=True)
        with self._lock:
            has_room = len(self._connections) < self._max_connections
            if has_room:
                self._connections[connection] = thread
        if not has_room:
            turn_away(client)
            return
        try:
            thread.start()
        except RuntimeError as error:
            # The system has no thread to give: the server itself must go on.
            log.warning("a client was turned away: %s", error)
            self._forget(connection)
            turn_away(client)

    def _run(self, connection: Connection) -> None:
        try:
            connection.run()
        finally:
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        with self._lock:
            del self._connections[connection]

    def _drain(self) -> None:
        with self._lock:
            connections = dict(self._connections)
        for connection in connections:
            connection.stop()
        deadline = time.monotonic() + DRAIN_S
        for connection, thread in connections.items():
            thread.join(max(deadline - time.monotonic(), 0.0))
            if thread.is_alive():
                log.warning("a request did not end in %g s, and is cut off", DRAIN_S)
                connection.abort()


def _listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise _explain(address, error) from error


def _explain(address: Address, error: OSError) -> DeviceError:
    if error.errno == errno.EADDRINUSE:
        return DeviceError(str(address), f"port {address.port} is in use by another program", "Stop that one, or choose another port with --http.")
    if error.errno == errno.EACCES:
        return DeviceError(str(address), f"port {address.port} is reserved for root", "Choose a port from 1024 on with --http.")
    return DeviceError(str(address), f"it cannot be listened on: {error.strerror}", "Choose another address with --http.")
