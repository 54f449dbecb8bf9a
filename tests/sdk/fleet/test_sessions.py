"""A session against a real Mosquitto: what was not taken in comes again, and nothing happens behind our back."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from edgekit.addresses import BrokerAddress, Endpoint
from edgekit.errors import TransferError
from edgekit.fleet.broker import Broker
from edgekit.fleet.mosquitto import find_installed
from edgekit.fleet.sessions import IN_FLIGHT, Session

needs_mosquitto = pytest.mark.skipif(find_installed() is None, reason="Mosquitto is not installed: apt-get install mosquitto")


async def ignore(text: str) -> None:
    """A report that nobody wants."""


async def refuse(topic: str, message: bytes) -> bool:
    """Takes nothing in."""
    return False


def run(tmp_path: Path, work: Callable[[BrokerAddress], Awaitable[None]]) -> None:
    async def within() -> None:
        async with Broker(tmp_path / "broker", Endpoint(), ignore) as broker:
            await asyncio.wait_for(work(broker.address), 20)

    asyncio.run(within())


@contextlib.asynccontextmanager
async def receiving(address: BrokerAddress, taken: bool, count: int) -> AsyncIterator[list[bytes]]:
    """The session *reader*, once it has received *count* messages, of which it takes all in or none."""
    got: list[bytes] = []
    enough = asyncio.Event()

    async def receive(topic: str, message: bytes) -> bool:
        got.append(message)
        if len(got) == count:
            enough.set()
        return taken

    async with Session(address, "reader", ("a/+",), receive):
        if count:
            await enough.wait()
        yield got


async def send(address: BrokerAddress, *messages: bytes) -> None:
    async with Session(address, "writer") as writer:
        for message in messages:
            await writer.publish("a/b", message)


@needs_mosquitto
def test_what_was_not_taken_in_comes_again(tmp_path: Path) -> None:
    """Refused messages wait for the next connection under the same name, and what was taken in does not come back."""

    async def work(address: BrokerAddress) -> None:
        async with receiving(address, taken=False, count=0):
            pass
        await send(address, b"1", b"2")
        async with receiving(address, taken=False, count=2):
            pass
        async with receiving(address, taken=True, count=2) as got:
            assert got == [b"1", b"2"]
            # Acknowledgements are written when the loop comes to them, and a third message shows that it has.
            await send(address, b"3")
        async with receiving(address, taken=True, count=0) as got:
            await send(address, b"4")
            while b"4" not in got:
                await asyncio.sleep(0.01)
            assert not {b"1", b"2"} & set(got)

    run(tmp_path, work)


@needs_mosquitto
def test_a_message_that_is_being_worked_on_when_the_connection_ends_comes_again(tmp_path: Path) -> None:
    """What becomes of it afterwards is not told to the broker over any later connection."""

    async def work(address: BrokerAddress) -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def receive(topic: str, message: bytes) -> bool:
            begun.set()
            await go_on.wait()
            return True

        async with Session(address, "reader", ("a/+",), receive):
            await send(address, b"1")
            await begun.wait()
        go_on.set()
        async with receiving(address, taken=True, count=1) as got:
            assert got == [b"1"]

    run(tmp_path, work)


@needs_mosquitto
def test_who_takes_a_session_over_ends_the_other(tmp_path: Path) -> None:
    """The first learns that it is lost, cannot publish, and does not come back by itself."""

    async def work(address: BrokerAddress) -> None:
        async with Session(address, "reader") as first, Session(address, "reader") as second:
            await first.wait_lost()
            with pytest.raises(TransferError, match="has ended"):
                await first.publish("a/b", b"")
            losing = asyncio.ensure_future(second.wait_lost())
            done, _ = await asyncio.wait({losing}, timeout=0.3)
            losing.cancel()
            assert not done
            await second.publish("a/b", b"")

    run(tmp_path, work)


@needs_mosquitto
def test_publishing_has_a_bound_in_flight(tmp_path: Path) -> None:
    """Many messages are sent as fast as they are acknowledged, and each arrives."""

    async def work(address: BrokerAddress) -> None:
        messages = [str(number).encode() for number in range(4 * IN_FLIGHT)]
        async with receiving(address, taken=True, count=0) as got:
            await send(address, *messages)
            while len(got) < len(messages):
                await asyncio.sleep(0.01)
        assert got == messages

    run(tmp_path, work)


def connect(address: BrokerAddress) -> None:
    async def within() -> None:
        async with Session(address, "reader"):
            pass

    asyncio.run(asyncio.wait_for(within(), 20))


def test_a_broker_that_is_not_there_is_named() -> None:
    """The error has its address, and is one that time may mend."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(TransferError, match=rf"127\.0\.0\.1:{port}.*does not let reader in"):
        connect(BrokerAddress(host="127.0.0.1", port=port))


def test_one_that_hangs_up_is_not_waited_for() -> None:
    """A broker that accepts and closes is told from one that is slow."""

    async def within() -> None:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.close()

        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
            with pytest.raises(TransferError, match="it hung up"):
                async with Session(BrokerAddress(host="127.0.0.1", port=server.sockets[0].getsockname()[1]), "reader"):
                    pass

    asyncio.run(asyncio.wait_for(within(), 5))
