"""What a store may forget, with plain values."""

from hypothesis import given
from hypothesis import strategies as st

from edgekit.fleet.retention import DAY_MS, GB, Cut, Held, Kind, Retention, find_cut

RETENTION = Retention(telemetry_days=2, events_days=5, max_gb=1)
NOW = 100 * DAY_MS
FULL = GB + 1


def find(used: int = 0, telemetry_days: float | None = None, events_days: float | None = None) -> Cut | None:
    """What may go where the oldest telemetry and the oldest event are that many days old."""
    ages = (None if days is None else NOW - int(days * DAY_MS) for days in (telemetry_days, events_days))
    return find_cut(RETENTION, Held(used, *ages), NOW)


def test_what_is_within_its_time_stays() -> None:
    """To the millisecond, in a store that is as large as it may be, and in one that holds nothing."""
    assert find(GB, 2, 5) is None
    assert find(0, -1, -1) is None
    assert find(0) is None


def test_what_is_past_its_time_goes() -> None:
    """Telemetry and events each after their own days, telemetry first."""
    assert find(0, 2.001, 4) == Cut(Kind.TELEMETRY, NOW - 2 * DAY_MS)
    assert find(0, 1, 5.001) == Cut(Kind.EVENTS, NOW - 5 * DAY_MS)
    assert find(0, 3, 6) == Cut(Kind.TELEMETRY, NOW - 2 * DAY_MS)


def test_where_there_is_no_room_the_oldest_goes() -> None:
    """Telemetry as long as there is any, then events, and nothing where nothing is left that could."""
    assert find(FULL, 1, 4) == Cut(Kind.TELEMETRY)
    assert find(FULL, None, 4) == Cut(Kind.EVENTS)
    assert find(FULL) is None


def test_what_is_past_its_time_goes_before_what_there_is_no_room_for() -> None:
    """An old event makes room before young telemetry must."""
    assert find(FULL, 1, 6) == Cut(Kind.EVENTS, NOW - 5 * DAY_MS)


@given(st.integers(0, 2 * GB), st.none() | st.floats(-9, 9), st.none() | st.floats(-9, 9))
def test_a_cut_always_takes_something_and_nothing_else_is_owed(used: int, telemetry_days: float | None, events_days: float | None) -> None:
    """The oldest row of its kind is under each cut, so that pruning comes to an end; without one, all is as it should be."""
    cut = find(used, telemetry_days, events_days)
    if cut is None:
        assert used <= GB or (telemetry_days, events_days) == (None, None)
        assert (telemetry_days or 0) <= 2 + 1e-6
        assert (events_days or 0) <= 5 + 1e-6
        return
    oldest = telemetry_days if cut.kind is Kind.TELEMETRY else events_days
    assert oldest is not None
    assert cut.before_ms is None or NOW - int(oldest * DAY_MS) < cut.before_ms
