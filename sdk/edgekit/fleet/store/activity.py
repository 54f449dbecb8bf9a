"""What each device has been doing just now, model by model: rates and percentiles of the newest intervals."""

import math
from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import and_, func, select
from sqlalchemy.engine import Connection

from edgekit.errors import WireError
from edgekit.fleet.store.tables import telemetry
from edgekit.fleet.store.uploads import INTERVAL
from edgekit.fleet.views import Activity, FleetActivity
from edgekit.histogram import merge_histograms
from edgekit.telemetry import Interval, decode_record

#: Intervals that began this long before the newest one count with it, so that short ones do not make the figures flicker.
RECENT_MS = 10_000
_COUNTS = ("requests", "refused", "failed", "rescued")


def summarise_activity(connection: Connection, since_ms: int) -> FleetActivity:
    """What every device and model did that has an interval which began at *since_ms* or later."""
    found = _read_recent(connection, since_ms)
    models = [_summarise(device, intervals) for (device, _), intervals in sorted(found.items())]
    latency = merge_histograms(one.latency_ms for intervals in found.values() for one in intervals)
    rates = [one.per_second for one in models if one.per_second is not None]
    return FleetActivity(
        per_second=math.fsum(rates) if rates else None,
        models=tuple(models),
        p50_ms=latency.quantile(0.50),
        p95_ms=latency.quantile(0.95),
        p99_ms=latency.quantile(0.99),
        **{name: sum(getattr(one, name) for one in models) for name in _COUNTS},
    )


def _read_recent(connection: Connection, since_ms: int) -> dict[tuple[str, str], list[Interval]]:
    """The newest intervals by device and model, from old to new."""
    mine = and_(telemetry.c.kind == INTERVAL, telemetry.c.start_ms >= since_ms)
    newest = (
        select(telemetry.c.device, telemetry.c.model, func.max(telemetry.c.start_ms).label("start_ms"))
        .where(mine)
        .group_by(telemetry.c.device, telemetry.c.model)
        .subquery()
    )
    same = and_(telemetry.c.device == newest.c.device, telemetry.c.model == newest.c.model)
    query = select(telemetry.c.device, telemetry.c.data).join(newest, same).order_by(telemetry.c.start_ms)
    found: dict[tuple[str, str], list[Interval]] = defaultdict(list)
    for row in connection.execute(query.where(mine, telemetry.c.start_ms > newest.c.start_ms - RECENT_MS)):
        record = decode_record(row.data)
        if not isinstance(record, Interval):
            raise WireError(f"stored record of {row.device}", "it is kept as an interval and is none")
        found[row.device, record.model].append(record)
    return found


def _summarise(device: str, intervals: Sequence[Interval]) -> Activity:
    newest, span_ms = intervals[-1], sum(one.duration_ms for one in intervals)
    latency = merge_histograms(one.latency_ms for one in intervals)
    counts = {name: sum(getattr(one, name) for one in intervals) for name in _COUNTS}
    energy = [one.energy_mj for one in intervals if one.energy_mj is not None]
    same = ("model", "release", "variant", "runtime", "memory_mb", "cpu_share", "temperature_c")
    return Activity(
        device=device,
        until_ms=newest.start_ms + newest.duration_ms,
        span_ms=span_ms,
        interval_ms=max(one.duration_ms for one in intervals),
        per_second=counts["requests"] / (span_ms / 1000) if span_ms else None,
        energy_mj=math.fsum(energy) if energy else None,
        p50_ms=latency.quantile(0.50),
        p95_ms=latency.quantile(0.95),
        p99_ms=latency.quantile(0.99),
        **{name: getattr(newest, name) for name in same},
        **counts,
    )
