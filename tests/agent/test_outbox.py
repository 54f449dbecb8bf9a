"""The outbox keeps what was appended, in order and within its bound, through kills, full disks, damage and old copies."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import DeviceError, WireError
from edgekit.histogram import BASE, record_values
from edgekit.telemetry import MAX_RECORDS, Event, Interval, Lost, first_of
from edgekit_agent.outbox import START, Outbox, Reading

#: Room for a few dozen records beside the empty tables.
SMALL = 48 << 10
LARGE = 8 << 20


def interval(number: int = 0, model: str = "digits", release: str = "digits@1.0.0") -> Interval:
    """An interval whose one latency lies in the bucket *number*, so that it is found again in whatever it is merged into."""
    latency = record_values([BASE ** (number + 0.5)])
    return Interval(
        sequence=1,
        start_ms=1_000 * number,
        duration_ms=1_000,
        model=model,
        release=release,
        variant="onnx-int8-qdq-per-channel",
        runtime="onnxruntime",
        requests=1,
        latency_ms=latency,
        input_mean=0.5,
        input_std=0.25,
        memory_mb=80.0,
        cpu_share=0.1,
    )


def event(text: str = "", kind: str = "deployment") -> Event:
    return Event(sequence=1, at_ms=1, kind=kind, model="digits", text=text)


def drain(outbox: Outbox) -> list[Reading]:
    """Everything that the outbox holds, batch by batch; nothing is acknowledged."""
    found: list[Reading] = []
    while (reading := outbox.read_batch(4096, found[-1].position if found else START)) is not None:
        found.append(reading)
    return found


class Server:
    """What a server would make of batches: the fate of a number is decided once, by whichever comes first."""

    def __init__(self) -> None:
        self.fates: dict[str, dict[int, Interval | Event | None]] = {}
        self.made: Counter[str] = Counter()

    def take(self, reading: Reading) -> None:
        batch = reading.batch
        fates = self.fates.setdefault(batch.epoch, {})
        self.made[batch.epoch] = max(self.made[batch.epoch], batch.made)
        for number in range(1, batch.first_held):
            fates.setdefault(number, None)
        for record in batch.records:
            for number in range(first_of(record), record.sequence + 1):
                fates.setdefault(number, None if isinstance(record, Lost) else record)

    def find_stored_up_to(self, epoch: str) -> int:
        number = 0
        while number + 1 in self.fates.get(epoch, {}):
            number += 1
        return number

    @property
    def records(self) -> list[Interval | Event]:
        return [record for fates in self.fates.values() for record in fates.values() if record is not None]

    @property
    def buckets(self) -> Counter[int]:
        """How often each interval that was ever made is in what is stored."""
        found: Counter[int] = Counter()
        for record in self.records:
            if isinstance(record, Interval):
                found.update(dict(record.latency_ms.buckets))
        return found


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("interval"), st.integers(1, 150), st.sampled_from(["digits", "faces"]), st.sampled_from(["1.0.0", "1.1.0"])),
        st.tuples(st.just("event"), st.integers(1, 5)),
        st.tuples(st.just("send"), st.integers(200, 4000)),
        st.tuples(st.just("acknowledge")),
        st.tuples(st.just("lose the answer"), st.integers(200, 4000)),
        st.tuples(st.just("restart")),
    ),
    max_size=40,
)


class Play:
    """Plays operations on an outbox and a server beside it."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path, self.max_bytes = path, max_bytes
        self.outbox = Outbox(path, max_bytes).__enter__()
        self.server = Server()
        self.cursor = START
        self.intervals = self.events = 0

    def do(self, operation: tuple) -> None:
        name, *arguments = operation
        getattr(self, "do_" + name.replace(" ", "_"))(*arguments)

    def do_interval(self, count: int, model: str, version: str) -> None:
        for _ in range(count):
            self.outbox.append(interval(self.intervals % 500, model, f"{model}@{version}"))
            self.intervals += 1

    def do_event(self, count: int) -> None:
        self.outbox.append(*(event(str(self.events + number)) for number in range(count)))
        self.events += count

    def do_send(self, size: int) -> None:
        if (reading := self.outbox.read_batch(size, self.cursor)) is not None:
            self.cursor = reading.position
            self.server.take(reading)

    def do_lose_the_answer(self, size: int) -> None:
        self.cursor = START
        self.do_send(size)

    def do_acknowledge(self) -> None:
        for epoch in list(self.server.fates):
            self.outbox.acknowledge(epoch, self.server.find_stored_up_to(epoch))

    def do_restart(self) -> None:
        self.outbox.__exit__(None, None, None)
        self.outbox = Outbox(self.path, self.max_bytes).__enter__()
        self.cursor = START

    def finish(self) -> None:
        """Send and acknowledge until nothing is held."""
        while (reading := self.outbox.read_batch(2000)) is not None:
            self.server.take(reading)
            self.do_acknowledge()
        self.outbox.__exit__(None, None, None)


@pytest.mark.parametrize("max_bytes", [SMALL, LARGE])
def test_every_number_has_one_fate(tmp_path_factory, max_bytes):
    """Whatever is appended, sent, answered or lost on the way, each number ends stored or known to be lost, and nothing counts twice."""

    @settings(max_examples=40, deadline=None)
    @given(OPERATIONS)
    def check(operations: list[tuple]) -> None:
        play = Play(tmp_path_factory.mktemp("outbox") / "outbox.db", max_bytes)
        for operation in operations:
            play.do(operation)
            assert play.path.stat().st_size <= max_bytes
        play.finish()
        for epoch, fates in play.server.fates.items():
            assert sorted(fates) == list(range(1, play.server.made[epoch] + 1))
        assert sum(play.server.made.values()) == play.intervals + play.events
        counts = play.server.buckets
        # From the 500th on two intervals share a bucket.
        assert all(count <= 1 + play.intervals // 500 for count in counts.values())
        told = [int(record.text) for record in play.server.records if isinstance(record, Event)]
        assert sorted(told) == list(range(play.events))
        if max_bytes == LARGE:
            assert counts.total() == play.intervals

    check()


def test_numbers_ascend_from_one(tmp_path):
    """Each start is an epoch of its own, numbered from 1, and the older epoch is read first."""
    with Outbox(tmp_path / "outbox.db", LARGE) as outbox:
        first = outbox.epoch
        assert [outbox.append(interval()), outbox.append(event(), event())] == [1, 3]
    with Outbox(tmp_path / "outbox.db", LARGE) as outbox:
        assert outbox.append(event()) == 1
        batches = [reading.batch for reading in drain(outbox)]
        assert [(batch.epoch, batch.first_held, batch.made, len(batch.records)) for batch in batches] == [(first, 1, 3, 3), (outbox.epoch, 1, 1, 1)]
        assert first != outbox.epoch


def test_an_acknowledged_record_is_gone(tmp_path):
    """What the server has is forgotten, what it has not stays, and an old epoch without records goes too."""
    with Outbox(tmp_path / "outbox.db", LARGE) as outbox:
        old = outbox.epoch
        outbox.append(*[interval(number) for number in range(5)])
        outbox.acknowledge(old, 3)
        (reading,) = drain(outbox)
        assert (reading.batch.first_held, [record.sequence for record in reading.batch.records]) == (4, [4, 5])
    with Outbox(tmp_path / "outbox.db", LARGE) as outbox:
        # The server may know more of an old epoch than a file that a power cut rolled back.
        outbox.acknowledge(old, 9)
        assert drain(outbox) == []
        outbox.acknowledge(old, 9)
        outbox.acknowledge("0" * 16, 1)


def test_more_than_was_made_is_not_acknowledged(tmp_path):
    """A server that claims records that were never made is refused, and nothing is deleted."""
    with Outbox(tmp_path / "outbox.db", LARGE) as outbox:
        outbox.append(interval())
        with pytest.raises(WireError, match="2 is stored, and 1 is the highest"):
            outbox.acknowledge(outbox.epoch, 2)
        assert len(drain(outbox)) == 1


def test_what_the_server_would_refuse_is_not_kept(tmp_path):
    """A record that could not be read again is refused when it is made, and does no harm to others."""
    with Outbox(tmp_path / "outbox.db", LARGE) as outbox:
        with pytest.raises(WireError, match="not valid"):
            outbox.append(interval(), Event(sequence=1, at_ms=-1, kind="clock"))
        assert outbox.append(interval()) == 1
        assert len(drain(outbox)) == 1


def test_a_batch_is_bounded(tmp_path):
    """A batch has a thousand records and the given bytes at most, but always one."""
    with Outbox(tmp_path / "outbox.db", LARGE) as outbox:
        outbox.append(*[interval() for _ in range(MAX_RECORDS + 1)])
        assert len(outbox.read_batch(1).batch.records) == 1
        assert len(outbox.read_batch(1 << 30).batch.records) == MAX_RECORDS
        assert len(outbox.read_batch(1000).batch.records) < 10


def test_a_full_outbox_keeps_longer_intervals(tmp_path):
    """When there is no more room, intervals that follow one another become one; every request is still counted, and events stay whole."""
    with Outbox(tmp_path / "outbox.db", SMALL) as outbox:
        outbox.append(event("first"))
        for number in range(400):
            outbox.append(interval(number % 500))
        server = Server()
        for reading in drain(outbox):
            server.take(reading)
    intervals = [record for record in server.records if isinstance(record, Interval)]
    assert sum(record.requests for record in intervals) == server.buckets.total() == 400
    assert max(record.requests for record in intervals) <= 60
    assert intervals[0].requests > intervals[-1].requests == 1
    assert [record.text for record in server.records if isinstance(record, Event)] == ["first"]
    assert all(record.duration_ms == 1000 * record.requests for record in intervals)


def test_another_release_is_never_merged_with_the_last(tmp_path):
    """An interval speaks of one release, also when it is a long one."""
    with Outbox(tmp_path / "outbox.db", SMALL) as outbox:
        for number in range(300):
            outbox.append(interval(number, release=f"digits@1.{number // 7 % 2}.0"))
        server = Server()
        for reading in drain(outbox):
            server.take(reading)
    for record in server.records:
        assert {f"digits@1.{number // 7 % 2}.0" for number, _ in record.latency_ms.buckets} == {record.release}
        assert len(record.latency_ms.buckets) <= 7


def test_what_was_read_is_never_merged(tmp_path):
    """A number that may be at the server already keeps its meaning: it is dropped rather than merged."""
    with Outbox(tmp_path / "outbox.db", SMALL) as outbox:
        outbox.append(*[interval(number) for number in range(20)])
        server = Server()
        server.take(outbox.read_batch(1 << 20))
        for number in range(20, 500):
            outbox.append(interval(number))
        for reading in drain(outbox):
            server.take(reading)
    assert max(server.buckets.values()) == 1
    assert server.buckets.total() == 500


def test_the_oldest_intervals_go_before_any_event(tmp_path):
    """When nothing can be merged, the oldest intervals go, then the oldest events, and what went is told in one record."""
    with Outbox(tmp_path / "outbox.db", SMALL) as outbox:
        outbox.append(event("0" * 200))
        for number in range(300):
            outbox.append(interval(number, model=f"model-{number}"))
        assert any(isinstance(record, Event) for reading in drain(outbox) for record in reading.batch.records)
        outbox.append(*[event("x" * 200) for _ in range(300)])
        records = [record for reading in drain(outbox) for record in reading.batch.records]
        assert [type(record) for record in records[:2]] == [Lost, Event]
        assert (records[0].first, records[0].sequence + 1, records[-1].sequence) == (1, records[1].sequence, 601)


def test_an_epoch_is_on_the_disk_before_its_first_record(tmp_path):
    """A process that dies at once leaves an epoch that the next one does not use again."""
    path = tmp_path / "outbox.db"
    with Outbox(path, LARGE) as outbox:
        epoch = outbox.epoch
        with pytest.raises(DeviceError, match="one agent only"), Outbox(path, LARGE) as second:
            second.append(event())
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT name, made FROM epochs").fetchall() == [(epoch, 0)]


APPEND_FOREVER = """
import sys
from pathlib import Path
from edgekit.telemetry import Event, Interval
from edgekit_agent.outbox import Outbox
with Outbox(Path(sys.argv[1]), 1 << 20) as outbox:
    print(outbox.epoch, flush=True)
    while True:
        outbox.append(Interval(sequence=1, start_ms=1, duration_ms=1, model="digits", release="digits@1.0.0", variant="v", runtime="r"))
        print(outbox.append(Event(sequence=1, at_ms=1, kind="k")), flush=True)
"""


def test_nothing_that_was_appended_is_lost_by_kill_9(tmp_path):
    """Whenever the process is killed, every record whose append returned is there at the next start."""
    path = tmp_path / "outbox.db"
    told: dict[str, int] = {}
    for _ in range(4):
        child = subprocess.Popen([sys.executable, "-c", APPEND_FOREVER, str(path)], stdout=subprocess.PIPE, text=True)
        lines = [child.stdout.readline()]
        ending = threading.Timer(random.uniform(0.0, 0.15), os.kill, (child.pid, signal.SIGKILL))
        ending.start()
        lines += child.stdout.readlines()
        child.wait()
        child.stdout.close()
        # The last line may be cut off by the kill.
        numbers = [int(line) for line in lines[1:] if line.endswith("\n")]
        told[lines[0].strip()] = max(numbers, default=0)
    with Outbox(path, 1 << 20) as outbox:
        held: Counter[str] = Counter()
        for reading in drain(outbox):
            numbers = [number for record in reading.batch.records for number in range(first_of(record), record.sequence + 1)]
            assert numbers[0] == held[reading.batch.epoch] + 1
            assert numbers == list(range(numbers[0], numbers[-1] + 1))
            held[reading.batch.epoch] = numbers[-1]
    assert sum(told.values()) > 0
    assert all(held[epoch] >= number for epoch, number in told.items())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", place], capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small file system here")
    yield place
    subprocess.run(["umount", place], check=True)


def fill(path: Path) -> None:
    """Write to *path* until the disk is full."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def test_a_full_disk_is_said_and_passes(small_disk):
    """On a full disk an append is refused and changes nothing, and once there is room the numbers go on."""
    with Outbox(small_disk / "outbox.db", LARGE) as outbox:
        outbox.append(event("before"))
        filler = small_disk / "filler"
        fill(filler)
        with pytest.raises(DeviceError, match="full"):
            for _ in range(2000):
                outbox.append(event("x" * 200))
        made = drain(outbox)[-1].batch.made
        filler.unlink()
        assert outbox.append(event("after")) == made + 1
        texts = [record.text for reading in drain(outbox) for record in reading.batch.records]
    assert (texts[0], texts[-1], len(texts)) == ("before", "after", made + 1)


def test_an_agent_starts_on_a_full_disk(small_disk):
    """An outbox that cannot even be made is no reason not to start, and it is made once there is room."""
    filler = small_disk / "filler"
    fill(filler)
    with Outbox(small_disk / "outbox.db", LARGE) as outbox:
        with pytest.raises(DeviceError):
            outbox.append(event())
        filler.unlink()
        assert outbox.append(event()) == 1


@pytest.mark.parametrize("damage", [b"this is no database, " * 500, b"\0" * 8192])
def test_a_damaged_file_is_set_aside(tmp_path, damage):
    """A file that is no database is kept under another name, and a new outbox begins with an event that says so."""
    path = tmp_path / "outbox.db"
    path.write_bytes(damage)
    with Outbox(path, LARGE) as outbox:
        outbox.append(event("after"))
        (reading,) = drain(outbox)
    told, after = reading.batch.records
    (aside,) = tmp_path.glob("outbox.corrupt-*")
    assert (told.kind, after.text) == ("outbox", "after")
    assert aside.name in told.text
    assert aside.read_bytes() == damage


def test_pages_that_rot_while_it_is_open_are_survived(tmp_path):
    """Damage that shows only later leads to a new epoch in a new file, and a position in the old file hides nothing of the new one."""
    path = tmp_path / "outbox.db"
    with Outbox(path, LARGE) as outbox:
        outbox.append(*[interval(number) for number in range(400)])
    size = path.stat().st_size
    with Outbox(path, LARGE) as outbox:
        before = outbox.epoch
        with path.open("r+b") as file:
            file.seek(4096 * 5)
            file.write(b"\xff" * (size - 4096 * 5))
        drain(outbox)
        outbox.append(event("after"))
        assert outbox.epoch != before
        assert [record.text for reading in drain(outbox) for record in reading.batch.records][-1] == "after"
    assert len(list(tmp_path.glob("outbox.corrupt-*"))) >= 1


def test_a_file_of_another_schema_is_set_aside(tmp_path):
    """What another edgekit made is not guessed at."""
    path = tmp_path / "outbox.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
        database.execute("CREATE TABLE records (something)")
    with Outbox(path, LARGE) as outbox:
        assert outbox.append(event()) == 2
    assert len(list(tmp_path.glob("outbox.corrupt-*"))) == 1


def test_an_older_copy_does_not_reuse_numbers(tmp_path):
    """An outbox put back from a backup sends old records again under their own epoch, and new ones under a new one."""
    path = tmp_path / "outbox.db"
    with Outbox(path, LARGE) as outbox:
        outbox.append(interval(1), interval(2))
    backup = path.read_bytes()
    server = Server()
    with Outbox(path, LARGE) as outbox:
        outbox.append(interval(3))
        for reading in drain(outbox):
            server.take(reading)
            outbox.acknowledge(reading.batch.epoch, server.find_stored_up_to(reading.batch.epoch))
    path.write_bytes(backup)
    with Outbox(path, LARGE) as outbox:
        outbox.append(interval(4))
        for reading in drain(outbox):
            server.take(reading)
    assert server.buckets == {1: 1, 2: 1, 3: 1, 4: 1}
    assert [len(fates) for fates in server.fates.values()] == [2, 1, 1]


def test_many_threads_append_at_once(tmp_path):
    """Records of several threads get numbers without a gap, and each append is told to whoever watches."""
    told: list[None] = []
    with Outbox(tmp_path / "outbox.db", LARGE) as outbox:
        outbox.watch(lambda: told.append(None))
        threads = [threading.Thread(target=lambda: [outbox.append(interval()) for _ in range(25)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        numbers = [record.sequence for reading in drain(outbox) for record in reading.batch.records]
    assert numbers == list(range(1, 101))
    assert len(told) == 100


def test_making_room_in_a_large_outbox_is_quick(tmp_path):
    """One append to a full outbox of a few MiB takes well below a second, though it makes room."""
    with Outbox(tmp_path / "outbox.db", 2 << 20) as outbox:
        longest = 0.0
        for number in range(120):
            begin = time.monotonic()
            outbox.append(*[interval(number % 400, model=f"model-{model}") for model in range(100)])
            longest = max(longest, time.monotonic() - begin)
        assert len(drain(outbox)) > 0
    assert longest < 2.0
