"""How long a fleet's store remembers, and what it may forget now. Pure."""

from enum import Enum
from typing import Annotated, NamedTuple

from msgspec import Meta

from edgekit.records import Record

DAY_MS = 86_400_000
GB = 1_000_000_000

Days = Annotated[int, Meta(ge=1, le=36_500)]


class Retention(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[store]`` in ``fleet.toml``: the days that telemetry and events are kept, and how large the database may be, in GB (10⁹ bytes).

    Where it is larger, the oldest telemetry goes although it is younger, and the oldest events when there is no telemetry left.
    """

    telemetry_days: Days = 30
    events_days: Days = 365
    max_gb: Annotated[float, Meta(ge=0.01, le=1_000_000)] = 10


class Held(NamedTuple):
    """What a store holds: the bytes in use, and the times of its oldest telemetry and of its oldest event, None where there is none."""

    used_bytes: int
    telemetry_ms: int | None
    event_ms: int | None


class Kind(Enum):
    """What a cut takes away."""

    TELEMETRY = "telemetry"
    EVENTS = "events"


class Cut(NamedTuple):
    """What may go: rows of *kind* from before *before_ms*, or, where that is None since there is no room for them, the oldest."""

    kind: Kind
    before_ms: int | None = None


def find_cut(retention: Retention, held: Held, now_ms: int) -> Cut | None:
    """What may go next at *now_ms*: first what is past its time, then what there is no room for; None where all may stay."""
    telemetry_ms = now_ms - retention.telemetry_days * DAY_MS
    events_ms = now_ms - retention.events_days * DAY_MS
    if _is_before(held.telemetry_ms, telemetry_ms):
        return Cut(Kind.TELEMETRY, telemetry_ms)
    if _is_before(held.event_ms, events_ms):
        return Cut(Kind.EVENTS, events_ms)
    if held.used_bytes <= retention.max_gb * GB:
        return None
    if held.telemetry_ms is not None:
        return Cut(Kind.TELEMETRY)
    return Cut(Kind.EVENTS) if held.event_ms is not None else None


def _is_before(time_ms: int | None, limit_ms: int) -> bool:
    return time_ms is not None and time_ms < limit_ms
