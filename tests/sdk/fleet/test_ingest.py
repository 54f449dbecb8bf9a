"""Ingest against a real Mosquitto: nothing is lost and nothing counted twice, whoever dies."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, text, update

from edgekit.addresses import BrokerAddress, Endpoint
from edgekit.errors import TransferError
from edgekit.files import digest_bytes
from edgekit.fleet.broker import Broker
from edgekit.fleet.ingest import Ingest
from edgekit.fleet.mosquitto import find_installed
from edgekit.fleet.sessions import Session
from edgekit.fleet.store.auditing import AuditLine, audit
from edgekit.fleet.store.database import Store, open_store
from edgekit.fleet.store.devices import find_device
from edgekit.fleet.store.events import list_events
from edgekit.fleet.store.leases import list_leases
from edgekit.fleet.store.tables import leases, telemetry
from edgekit.status import DeviceInventory, DeviceStatus, Stored
from edgekit.targets import Hardware
from edgekit.telemetry import MAX_WIRE_BYTES, Batch, Event, encode_batch
from edgekit.topics import ROOT, Up, find_shard, name_ingest, name_up

pytestmark = pytest.mark.skipif(find_installed() is None, reason="Mosquitto is not installed: apt-get install mosquitto")

SHARDS = 4
LEASE_MS = 1_000
EPOCH = "0123456789abcdef"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "store.db") as opened:
        yield opened


async def until(is_so: Callable[[], bool | Awaitable[bool]], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        found = is_so()
        if await found if isinstance(found, Awaitable) else found:
            return
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def ignore(text: str) -> None:
    """A report that nobody wants."""


@contextlib.asynccontextmanager
async def brokering(tmp_path: Path) -> AsyncIterator[Broker]:
    async with Broker(tmp_path / "broker", Endpoint(), ignore) as broker:
        task = asyncio.create_task(broker.watch())
        try:
            yield broker
        finally:
            task.cancel()
            await asyncio.wait({task})


@contextlib.asynccontextmanager
async def ingesting(store: Store, address: BrokerAddress, shards: int = SHARDS, **options: Any) -> AsyncIterator[Ingest]:
    """An ingest that holds all shards and is connected."""
    ingest = Ingest(store, address, shards, lease_ms=LEASE_MS, **options)
    task = asyncio.create_task(ingest.run())
    try:
        await until(lambda: len(ingest.shards_connected) == shards or task.done())
        yield ingest
    finally:
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() or task.exception() is None


class Devices:
    """The devices' side of the broker: sends for any device, and keeps what each was told last."""

    def __init__(self, address: BrokerAddress, shards: int = SHARDS) -> None:
        self.shards = shards
        self.told: dict[str, Stored] = {}
        self.session = Session(address, "devices", (f"{ROOT}/+/+/down/stored",), self._receive)

    async def _receive(self, topic: str, message: bytes) -> bool:
        self.told[topic.split("/")[3]] = msgspec.json.decode(message, type=Stored)
        return True

    async def send(self, device: str, kind: Up, message: bytes) -> None:
        await self.session.publish(name_up(device, kind, self.shards), message)

    async def send_events(self, device: str, *numbers: int) -> None:
        await self.send(device, "telemetry", make_batch(*numbers))


def make_batch(*numbers: int, kind: str = "x") -> bytes:
    records = tuple(Event(sequence=number, at_ms=number, kind=kind, model=kind) for number in numbers)
    return encode_batch(Batch(epoch=EPOCH, first_held=1, made=max(numbers), records=records))


@contextlib.asynccontextmanager
async def acting(address: BrokerAddress) -> AsyncIterator[Devices]:
    devices = Devices(address)
    async with devices.session:
        yield devices


async def count_stored(store: Store) -> int:
    return sum(line.stored for line in await store.read(audit))


def check_settled(lines: list[AuditLine], made: int) -> None:
    """All that was made is stored, once."""
    assert (sum(line.made for line in lines), sum(line.stored for line in lines), [line.missing for line in lines if line.missing]) == (
        made,
        made,
        [],
    )


def test_what_devices_send_is_stored_and_answered(store: Store, tmp_path: Path) -> None:
    """Each device is told up to where its records are stored, that its status is, and which inventory."""

    async def work() -> None:
        reported: list[frozenset[str]] = []
        async with (
            brokering(tmp_path) as broker,
            ingesting(store, broker.address, on_reported=reported.append) as ingest,
            acting(broker.address) as devices,
        ):
            inventory = DeviceInventory(device="device-0", hardware=Hardware(machine="m", arch="a"), target="x86-64").encode()
            await devices.send("device-0", "inventory", inventory)
            await devices.send("device-0", "status", DeviceStatus(device="device-0", epoch=EPOCH, revision=4).encode())
            for number in range(20):
                await devices.send_events(f"device-{number}", 1, 2, 3)
            await until(lambda: sum(told.up_to == 3 for told in devices.told.values()) == 20)
            wanted = Stored(epoch=EPOCH, up_to=3, status_revision=4, inventory=digest_bytes(inventory))
            await until(lambda: devices.told["device-0"] == wanted)
            assert (ingest.counts.stored, ingest.counts.refused) == (60, 0)
            assert frozenset({"device-0"}) in reported
        check_settled(await store.read(audit), 60)
        assert (await store.read(find_device, "device-0")).device_class == "x86-64"

    asyncio.run(work())


def test_what_is_of_no_use_is_acknowledged_and_told(store: Store, tmp_path: Path) -> None:
    """Garbage, too much, another's status and strange ids stop nobody, stand in the log once a sender, and do not come back."""

    async def work() -> None:
        async with brokering(tmp_path) as broker:
            async with ingesting(store, broker.address) as ingest, acting(broker.address) as devices:
                for _ in range(5):
                    await devices.send("bad", "telemetry", b"garbage")
                await devices.send("bad", "telemetry", bytes(MAX_WIRE_BYTES + 1))
                await devices.send("bad", "status", DeviceStatus(device="other").encode())
                await devices.session.publish(f"{ROOT}/{find_shard('roof', SHARDS) ^ 1}/roof/up/telemetry", make_batch(1))
                await devices.session.publish(f"{ROOT}/0/<b>id</b>/up/telemetry".replace("</b>", "<b>"), make_batch(1))
                await devices.send_events("good", 1)
                await until(lambda: ingest.counts.stored == 1 and ingest.counts.messages == 1)
                await until(lambda: _has_events(store, "bad", "roof", "<b>id<b>"))
            async with ingesting(store, broker.address) as again, acting(broker.address) as devices:
                await devices.send_events("good", 2)
                await until(lambda: again.counts.stored == 1)
                assert again.counts.refused == 0
        logged = [event.text for event in await store.read(list_events, subject="bad")]
        assert len(logged) < 4
        assert any("names no known encoding" in line for line in logged)

    asyncio.run(work())


async def _has_events(store: Store, *subjects: str) -> bool:
    return {event.subject for event in await store.read(list_events, kind="refused")} == set(subjects)


def test_a_replay_changes_nothing(store: Store, tmp_path: Path) -> None:
    """The same messages again, in another order, are answered and stored no second time."""

    async def work() -> None:
        async with brokering(tmp_path) as broker, ingesting(store, broker.address) as ingest, acting(broker.address) as devices:
            for numbers in ((1, 2), (3,), (1, 2, 3), (2,), (3,), (1, 2)):
                await devices.send_events("roof", *numbers)
            await until(lambda: ingest.counts.messages == 6)
            assert (ingest.counts.stored, ingest.counts.duplicates) == (3, 7)
        check_settled(await store.read(audit), 3)

    asyncio.run(work())


def test_a_message_that_breaks_a_commit_is_dropped_alone(store: Store, tmp_path: Path) -> None:
    """What the database will never take is told of and acknowledged, and what came with it is stored."""
    trigger = "CREATE TRIGGER no_poison BEFORE INSERT ON telemetry WHEN NEW.model = 'poison' BEGIN SELECT RAISE(ABORT, 'poisoned'); END"

    async def work() -> None:
        await store.write(lambda connection: connection.execute(text(trigger)))
        async with brokering(tmp_path) as broker, ingesting(store, broker.address) as ingest, acting(broker.address) as devices:
            for number in range(10):
                await devices.send_events(f"device-{number}", 1)
            await devices.send("bad", "telemetry", make_batch(1, kind="poison"))
            for number in range(10):
                await devices.send_events(f"device-{number}", 2)
            await until(lambda: ingest.counts.stored == 20)
            await until(lambda: _has_events(store, "bad"))
        check_settled([line for line in await store.read(audit) if line.device != "bad"], 20)

    asyncio.run(work())


def test_nothing_is_acknowledged_while_nothing_can_be_stored(store: Store, tmp_path: Path) -> None:
    """While another process keeps the database locked, ingest tries again, and then stores everything."""

    async def work() -> None:
        await store.write(lambda connection: connection.execute(text("PRAGMA busy_timeout = 20")))
        async with brokering(tmp_path) as broker, ingesting(store, broker.address) as ingest, acting(broker.address) as devices:
            other = sqlite3.connect(store.path, isolation_level=None)
            try:
                other.execute("BEGIN IMMEDIATE")
                await devices.send_events("roof", 1, 2, 3)
                done, _ = await asyncio.wait({asyncio.ensure_future(until(lambda: "roof" in devices.told))}, timeout=0.4)
                assert not done
            finally:
                other.close()
            await until(lambda: "roof" in devices.told)
            assert ingest.counts.stored == 3
        check_settled(await store.read(audit), 3)

    asyncio.run(work())


def test_who_lost_a_lease_commits_nothing_and_the_next_holder_gets_all(store: Store, tmp_path: Path) -> None:
    """A thief of the leases has what is sent meanwhile waiting for it; when it lets go, ingest stores it once."""

    def steal(connection: Any) -> None:
        names = [name_ingest(shard) for shard in range(SHARDS)]
        connection.execute(update(leases).where(leases.c.name.in_(names)).values(owner="thief", fence=leases.c.fence + 1))

    async def work() -> None:
        async with brokering(tmp_path) as broker, ingesting(store, broker.address) as ingest, acting(broker.address) as devices:
            await store.write(steal)
            for number in range(8):
                await devices.send_events(f"device-{number}", 1)
            await until(lambda: not ingest.shards_connected)
            assert (ingest.counts.stored, await count_stored(store)) == (0, 0)
            await until(lambda: ingest.counts.stored == 8)
            assert {lease.fence for lease in await store.read(list_leases) if lease.name.startswith("ingest-")} == {3}
        check_settled(await store.read(audit), 8)

    asyncio.run(work())


def test_two_share_the_shards_and_one_leaves(store: Store, tmp_path: Path) -> None:
    """Each gets half while both live; who is stopped gives its half back at once, and nothing is lost on the way."""

    async def work() -> None:
        async with brokering(tmp_path) as broker, ingesting(store, broker.address) as first, acting(broker.address) as devices:
            sending = asyncio.ensure_future(_send_slowly(devices, 300))
            second = Ingest(store, broker.address, SHARDS, lease_ms=LEASE_MS)
            task = asyncio.create_task(second.run())
            await until(lambda: len(first.shards_connected) == len(second.shards_connected) == SHARDS // 2)
            assert set(first.shards_connected).isdisjoint(second.shards_connected)
            task.cancel()
            await asyncio.wait({task})
            await until(lambda: len(first.shards_connected) == SHARDS)
            await sending
            await until(lambda: _is_stored(store, 300))
        check_settled(await store.read(audit), 300)

    asyncio.run(work())


async def _is_stored(store: Store, count: int) -> bool:
    return await count_stored(store) == count


async def _send_slowly(devices: Devices, count: int) -> None:
    """Records of 20 devices, each sent once and never again, over about a second."""
    for number in range(count):
        await devices.send_events(f"device-{number % 20}", number // 20 + 1)
        await asyncio.sleep(0.003)


WORKER = """
import asyncio, sys
from pathlib import Path
from edgekit.addresses import parse_broker
from edgekit.fleet.ingest import Ingest
from edgekit.fleet.store.database import open_store

with open_store(Path(sys.argv[1])) as store:
    asyncio.run(Ingest(store, parse_broker(sys.argv[2], "broker"), int(sys.argv[3]), lease_ms=int(sys.argv[4])).run())
"""


@contextlib.contextmanager
def working_process(store: Store, address: BrokerAddress) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", WORKER, store.path, str(address), str(SHARDS), str(LEASE_MS)])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def _list_owners(store: Store) -> set[str]:
    held = [lease for lease in await store.read(list_leases) if lease.name.startswith("ingest-")]
    return {lease.owner.split("-")[-2] for lease in held if lease.owner}


def test_a_worker_killed_in_mid_traffic_loses_and_doubles_nothing(store: Store, tmp_path: Path) -> None:
    """Of two processes one is killed while records come that no device sends again: the other stores every one, once."""

    async def work() -> None:
        async with brokering(tmp_path) as broker, acting(broker.address) as devices:
            with working_process(store, broker.address) as first, working_process(store, broker.address) as second:
                both = {str(first.pid), str(second.pid)}

                async def share() -> bool:
                    return await _list_owners(store) == both

                await until(share)
                sending = asyncio.ensure_future(_send_slowly(devices, 600))
                await until(lambda: _has_begun(store))
                os.kill(first.pid, signal.SIGKILL)
                await sending
                await until(lambda: _is_stored(store, 600))
        check_settled(await store.read(audit), 600)
        rows = await store.read(lambda connection: connection.execute(select(telemetry.c.device, telemetry.c.sequence)).all())
        assert sorted(map(tuple, rows)) == sorted((f"device-{number % 20}", number // 20 + 1) for number in range(600))

    asyncio.run(work())


async def _has_begun(store: Store) -> bool:
    return await count_stored(store) >= 100


def test_a_broker_killed_in_mid_traffic_delays_and_loses_nothing(store: Store, tmp_path: Path) -> None:
    """Devices send again what they were not told to be stored, ingest comes back by itself, and nothing counts twice."""

    async def work() -> None:
        async with brokering(tmp_path) as broker, ingesting(store, broker.address) as ingest:
            await until(lambda: _deliver(broker.address, 50))
            os.kill(broker.pid or 0, signal.SIGKILL)
            await until(lambda: _deliver(broker.address, 100))
            assert ingest.counts.stored == 100
        check_settled(await store.read(audit), 100)

    asyncio.run(work())


async def _deliver(address: BrokerAddress, made: int) -> bool:
    """One attempt of a device to send all that it holds; whether it was told that all is stored."""
    try:
        async with acting(address) as devices:
            for number in range(1, made + 1):
                await devices.send_events("roof", number)
            waiting = asyncio.ensure_future(until(lambda: devices.told.get("roof", Stored(epoch=EPOCH, up_to=0)).up_to == made))
            done, _ = await asyncio.wait({waiting}, timeout=1.0)
            waiting.cancel()
            return bool(done)
    except TransferError:
        return False
