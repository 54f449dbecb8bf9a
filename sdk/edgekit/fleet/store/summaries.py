"""Telemetry as people look at it: sums, percentiles of merged histograms, and which variant served, a time step at a time."""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.engine import Connection
from sqlalchemy.sql import Select

from edgekit.errors import InputError, WireError
from edgekit.fleet.store.tables import telemetry
from edgekit.fleet.store.uploads import INTERVAL
from edgekit.histogram import merge_histograms
from edgekit.records import Record
from edgekit.telemetry import Interval, decode_record

#: The most steps that one answer may have.
MAX_STEPS = 2000
#: Rows that the database hands over at once.
_ROWS = 1000


class Window(NamedTuple):
    """Which telemetry is meant: from *since_ms* (included) to *until_ms*, in steps of *step_ms*; of one device or model, or of all."""

    since_ms: int
    until_ms: int
    step_ms: int
    device: str = ""
    model: str = ""


class Summary(Record, frozen=True, kw_only=True):
    """What happened in the *step_ms* from *start_ms* on, of all intervals that began in it.

    Percentiles are those of the merged histograms, in milliseconds; None where nothing was answered. *variants* and *releases*
    count the requests by who served them. *memory_mb*, *cpu_share* and *temperature_c* are the highest that a device reported
    in the step, *energy_mj* is the sum of what was measured; None where nobody could measure it.
    """

    start_ms: int
    step_ms: int
    devices: int
    requests: int
    refused: int
    failed: int
    rescued: int
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    variants: dict[str, int] = {}
    releases: dict[str, int] = {}
    non_finite_inputs: int = 0
    non_finite_outputs: int = 0
    memory_mb: float | None = None
    cpu_share: float | None = None
    temperature_c: float | None = None
    energy_mj: float | None = None


def summarise_telemetry(connection: Connection, window: Window) -> list[Summary]:
    """One summary for each step of *window* in which an interval began, oldest first.

    Raises:
        InputError: the window has more than MAX_STEPS steps, or none.
    """
    # In order of time, so that no more than one step is in memory.
    told = _read_intervals(connection, _select_window(window).order_by(telemetry.c.start_ms))
    steps = itertools.groupby(told, lambda one: (one[1].start_ms - window.since_ms) // window.step_ms)
    return [_summarise(window.since_ms + index * window.step_ms, window.step_ms, list(found)) for index, found in steps]


def _select_window(window: Window) -> Select[Any]:
    span = window.until_ms - window.since_ms
    if window.step_ms < 1 or not 0 < span <= MAX_STEPS * window.step_ms:
        problem = f"{span} ms in steps of {window.step_ms} ms are no number of steps between 1 and {MAX_STEPS}"
        raise InputError("telemetry window", problem, "Ask for a shorter time or longer steps.")
    query = _select_intervals().where(telemetry.c.start_ms >= window.since_ms, telemetry.c.start_ms < window.until_ms)
    return _narrow(query, window.device, window.model)


def _select_intervals() -> Select[Any]:
    return select(telemetry.c.device, telemetry.c.data).where(telemetry.c.kind == INTERVAL)


def _narrow(query: Select[Any], device: str, model: str) -> Select[Any]:
    if device:
        query = query.where(telemetry.c.device == device)
    return query.where(telemetry.c.model == model) if model else query


def _read_intervals(connection: Connection, query: Select[Any]) -> Iterable[tuple[str, Interval]]:
    for row in connection.execution_options(yield_per=_ROWS).execute(query):
        record = decode_record(row.data)
        if not isinstance(record, Interval):
            raise WireError(f"stored record of {row.device}", "it is kept as an interval and is none")
        yield row.device, record


def _summarise(start_ms: int, step_ms: int, found: Sequence[tuple[str, Interval]]) -> Summary:
    intervals = [interval for _, interval in found]
    latency = merge_histograms(one.latency_ms for one in intervals)
    counts = ("requests", "refused", "failed", "rescued", "non_finite_inputs", "non_finite_outputs")
    return Summary(
        start_ms=start_ms,
        step_ms=step_ms,
        devices=len({device for device, _ in found}),
        p50_ms=latency.quantile(0.50),
        p95_ms=latency.quantile(0.95),
        p99_ms=latency.quantile(0.99),
        variants=_count_requests(intervals, "variant"),
        releases=_count_requests(intervals, "release"),
        memory_mb=max(_known(intervals, "memory_mb"), default=None),
        cpu_share=max(_known(intervals, "cpu_share"), default=None),
        temperature_c=max(_known(intervals, "temperature_c"), default=None),
        energy_mj=sum(_known(intervals, "energy_mj")) if _known(intervals, "energy_mj") else None,
        **{name: sum(getattr(one, name) for one in intervals) for name in counts},
    )


def _count_requests(intervals: Iterable[Interval], name: str) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for one in intervals:
        counts[getattr(one, name)] += one.requests
    return dict(sorted(counts.items()))


def _known(intervals: Iterable[Interval], name: str) -> list[float]:
    return [value for one in intervals if (value := getattr(one, name)) is not None]
