"""The recorder makes one record an interval and release, and never stands in the way of serving."""

import contextlib
import threading
from pathlib import Path

import numpy as np
import pytest

from edgekit.telemetry import Event, Interval
from edgekit_agent.clock import Clock
from edgekit_agent.observing import Outcome
from edgekit_agent.outbox import START, Outbox
from edgekit_agent.recorder import IDLE_EVERY, Recorder
from edgekit_agent.serving import Serving
from edgekit_agent.vitals import Vitals


class Hands:
    """A clock whose hands are moved by the test, in seconds."""

    def __init__(self) -> None:
        self.now = 100.0

    def make(self) -> Clock:
        return Clock(lambda: 1_700_000_000 + self.now, lambda: self.now)


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def outbox(tmp_path):
    with Outbox(tmp_path / "outbox.db", 1 << 20) as opened:
        yield opened


@pytest.fixture
def recorder(outbox, hands) -> Recorder:
    return Recorder(outbox, 60.0, Vitals(), hands.make())


def read(outbox: Outbox) -> list:
    reading = outbox.read_batch(1 << 20, START)
    return list(reading.batch.records) if reading else []


def test_what_serving_did_becomes_a_record(outbox, recorder, hands, make_live):
    """Real requests through serving are in the record of their interval, with release, variant and runtime."""
    with Serving(observer=recorder) as serving:
        serving.swap(make_live())
        for _ in range(5):
            with serving.leasing("adder") as lease:
                lease.infer({"x": np.ones(3, np.float32)})
        with contextlib.suppress(Exception), serving.leasing("adder") as lease:
            lease.infer({"y": np.ones(3, np.float32)})
        hands.now += 60
        recorder.flush(serving.list_models())
    (interval,) = read(outbox)
    assert (interval.model, interval.release, interval.variant, interval.runtime) == ("adder", "adder@1.0.0", "memory-fp32", "memory")
    assert (interval.requests, interval.refused, interval.failed, interval.rescued) == (6, 1, 0, 0)
    assert (interval.start_ms, interval.duration_ms) == (1_700_000_100_000, 60_000)
    assert (interval.input_mean, interval.input_std) == (1.0, 0.0)
    assert 0 < interval.latency_ms.quantile(0.5) < 1000
    assert interval.memory_mb > 1


def test_each_release_has_its_own_record(outbox, recorder, make_live):
    """Two releases that answered within one interval are told apart."""
    for version, count in (("1.0.0", 3), ("1.1.0", 2)):
        info = make_live(version=version).info
        for _ in range(count):
            recorder.on_request(info, 1.0, Outcome.ANSWERED, None, None)
    recorder.flush()
    assert [(one.release, one.requests) for one in read(outbox)] == [("adder@1.0.0", 3), ("adder@1.1.0", 2)]


def test_each_record_has_a_sample_of_its_own(outbox, recorder, make_live):
    """However fast intervals and models follow one another, each record knows the mean of its inputs."""
    for _ in range(3):
        for name in ("adder", "other"):
            for _ in range(2):
                recorder.on_request(make_live(name=name).info, 1.0, Outcome.ANSWERED, {"x": np.full(4, 2.0)}, None)
        recorder.flush()
    assert [one.input_mean for one in read(outbox)] == [2.0] * 6


def test_nothing_is_counted_twice(outbox, recorder, make_live):
    """An interval starts from nothing, where the last one ended."""
    info = make_live().info
    for count in (2, 3):
        for _ in range(count):
            recorder.on_request(info, 1.0, Outcome.ANSWERED, None, None)
        recorder.flush()
    assert [one.requests for one in read(outbox)] == [2, 3]


def test_an_idle_model_is_reported_now_and_then(outbox, recorder, make_live):
    """A device that nobody asks says how it is once in ten intervals, and a model that is not live says nothing."""
    live = [make_live().info]
    for _ in range(2 * IDLE_EVERY):
        recorder.flush(live)
    assert [one.requests for one in read(outbox)] == [0, 0]
    for _ in range(IDLE_EVERY):
        recorder.flush()
    assert len(read(outbox)) == 2


def test_a_clock_that_is_set_does_not_change_durations(outbox, make_live):
    """How long an interval was is told by the clock that nobody sets."""
    wall, steady = [1_000.0], [50.0]
    recorder = Recorder(outbox, 60.0, Vitals(), Clock(lambda: wall[0], lambda: steady[0]))
    wall[0], steady[0] = 2.0, 110.0
    recorder.on_request(make_live().info, 1.0, Outcome.ANSWERED, None, None)
    recorder.flush()
    (interval,) = read(outbox)
    assert (interval.start_ms, interval.duration_ms) == (1_000_000, 60_000)


def test_events_are_cut_to_what_a_record_holds(outbox, recorder):
    """However long a text is, it is told as far as there is room."""
    recorder.on_event("deployment", "digits", "x" * 5000)
    (event,) = read(outbox)
    assert (event.kind, event.model, len(event.text)) == ("deployment", "digits", 200)


def test_recording_runs_until_it_is_told_to_stop(outbox, make_live):
    """Records are made while it runs, and what was counted last is kept when it stops."""
    recorder = Recorder(outbox, 0.1, Vitals())
    stop, appended = threading.Event(), threading.Event()
    outbox.watch(appended.set)
    live = make_live().info
    thread = threading.Thread(target=recorder.run, args=(stop, lambda: [live]))
    thread.start()
    assert appended.wait(10)
    for _ in range(7):
        recorder.on_request(live, 1.0, Outcome.ANSWERED, None, None)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert sum(one.requests for one in read(outbox)) == 7


def test_many_threads_are_counted_exactly(outbox, recorder, make_live):
    """Requests that end at once on several threads, also while a record is made, are all counted."""
    info = make_live().info
    threads = [threading.Thread(target=lambda: [recorder.on_request(info, 1.0, Outcome.ANSWERED, None, None) for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        recorder.flush()
    recorder.flush()
    total, after = 0, START
    while (reading := outbox.read_batch(1 << 20, after)) is not None:
        total += sum(one.requests for one in reading.batch.records)
        after = reading.position
    assert total == 2000


def test_a_disk_that_cannot_be_written_stops_nothing(tmp_path: Path, hands, make_live, caplog):
    """While nothing can be kept, requests go on and one line is logged; afterwards the fleet is told how much is missing."""
    place = tmp_path / "state"
    place.write_text("a file where the directory should be")
    with Outbox(place / "outbox.db", 1 << 20) as outbox:
        recorder = Recorder(outbox, 60.0, Vitals(), hands.make())
        for _ in range(3):
            recorder.on_request(make_live().info, 1.0, Outcome.ANSWERED, None, None)
            recorder.flush()
        assert sum("telemetry is not kept" in record.message for record in caplog.records if record.name == "edgekit_agent.recorder") == 1
        place.unlink()
        recorder.on_event("deployment", "adder", "after")
        after, told = read(outbox)
    assert (after.text, told.kind) == ("after", "telemetry")
    assert told.text.startswith("3 records could not be kept")


def test_a_fault_in_recording_never_reaches_the_caller(recorder, make_live, caplog):
    """Tensors that nobody foresaw are logged once, and the request is answered."""
    for _ in range(3):
        recorder.on_request(make_live().info, 1.0, Outcome.ANSWERED, {"x": object()}, None)
    assert sum("was not recorded" in record.message for record in caplog.records) == 1


def test_a_clock_before_1970_is_survived(outbox, make_live):
    """A device without a battery for its clock still reports."""
    recorder = Recorder(outbox, 60.0, Vitals(), Clock(lambda: -5.0, lambda: 1.0))
    recorder.on_event("started", "", "")
    recorder.on_request(make_live().info, 1.0, Outcome.ANSWERED, None, None)
    recorder.flush()
    event, interval = read(outbox)
    assert (type(event), type(interval), event.at_ms, interval.start_ms) == (Event, Interval, 0, 0)
