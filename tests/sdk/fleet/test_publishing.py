"""Claims about what is handed to a broker: the same of Mosquitto and of its twin in memory."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from edgekit.addresses import BrokerAddress, Endpoint
from edgekit.errors import TransferError
from edgekit.fleet.broker import Broker
from edgekit.fleet.mosquitto import find_installed
from edgekit.fleet.publishing import MqttPublisher
from edgekit.fleet.sessions import Session
from edgekit.transports.base import Publisher
from edgekit.transports.memory import MemoryPublisher

needs_mosquitto = pytest.mark.skipif(find_installed() is None, reason="Mosquitto is not installed: apt-get install mosquitto")
TOPIC = "edgekit/v1/0/roof-1/down/deployment"


class Stage(NamedTuple):
    """A publisher, what has come out at the other end, and how its broker goes away and comes back."""

    publisher: Publisher
    received: list[tuple[str, bytes]]
    leave: Callable[[], Awaitable[None]]
    come_back: Callable[[], Awaitable[None]]


async def until(is_so: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def in_memory(_: Path) -> AsyncIterator[Stage]:
    received: list[tuple[str, bytes]] = []
    publisher = MemoryPublisher(lambda topic, message: received.append((topic, message)))

    async def leave() -> None:
        publisher.is_away = True

    async def come_back() -> None:
        publisher.is_away = False

    yield Stage(publisher, received, leave, come_back)


async def say_nothing(_: str) -> None:
    """A report that nobody wants."""


@contextlib.asynccontextmanager
async def at_mosquitto(root: Path) -> AsyncIterator[Stage]:
    received: list[tuple[str, bytes]] = []

    async def receive(topic: str, message: bytes) -> bool:
        received.append((topic, message))
        return True

    async with contextlib.AsyncExitStack() as stack:
        brokers = contextlib.AsyncExitStack()
        broker = await brokers.enter_async_context(Broker(root / "broker", Endpoint(), say_nothing))
        stack.push_async_callback(brokers.aclose)
        publisher = await stack.enter_async_context(MqttPublisher(broker.address))

        async def come_back() -> None:
            if broker.pid is None:
                await brokers.enter_async_context(Broker(root / "broker", broker.listen, say_nothing))
            await stack.enter_async_context(Session(broker.address, "device", ("edgekit/v1/+/+/down/+",), receive))

        await come_back()
        yield Stage(publisher, received, brokers.aclose, come_back)


EVERY = pytest.mark.parametrize("stage", [in_memory, pytest.param(at_mosquitto, marks=needs_mosquitto)])


async def publish_patiently(publisher: Publisher, topic: str, message: bytes) -> None:
    """As the coordinator does it: again and again, until the broker has taken it."""
    for _ in range(100):
        with contextlib.suppress(TransferError):
            await publisher.publish(topic, message)
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the broker takes nothing")


@EVERY
def test_what_is_handed_over_comes_out_in_order(stage: Any, tmp_path: Path) -> None:
    """Topic and bytes are those that were given, also when they are no text, or none."""
    messages = [b"one", b"\x00\xff", b"", *(str(number).encode() for number in range(400))]

    async def run() -> None:
        async with stage(tmp_path) as made:
            for message in messages:
                await publish_patiently(made.publisher, TOPIC, message)
            await until(lambda: len(made.received) == len(messages))
            assert made.received == [(TOPIC, message) for message in messages]

    asyncio.run(run())


@EVERY
def test_a_broker_that_is_away_is_said_and_taken_up_again(stage: Any, tmp_path: Path) -> None:
    """While it is away each message is refused with TransferError, soon; when it is back, the next one arrives."""

    async def run() -> None:
        async with stage(tmp_path) as made:
            await publish_patiently(made.publisher, TOPIC, b"before")
            await until(lambda: len(made.received) == 1)
            await made.leave()
            began = time.monotonic()
            # The end of the connection takes a moment to be noticed, so the first may still be taken.
            with pytest.raises(TransferError):
                for _ in range(20):
                    await made.publisher.publish(TOPIC, b"lost")
                    await asyncio.sleep(0.01)
            assert time.monotonic() - began < 5
            await made.come_back()
            await publish_patiently(made.publisher, TOPIC, b"after")
            await until(lambda: (TOPIC, b"after") in made.received)

    asyncio.run(run())


@needs_mosquitto
def test_a_broker_that_was_never_there_is_said_at_once(tmp_path: Path) -> None:
    """Nothing waits for the network when nobody listens, and leaving the block ends whatever was tried."""

    async def run() -> None:
        async with MqttPublisher(BrokerAddress(host="127.0.0.1", port=9)) as publisher:
            for _ in range(2):
                began = time.monotonic()
                with pytest.raises(TransferError):
                    await publisher.publish(TOPIC, b"")
                assert time.monotonic() - began < 5
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


@needs_mosquitto
def test_a_broker_that_does_not_answer_holds_nobody_up(tmp_path: Path) -> None:
    """One that takes connections and says nothing costs its sender a moment, not the time of a connection."""

    async def run() -> None:
        async def take_and_say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(take_and_say_nothing, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            async with MqttPublisher(BrokerAddress(host="127.0.0.1", port=port)) as publisher:
                began = time.monotonic()
                with pytest.raises(TransferError):
                    await publisher.publish(TOPIC, b"")
                assert time.monotonic() - began < 5

    asyncio.run(run())


@needs_mosquitto
def test_of_two_servers_the_one_that_sends_is_connected(tmp_path: Path) -> None:
    """Both have the same client id: the broker lets the older connection go, which does not fight for it."""

    async def run() -> None:
        async with at_mosquitto(tmp_path) as made, MqttPublisher(made.publisher.broker) as second:
            await publish_patiently(made.publisher, TOPIC, b"first")
            await publish_patiently(second, TOPIC, b"second")
            await until(lambda: len(made.received) == 2)
            await until(lambda: not made.publisher.is_connected)
            await publish_patiently(second, TOPIC, b"third")
            await until(lambda: [message for _, message in made.received] == [b"first", b"second", b"third"])

    asyncio.run(run())
