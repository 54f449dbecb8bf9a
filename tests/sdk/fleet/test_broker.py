"""The broker child: a real Mosquitto, started, killed, and started again."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from edgekit.addresses import Endpoint
from edgekit.errors import DeviceError, InputError, TransferError
from edgekit.fleet.broker import Broker
from edgekit.fleet.mosquitto import Mosquitto, find_installed
from edgekit.fleet.probing import probe_broker

pytestmark = pytest.mark.skipif(find_installed() is None, reason="Mosquitto is not installed: apt-get install mosquitto")

LOOPBACK = Endpoint()


async def ignore(text: str) -> None:
    """A report that nobody wants."""


@contextlib.asynccontextmanager
async def watched(broker: Broker) -> AsyncIterator[Broker]:
    async with broker:
        task = asyncio.create_task(broker.watch())
        try:
            yield broker
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def until(is_so: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether the process runs: one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_it_answers_while_the_block_runs_and_not_after(tmp_path: Path) -> None:
    """Entering waits until MQTT is answered, on a port that the system chose, and leaving ends the process."""

    async def go() -> None:
        async with Broker(tmp_path / "broker", LOOPBACK, ignore) as broker:
            await probe_broker(broker.address)
            pid = broker.pid
        assert pid is not None
        assert not is_alive(pid)
        with pytest.raises(TransferError):
            await probe_broker(broker.address, 1.0)

    asyncio.run(go())


def test_it_comes_back_when_it_is_killed(tmp_path: Path) -> None:
    """A broker killed with SIGKILL, twice, is started again on the same port, and both ends are reported."""
    reports: list[str] = []

    async def report(text: str) -> None:
        reports.append(text)

    async def go() -> None:
        async with watched(Broker(tmp_path / "broker", LOOPBACK, report)) as broker:
            for times in (1, 2):
                pid = broker.pid
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
                await until(lambda: sum("is back" in text for text in reports) == times)  # noqa: B023 - awaited in the same round
                assert broker.pid not in (None, pid)
                await probe_broker(broker.address)

    asyncio.run(go())
    assert [text for text in reports if "signal 9" in text]
    assert str(tmp_path) not in " ".join(reports)


def test_it_goes_on_trying_while_its_port_is_taken(tmp_path: Path) -> None:
    """When something takes the port of a broker that died, it says so, and the broker comes back once the port is free."""
    reports: list[str] = []
    with socket.socket() as taker:
        taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

        async def report(text: str) -> None:
            reports.append(text)
            if "ended by signal" in text:
                taker.bind(("127.0.0.1", port[0]))
                taker.listen()
            elif "Trying again" in text:
                taker.close()

        port: list[int] = []

        async def go() -> None:
            async with watched(Broker(tmp_path / "broker", LOOPBACK, report)) as broker:
                port.append(broker.address.port)
                assert broker.pid is not None
                os.kill(broker.pid, signal.SIGKILL)
                await until(lambda: any("is back" in text for text in reports), 20)

        asyncio.run(go())
    assert any("Address already in use" in text for text in reports)


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """A port that another program listens on is refused by its number, with the option that changes it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        async def go() -> None:
            async with Broker(tmp_path / "broker", Endpoint(port=port), ignore):
                pass

        with pytest.raises(DeviceError, match=rf"port {port} cannot be used.*--mqtt"):
            asyncio.run(go())


def test_it_listens_to_nobody_else(tmp_path: Path) -> None:
    """Without accounts no address is taken that other machines can reach."""

    async def go() -> None:
        async with Broker(tmp_path / "broker", Endpoint(host="0.0.0.0", port=0), ignore):
            pass

    with pytest.raises(InputError, match="no accounts"):
        asyncio.run(go())


def test_a_program_that_is_no_broker_is_told_by_its_last_words(tmp_path: Path) -> None:
    """What ends at its start is a DeviceError with what it said."""
    program = tmp_path / "mosquitto"
    program.write_text("#!/bin/sh\necho 'no room for me' >&2\nexit 7\n")
    program.chmod(0o755)

    async def go() -> None:
        async with Broker(tmp_path / "broker", LOOPBACK, ignore, lambda: Mosquitto(program)):
            pass

    with pytest.raises(DeviceError, match="no room for me"):
        asyncio.run(go())


def test_sessions_survive_a_restart_of_the_server(tmp_path: Path) -> None:
    """What a broker holds for an absent client when it is stopped is delivered by the next one in the same directory."""

    async def run(work: Callable[[Broker], Awaitable[None]]) -> None:
        async with Broker(tmp_path / "broker", LOOPBACK, ignore) as broker:
            await work(broker)

    async def leave_a_message(broker: Broker) -> None:
        with mqtt_session(broker, "absent") as session:
            session.sendall(SUBSCRIBE)
            assert session.recv(16)[:1] == b"\x90"
        with mqtt_session(broker, "sender") as session:
            session.sendall(PUBLISH)
            assert session.recv(16)[:1] == b"\x40"

    async def receive_it(broker: Broker) -> None:
        with mqtt_session(broker, "absent") as session:
            assert b"kept" in session.recv(64)

    asyncio.run(run(leave_a_message))
    asyncio.run(run(receive_it))


# MQTT 3.1.1, sections 3.8 and 3.3: a subscription to "t" and a message on it, both QoS 1.
SUBSCRIBE = b"\x82\x06\x00\x01\x00\x01t\x01"
PUBLISH = b"\x32\x09\x00\x01t\x00\x02kept"


@contextlib.contextmanager
def mqtt_session(broker: Broker, client: str) -> Iterator[socket.socket]:
    """A connection with a persistent session of that client id."""
    with socket.create_connection((broker.listen.host, broker.listen.port), timeout=5) as session:
        body = b"\x00\x04MQTT\x04\x00\x00\x3c" + len(client).to_bytes(2, "big") + client.encode()
        session.sendall(b"\x10" + bytes([len(body)]) + body)
        assert session.recv(4) in (b"\x20\x02\x00\x00", b"\x20\x02\x01\x00")
        yield session
        session.sendall(b"\xe0\x00")


CHILD = """
import asyncio, sys
from pathlib import Path
from edgekit.addresses import Endpoint
from edgekit.fleet.broker import Broker

async def report(text): pass

async def go():
    async with Broker(Path(sys.argv[1]), Endpoint(), report) as broker:
        print(broker.pid, flush=True)
        await asyncio.sleep(60)

asyncio.run(go())
"""


def test_it_never_outlives_a_server_that_was_killed(tmp_path: Path) -> None:
    """When the server is killed with SIGKILL, and can clean up nothing, its broker ends too."""
    with subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path / "broker")], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        broker = int(server.stdout.readline())
        assert is_alive(broker)
        server.kill()
        server.wait(10)
    asyncio.run(until(lambda: not is_alive(broker)))
