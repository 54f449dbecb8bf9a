"""The uplink at a real broker, with a small server behind it: what is measured arrives once, whatever breaks in between."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from edgekit.desired import MAX_MESSAGE_BYTES
from edgekit.errors import DeviceError
from edgekit.status import DeviceInventory, DeviceStatus, Stored
from edgekit.targets import Hardware
from edgekit.telemetry import Event, Interval
from edgekit_agent.config import FleetSettings
from edgekit_agent.conversation import Party
from edgekit_agent.outbox import Outbox
from edgekit_agent.pacing import Patience
from edgekit_agent.uplink import Uplink

DEVICE = "roof-1"
LIMIT_S = 20.0
IMPATIENT = Patience(answer_s=0.2, longest_s=0.4, connect_s=0.05, absent_s=0.2, steady_s=0.1)


@dataclass
class Device:
    """An uplink with its outbox, and what it was told."""

    outbox: Outbox
    address: str
    mqtt: str = "auto"
    patience: Patience = IMPATIENT
    offered: list[bytes] = field(default_factory=list)
    events: list[tuple[str, str, str]] = field(default_factory=list)
    is_disk_full: bool = False
    revision: int = 1

    def __post_init__(self) -> None:
        self.changed = threading.Condition()
        self.status = DeviceStatus(device=DEVICE, epoch=self.outbox.epoch)
        inventory = DeviceInventory(device=DEVICE, hardware=Hardware(machine="box", arch="x86_64"), target="x86_64", labels={"site": "<roof>"})
        party = Party(inventory, self.outbox, self, self.describe, self.offer)
        self.uplink = Uplink(FleetSettings(broker=self.address, mqtt=self.mqtt), party, self.patience)
        self.outbox.watch(self.uplink.notify)

    def describe(self) -> DeviceStatus:
        return replace(self.status, revision=self.revision)

    def offer(self, message: bytes) -> None:
        if self.is_disk_full:
            raise DeviceError("state", "the disk is full")
        with self.changed:
            self.offered.append(message)
            self.changed.notify_all()

    def on_event(self, kind: str, model: str, text: str) -> None:
        with self.changed:
            self.events.append((kind, model, text))
            self.changed.notify_all()

    def wait(self, condition: Callable[["Device"], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self), LIMIT_S), (self.offered, self.events)

    def measure(self, count: int = 1) -> None:
        """Make *count* records."""
        for _ in range(count):
            self.outbox.append(Interval(sequence=1, start_ms=1, duration_ms=1, model="m", release="m@1", variant="v", runtime="r", requests=1))

    @contextlib.contextmanager
    def running(self) -> Iterator["Device"]:
        stop = threading.Event()
        thread = threading.Thread(target=self.uplink.run, args=(stop,))
        thread.start()
        try:
            yield self
        finally:
            stop.set()
            self.uplink.notify()
            thread.join(LIMIT_S)
            assert not thread.is_alive()


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "state" / "outbox.db", 4 << 20) as opened:
        yield opened


def wait_until_empty(outbox: Outbox) -> None:
    """Wait until the outbox has nothing that the server has not answered."""
    deadline = time.monotonic() + LIMIT_S
    while outbox.read_batch(1) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_records_arrive_and_leave_the_outbox(broker, server, outbox, version):
    """What was measured before and during a connection is stored once, in order, and then forgotten here."""
    device = Device(outbox, broker.address, version)
    device.measure(150)
    with device.running():
        server.wait(lambda one: len(one.records) == 150)
        device.measure(10)
        server.wait(lambda one: len(one.records) == 160)
        wait_until_empty(outbox)
    assert [record.sequence for record in server.records] == list(range(1, 161))
    assert server.books[outbox.epoch].up_to == 160


def test_a_device_says_what_and_how_it_is_when_it_connects(broker, server, outbox):
    """Inventory and status come at each connection, labels and all, and the status again as soon as it changes."""
    device = Device(outbox, broker.address)
    with device.running():
        server.wait(lambda one: one.inventory is not None and any(status.online for status in one.statuses))
        device.revision = 2
        device.uplink.notify()
        server.wait(lambda one: one.statuses[-1].revision == 2)
    assert DeviceInventory.decode(server.inventory).labels == {"site": "<roof>"}
    server.wait(lambda one: not one.statuses[-1].online)
    assert server.statuses[-1].epoch == outbox.epoch


def test_what_is_not_answered_is_said_again(broker, server, outbox):
    """A server that is silent gets status, inventory and records again, but never more than a few batches; then it answers, and that is all."""
    device = Device(outbox, broker.address)
    server.silent = True
    outbox.append(*[Event(sequence=1, at_ms=1, kind="k", text=f"{number:0200}") for number in range(3000)])
    with device.running():
        server.wait(lambda one: one.batches >= 9 and len(one.statuses) >= 3)
        assert len(server.records) < 3000
        with server._changed:
            server.silent = False
        server.wait(lambda one: len(one.records) == 3000)
        wait_until_empty(outbox)
        heard = len(server.statuses)
        device.revision = 2
        device.uplink.notify()
        server.wait(lambda one: one.statuses[-1].revision == 2)
        assert len(server.statuses) <= heard + 2
    assert [record.sequence for record in server.records] == list(range(1, 3001))


def test_a_quiet_device_is_heard_of(broker, server, outbox):
    """The status is repeated from time to time though it was answered, so that nobody takes an idle device for an absent one."""
    device = Device(outbox, broker.address, patience=Patience(heartbeat_s=0.1))
    with device.running():
        server.wait(lambda one: len(one.statuses) >= 4)
    assert {status.revision for status in server.statuses if status.online} == {1}


def test_an_outbox_that_cannot_be_read_is_said_once(broker, server, tmp_path, caplog):
    """Status and inventory go their way while the disk is out of order, and records follow when it is back."""
    place = tmp_path / "state"
    place.write_text("a file where the directory should be")
    with Outbox(place / "outbox.db", 1 << 20) as outbox:
        device = Device(outbox, broker.address, patience=Patience(heartbeat_s=0.02))
        with device.running():
            server.wait(lambda one: len(one.statuses) >= 5)
            place.unlink()
            device.measure()
            server.wait(lambda one: len(one.records) == 1)
    assert sum("telemetry waits" in record.message for record in caplog.records) == 1


def test_a_broker_that_is_killed_costs_nothing(broker, server, outbox):
    """Records are made while the broker is killed and started three times, and each is stored once."""
    device = Device(outbox, broker.address)
    with device.running():
        for round_ in range(1, 4):
            device.measure(50)
            broker.kill()
            device.measure(50)
            broker.start()
            server.wait(lambda one, round_=round_: len(one.records) == 100 * round_)
        wait_until_empty(outbox)
    assert [record.sequence for record in server.records] == list(range(1, 301))


def test_old_epochs_are_sent_under_their_own_name(broker, server, tmp_path):
    """Records that an earlier process left behind are stored as its own."""
    path = tmp_path / "outbox.db"
    with Outbox(path, 1 << 20) as old:
        old.append(Event(sequence=1, at_ms=1, kind="old"))
    with Outbox(path, 1 << 20) as outbox:
        device = Device(outbox, broker.address)
        device.measure(2)
        with device.running():
            server.wait(lambda one: len(one.records) == 3)
            wait_until_empty(outbox)
    assert {epoch: book.stored for epoch, book in server.books.items()} == {old.epoch: 1, outbox.epoch: 2}


def test_a_deployment_message_is_handed_on(broker, server, outbox):
    """The director's bytes reach the updater as they were sent, whatever they are."""
    device = Device(outbox, broker.address)
    with device.running():
        server.wait(lambda one: one.statuses)
        server.tell("deployment", b"\x00signed")
        device.wait(lambda one: one.offered == [b"\x00signed"])


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_message_that_was_not_kept_comes_again(broker, server, outbox, version):
    """A message is acknowledged when it was handed over, so one that came while the disk was full is delivered at the next connection."""
    device = Device(outbox, broker.address, version, is_disk_full=True)
    with device.running():
        server.wait(lambda one: one.statuses)
        server.tell("deployment", b"first")
        server.tell("stored", b"{")
        device.wait(lambda one: one.events)
    server.wait(lambda one: not one.statuses[-1].online)
    server.tell("deployment", b"second")
    device.is_disk_full = False
    with device.running():
        device.wait(lambda one: one.offered == [b"first", b"second"])


def test_a_full_disk_does_not_silence_the_broker(broker, server, outbox):
    """However many messages could not be kept, what comes when there is room again is heard."""
    device = Device(outbox, broker.address, is_disk_full=True)
    with device.running():
        server.wait(lambda one: one.statuses)
        for number in range(50):
            server.tell("deployment", str(number).encode())
        server.wait(lambda one: [status.online for status in one.statuses].count(False) >= 2)
        device.is_disk_full = False
        server.tell("deployment", b"last")
        device.wait(lambda one: b"last" in one.offered)
        device.wait(lambda one: set(one.offered) == {b"last", *(str(number).encode() for number in range(50))})


def test_messages_that_cannot_be_used_are_told_once(broker, server, outbox):
    """Malformed, oversized and unforeseen messages harm nothing, and a flood of them makes one event."""
    device = Device(outbox, broker.address)
    device.measure()
    with device.running():
        server.wait(lambda one: one.statuses)
        server.tell("stored", b"no json \xff")
        server.tell("stored", b'{"epoch": "../../etc/passwd", "up_to": 1}')
        server.tell("stored", Stored(epoch=outbox.epoch, up_to=1_000_000).encode())
        server.tell("deployment", b"x" * (MAX_MESSAGE_BYTES + 1))
        for _ in range(50):
            server.tell("unforeseen", b"?")
        server.tell("deployment", b"good")
        device.wait(lambda one: one.offered == [b"good"])
    assert len(device.events) == 1
    assert device.events[0][0] == "wire"
    assert len(server.records) == 1


def test_what_was_measured_last_is_sent_before_leaving(broker, server, outbox):
    """An agent that is asked to stop waits a little for what is still on its way."""
    device = Device(outbox, broker.address)
    with device.running():
        server.wait(lambda one: one.statuses)
        device.measure(300)
    assert outbox.read_batch(1) is None
    assert len(server.records) == 300


def test_stopping_does_not_wait_for_a_server_that_is_away(broker, outbox):
    """Two seconds at the most."""
    device = Device(outbox, broker.address)
    device.measure()
    with device.running():
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 6


def test_without_a_broker_nothing_grows(outbox, tmp_path, caplog, watch_growth):
    """Days without a broker are played in a second: no busy loop, no growing memory, one line in the log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"mqtt://127.0.0.1:{free.getsockname()[1]}"
    device = Device(outbox, address, patience=Patience(connect_s=0.002, absent_s=0.002))
    device.measure(100)
    with device.running():
        time.sleep(0.2)
        tell_growth = watch_growth()
        device.measure(1500)
        time.sleep(0.3)
        grown = tell_growth()
    assert grown < 8 << 20
    assert len([record for record in caplog.records if record.name == "edgekit_agent.uplink"]) == 1


def test_an_idle_connection_costs_no_cpu(broker, server, outbox):
    """A connection on which nothing happens is waited on, not polled."""
    device = Device(outbox, broker.address)
    with device.running():
        server.wait(lambda one: one.statuses and one.inventory)
        time.sleep(0.1)
        before = time.process_time()
        time.sleep(0.5)
        assert time.process_time() - before < 0.1


def test_a_lost_memory_of_the_server_is_filled_again(broker, make_server, outbox):
    """A server that comes back without anything hears what the device is and how it stands at the next connection."""
    device = Device(outbox, broker.address)
    with device.running():
        with make_server() as first:
            first.wait(lambda one: one.statuses and one.inventory)
        broker.kill()
        broker.start()
        with make_server() as second:
            second.wait(lambda one: any(status.online for status in one.statuses) and one.inventory)


class OldBroker:
    """Stands before a broker and refuses MQTT 5 as one does that only knows 3.1.1."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"mqtt://127.0.0.1:{self._listener.getsockname()[1]}"
        self.refused = 0

    def __enter__(self) -> "OldBroker":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listener.accept()[0],), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            first = client.recv(4096)
            # The protocol's level follows its name (MQTT 5, section 3.1.2.2).
            if first[first.index(b"MQTT") + 4] == 5:
                self.refused += 1
                client.sendall(b"\x20\x02\x00\x01")
                return
            with socket.create_connection(("127.0.0.1", self._port)) as broker:
                broker.sendall(first)
                back = threading.Thread(target=_copy, args=(broker, client), daemon=True)
                back.start()
                _copy(client, broker)
                back.join(LIMIT_S)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(4096):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def test_a_broker_without_mqtt_5_is_spoken_to_in_3_1_1(broker, server, outbox):
    """Where nothing else is set, the older version is tried when the broker refuses the newer."""
    with OldBroker(broker.port) as old:
        device = Device(outbox, old.address)
        device.measure()
        with device.running():
            server.wait(lambda one: len(one.records) == 1)
        assert old.refused == 1
