"""Summaries: sums and percentiles by time step, of one device, one model or all."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from edgekit.errors import InputError
from edgekit.fleet.store.leases import Lease
from edgekit.fleet.store.summaries import MAX_STEPS, Window, summarise_telemetry
from edgekit.fleet.store.uploads import Upload, store_uploads
from edgekit.histogram import Histogram, record_values
from edgekit.telemetry import MAX_FIGURE, Batch, Event, Interval

Run = Callable[..., Any]


def make_interval(sequence: int, start_ms: int, **fields: Any) -> Interval:
    names = {"model": "digits", "release": "digits@1.0.0", "variant": "onnx-int8", "runtime": "onnxruntime"}
    return Interval(**{"sequence": sequence, "start_ms": start_ms, "duration_ms": 1000, **names, **fields})


@pytest.fixture
def told(write: Run, lease: Lease) -> None:
    """Two devices: five slow answers among a hundred, and nine hundred fast ones; and another model later."""
    slow = make_interval(
        1, 1000, requests=100, failed=1, rescued=1, latency_ms=record_values([1.0] * 95 + [100.0] * 5), memory_mb=50.0, energy_mj=2.0
    )
    other = make_interval(2, 6000, model="faces", release="faces@2.0.0", variant="tflite-int8", requests=7, refused=2)
    fast = make_interval(1, 4999, requests=900, latency_ms=record_values([1.0] * 900), memory_mb=70.0, release="digits@1.1.0")
    event = Event(sequence=3, at_ms=1000, kind="started")
    uploads: list[Upload] = [
        ("roof", Batch(epoch="a" * 16, first_held=1, made=3, records=(slow, other, event))),
        ("cellar", Batch(epoch="b" * 16, first_held=1, made=1, records=(fast,))),
    ]
    write(store_uploads, [lease], uploads, 5)


@pytest.mark.usefixtures("told")
def test_a_fleet_is_summed_up_step_by_step(read: Run) -> None:
    """Counts are sums, percentiles are of all answers together, and what only one could measure is that one's."""
    first, second = read(summarise_telemetry, Window(0, 10_000, 5_000))
    assert (first.start_ms, first.devices, first.requests, first.failed, first.rescued) == (0, 2, 1000, 1, 1)
    assert first.p99_ms == pytest.approx(1.0, rel=0.03)
    assert (first.releases, first.variants) == ({"digits@1.0.0": 100, "digits@1.1.0": 900}, {"onnx-int8": 1000})
    assert (first.memory_mb, first.energy_mj, first.temperature_c) == (70.0, 2.0, None)
    assert (second.start_ms, second.requests, second.refused, second.p50_ms) == (5_000, 7, 2, None)


def test_the_largest_figures_that_are_taken_can_be_added_up(write: Run, read: Run, lease: Lease) -> None:
    """A device that tells nonsense spoils its own figures, and keeps nobody from reading those of others."""
    records = tuple(make_interval(n, 0, energy_mj=MAX_FIGURE, requests=2**53, latency_ms=Histogram((), 2**53, MAX_FIGURE)) for n in range(1, 101))
    write(store_uploads, [lease], [("roof", Batch(epoch="a" * 16, first_held=1, made=100, records=records))], 5)
    assert [(one.requests, one.energy_mj) for one in read(summarise_telemetry, Window(0, 1, 1))] == [(100 * 2**53, pytest.approx(100 * MAX_FIGURE))]


def test_a_long_time_takes_no_more_memory_than_a_step(write: Run, read: Run, lease: Lease) -> None:
    """Two thousand intervals, 5 MB of objects, are summed up without being held all at once."""
    latency = record_values(1.1**n for n in range(30))
    for first in range(1, 2000, 500):
        records = tuple(make_interval(n, n * 10, requests=1, latency_ms=latency) for n in range(first, first + 500))
        write(store_uploads, [lease], [("roof", Batch(epoch="a" * 16, first_held=1, made=2000, records=records))], 5)
    tracemalloc.start()
    try:
        steps = read(summarise_telemetry, Window(0, 30_000, 100))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(one.requests for one in steps) == 2000
    assert peak < 2 << 20, peak


@pytest.mark.usefixtures("told")
def test_one_device_and_one_model_stand_alone(read: Run) -> None:
    """A device's own percentile shows what the fleet's does not."""
    roof = read(summarise_telemetry, Window(0, 5_000, 5_000, device="roof"))
    assert [(one.requests, one.devices) for one in roof] == [(100, 1)]
    assert roof[0].p99_ms == pytest.approx(100.0, rel=0.03)
    assert [one.requests for one in read(summarise_telemetry, Window(0, 10_000, 10_000, model="faces"))] == [7]


@pytest.mark.usefixtures("told")
def test_a_window_has_a_beginning_that_counts_and_an_end_that_does_not(read: Run) -> None:
    """Steps begin where the window does, and those in which nothing began are left out."""
    assert [one.start_ms for one in read(summarise_telemetry, Window(1000, 4999, 1000))] == [1000]
    assert [one.start_ms for one in read(summarise_telemetry, Window(1000, 5000, 1000))] == [1000, 4000]
    assert read(summarise_telemetry, Window(7000, 9000, 1000)) == []


@pytest.mark.parametrize("window", [Window(0, 10, 0), Window(10, 10, 1), Window(10, 0, 1), Window(0, MAX_STEPS + 1, 1)])
def test_a_window_without_steps_or_with_too_many_is_refused(read: Run, window: Window) -> None:
    """So nobody can ask for more than an answer may hold."""
    with pytest.raises(InputError, match="no number of steps"):
        read(summarise_telemetry, window)
