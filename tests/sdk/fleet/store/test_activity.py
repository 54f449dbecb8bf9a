"""Activity: what each device and model has been doing just now."""

from collections.abc import Callable
from typing import Any

import pytest

from edgekit.fleet.store.activity import RECENT_MS, summarise_activity
from edgekit.fleet.store.leases import Lease
from edgekit.fleet.store.uploads import store_uploads
from edgekit.histogram import record_values
from edgekit.telemetry import Batch, Event, Interval

Run = Callable[..., Any]


def make_interval(sequence: int, start_ms: int, **fields: Any) -> Interval:
    names = {"model": "digits", "release": "digits@1.0.0", "variant": "onnx-int8", "runtime": "onnxruntime"}
    return Interval(**{"sequence": sequence, "start_ms": start_ms, "duration_ms": 1000, **names, **fields})


@pytest.fixture
def tell(write: Run, lease: Lease) -> Callable[..., None]:
    """Stores records as one batch of a device."""

    def store(device: str, *records: Interval | Event) -> None:
        write(store_uploads, [lease], [(device, Batch(epoch="a" * 16, first_held=1, made=records[-1].sequence, records=records))], 5)

    return store


def test_the_newest_intervals_count_together(tell: Callable[..., None], read: Run) -> None:
    """Rates and percentiles are over the intervals of the last seconds, and the release and the machine's figures are the newest's."""
    long_ago = make_interval(1, 1_000, requests=1_000_000, failed=9)
    before = make_interval(2, 40_000, requests=10, failed=1, rescued=1, latency_ms=record_values([1.0] * 10), memory_mb=50.0, energy_mj=2.0)
    newest = make_interval(3, 41_000, requests=30, release="digits@1.1.0", latency_ms=record_values([9.0] * 30), memory_mb=60.0)
    tell("roof", long_ago, before, newest, Event(sequence=4, at_ms=50_000, kind="deployment"))
    (one,) = read(summarise_activity, 0).models
    assert (one.device, one.model, one.release, one.until_ms, one.span_ms) == ("roof", "digits", "digits@1.1.0", 42_000, 2_000)
    assert (one.requests, one.failed, one.rescued, one.per_second) == (40, 1, 1, 20.0)
    assert one.p50_ms == pytest.approx(9.0, rel=0.03)
    assert (one.memory_mb, one.energy_mj, one.temperature_c) == (60.0, 2.0, None)


def test_the_fleet_adds_rates_and_merges_latencies(tell: Callable[..., None], read: Run) -> None:
    """Devices with intervals of different lengths add up by their rates, and the fleet's percentile is of all answers."""
    tell("roof", make_interval(1, 40_000, duration_ms=60_000, requests=600, latency_ms=record_values([1.0] * 600)))
    tell("cellar", make_interval(1, 90_000, requests=400, latency_ms=record_values([50.0] * 400)))
    fleet = read(summarise_activity, 0)
    assert [(one.device, one.per_second, one.interval_ms) for one in fleet.models] == [("cellar", 400.0, 1_000), ("roof", 10.0, 60_000)]
    assert (fleet.requests, fleet.per_second) == (1000, 410.0)
    assert fleet.p50_ms == pytest.approx(1.0, rel=0.03)
    assert fleet.p95_ms == pytest.approx(50.0, rel=0.03)


def test_models_of_one_device_stand_apart(tell: Callable[..., None], read: Run) -> None:
    """Two models that one device serves have an entry each, by name."""
    tell("roof", make_interval(1, 40_000, requests=1), make_interval(2, 40_000, requests=2, model="faces"))
    assert [(one.model, one.requests) for one in read(summarise_activity, 0).models] == [("digits", 1), ("faces", 2)]


def test_what_is_older_than_asked_for_is_left_out(tell: Callable[..., None], read: Run) -> None:
    """A device whose newest interval began before that time has no entry, and a fleet of none has no rate and no percentile."""
    tell("roof", make_interval(1, 40_000, requests=1))
    fleet = read(summarise_activity, 40_001)
    assert (fleet.models, fleet.requests, fleet.per_second, fleet.p95_ms) == ((), 0, None, None)


def test_an_interval_without_length_has_no_rate(tell: Callable[..., None], read: Run) -> None:
    """Where no time passed no rate can be told, and it is unknown instead of a division by zero."""
    tell("roof", make_interval(1, 40_000, requests=1, duration_ms=0), make_interval(2, 40_000 + 2 * RECENT_MS, requests=3, duration_ms=0))
    (one,) = read(summarise_activity, 0).models
    assert (one.requests, one.per_second) == (3, None)
