"""Pruning on the real database: what is past retention goes, and the books do not change their verdict."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.engine import Connection

from edgekit.fleet.retention import DAY_MS, Retention
from edgekit.fleet.store.auditing import AuditLine, audit
from edgekit.fleet.store.booking import Book, book_batch
from edgekit.fleet.store.database import Store, open_store
from edgekit.fleet.store.events import LoggedEvent, append_events, list_events
from edgekit.fleet.store.pruning import Pruned, look_at, prune, shrink
from edgekit.fleet.store.tables import telemetry
from edgekit.fleet.store.uploads import Receipt, store_uploads
from edgekit.telemetry import Batch, Event, Interval, Lost

Run = Callable[..., Any]
A, B = "a" * 16, "b" * 16
RETENTION = Retention(telemetry_days=2, events_days=5)
SMALL = Retention(max_gb=0.01)
NOW = 100 * DAY_MS


def make_interval(number: int, start_ms: int) -> Interval:
    return Interval(sequence=number, start_ms=start_ms, duration_ms=1, model="digits", release="digits@1", variant="v", runtime="r", requests=3)


def make_batch(*days: int, epoch: str = A, first: int = 1) -> Batch:
    """Intervals numbered from *first* on, each of which began on one of *days* after 1970."""
    records = tuple(make_interval(first + index, day * DAY_MS) for index, day in enumerate(days))
    return Batch(epoch=epoch, first_held=1, made=first + len(days) - 1, records=records)


@pytest.fixture
def take(write: Run) -> Callable[..., Receipt]:
    """Stores what a device sent."""
    return lambda batch, device="roof": write(store_uploads, (), [(device, batch)], 5)


def list_days(connection: Connection) -> list[int]:
    return sorted(start // DAY_MS for start in connection.execute(select(telemetry.c.start_ms)).scalars())


def prune_all(write: Run, retention: Retention = RETENTION, now_ms: int = NOW, rows: int = 1000) -> list[Pruned]:
    steps = []
    while step := write(prune, retention, now_ms, rows):
        steps.append(step)
    return steps


def test_what_is_past_its_days_goes_and_the_rest_stays(take: Run, write: Run, read: Run) -> None:
    """Of two devices and two epochs, each of which counts its own."""
    take(make_batch(1, 97, 98, 99))
    take(make_batch(2, 3, epoch=B))
    take(make_batch(100), "cellar")
    assert prune_all(write) == [Pruned(records=4)]
    assert read(list_days) == [98, 99, 100]
    lines = {(line.device, line.epoch): (line.made, line.stored, line.pruned, line.missing) for line in read(audit)}
    assert lines == {("roof", A): (4, 4, 2, 0), ("roof", B): (2, 2, 2, 0), ("cellar", A): (1, 1, 0, 0)}


def test_a_step_takes_the_oldest_and_no_more_than_it_may(take: Run, write: Run, read: Run) -> None:
    """So that no transaction is long; many of them take all."""
    take(make_batch(5, 3, 1, 4, 2))
    assert write(prune, RETENTION, NOW, 2) == Pruned(records=2)
    assert read(list_days) == [3, 4, 5]
    assert prune_all(write, rows=2) == [Pruned(records=2), Pruned(records=1)]


def test_old_events_go(write: Run, read: Run) -> None:
    """By the time at which they happened, in whatever order they were heard of."""
    write(append_events, [LoggedEvent(at_ms=day * DAY_MS, kind="x", subject="roof", text=str(day)) for day in (99, 10, 95, 20)])
    assert prune_all(write, rows=1) == [Pruned(events=1), Pruned(events=1)]
    assert [one.text for one in read(list_events)] == ["95", "99"]


def test_a_record_that_was_pruned_is_still_a_duplicate(take: Run, write: Run, read: Run) -> None:
    """Sent again, also long after its whole epoch went, it is not stored, not counted, and its event is not logged a second time."""
    events = Batch(epoch=B, first_held=1, made=1, records=(Event(sequence=1, at_ms=DAY_MS, kind="crash"),))
    batches = (make_batch(1, 2, 3), events)
    first = [take(batch) for batch in batches]
    prune_all(write)
    before = read(audit)
    again = [take(batch) for batch in batches]
    assert [one.answers for one in again] == [one.answers for one in first]
    assert [(one.stored, one.duplicates) for one in again] == [(0, 3), (0, 1)]
    assert (read(audit), read(list_days), read(list_events)) == (before, [], [])


def test_a_hole_below_what_was_pruned_can_still_be_filled(take: Run, write: Run, read: Run) -> None:
    """A record that comes late is stored although all round it went, and goes with the next pruning."""
    take(Batch(epoch=A, first_held=1, made=3, records=(make_interval(1, 0), make_interval(3, 0))))
    prune_all(write)
    assert [(line.stored, line.missing) for line in read(audit)] == [(2, 1)]
    assert take(Batch(epoch=A, first_held=1, made=3, records=(make_interval(2, 0),))).stored == 1
    assert prune_all(write) == [Pruned(records=1)]
    assert [(line.stored, line.pruned, line.missing) for line in read(audit)] == [(3, 3, 0)]


def test_a_row_that_vanished_by_itself_is_still_found(take: Run, write: Run, read: Run) -> None:
    """Pruning excuses what it took away itself, and nothing else."""
    take(make_batch(1, 99, 99))
    prune_all(write)
    write(lambda connection: connection.execute(telemetry.delete().where(telemetry.c.sequence == 2)))
    assert [(line.stored, line.pruned, line.missing) for line in read(audit)] == [(2, 1, 1)]


#: About 15 MB of young events, each both telemetry and an entry in the log.
MANY = 16_000


def fill(write: Run) -> None:
    for first in range(1, MANY, 1000):
        records = tuple(Event(sequence=number, at_ms=NOW + number, kind="x" * 200, text="x" * 200) for number in range(first, first + 1000))
        batch = Batch(epoch=A, first_held=1, made=first + 999, records=records)
        write(store_uploads, (), [("roof", batch)], 5)


def test_a_database_that_is_too_large_forgets_the_oldest(write: Run, read: Run) -> None:
    """As much as there is no room for, and all of it telemetry as long as there is any."""
    fill(write)
    steps = prune_all(write, SMALL, rows=500)
    assert all(step == Pruned(records=500, early=True) for step in steps)
    left = read(lambda connection: connection.execute(select(telemetry.c.sequence)).scalars().all())
    assert left == list(range(500 * len(steps) + 1, MANY + 1))
    assert 0 < len(left) < MANY
    assert 9_000_000 < read(look_at).used_bytes <= 10_000_000
    assert [(line.made, line.stored, line.missing) for line in read(audit)] == [(MANY, MANY, 0)]


def test_where_events_alone_are_too_large_the_oldest_go(write: Run, read: Run) -> None:
    """A log that runs over does not fill the disk either."""
    for _ in range(8):
        write(append_events, [LoggedEvent(at_ms=NOW, kind="x", subject="roof", text="x" * 1800)] * 1000)
    steps = prune_all(write, SMALL)
    assert set(steps) == {Pruned(events=1000, early=True)}
    assert 0 < len(read(list_events, limit=10_000)) < 8000


def test_the_file_becomes_smaller(tmp_path: Path) -> None:
    """What went is given back to the disk, a bounded number of pages at a time, and then there is no more to give."""
    with open_store(tmp_path / "store.db") as store:
        write = lambda work, *args: store.submit_write(work, *args).result()  # noqa: E731 - the fixture's, for a store that is closed here
        fill(write)
        write(prune, SMALL, NOW, MANY)
        large = write(lambda connection: connection.execute(text("PRAGMA page_count")).scalar())
        assert write(shrink, 100) == 100
        while write(shrink):
            pass
        free, pages = write(lambda connection: [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("freelist_count", "page_count")])
    assert (free, pages < 0.7 * large) == (0, True)
    assert (tmp_path / "store.db").stat().st_size == 4096 * pages


def test_two_processes_that_prune_at_once_take_nothing_twice(store: Store, take: Run, read: Run) -> None:
    """Each record is counted once, whoever took it away."""
    for first in range(1, 401, 100):
        take(make_batch(*[1] * 100, first=first))

    def work(_: int) -> int:
        with open_store(store.path) as mine:
            return sum(step.records for step in prune_all(lambda *args: mine.submit_write(*args).result(30), rows=7))

    with ThreadPoolExecutor(2) as pool:
        taken = list(pool.map(work, range(2)))
    assert sum(taken) == 400
    assert [(line.stored, line.pruned, line.missing) for line in read(audit)] == [(400, 400, 0)]


@st.composite
def batches(draw: st.DrawFn) -> tuple[str, Batch]:
    """Part of a stream of a few numbers of any age, with losses, as often and in whatever order."""
    made = draw(st.integers(1, 8))
    first_held = draw(st.integers(1, made))
    numbers = draw(st.sets(st.integers(first_held, made)))
    kinds = [draw(st.sampled_from([*range(5, 10), None])) for _ in numbers]
    records = tuple(
        Lost(sequence=number, first=number) if day is None else make_interval(number, day * DAY_MS)
        for number, day in zip(sorted(numbers), kinds, strict=True)
    )
    return draw(st.sampled_from(["roof", "cellar"])), Batch(epoch=draw(st.sampled_from([A, B])), first_held=first_held, made=made, records=records)


@given(st.lists(batches() | st.integers(5, 12), max_size=12))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_audit_never_changes_its_verdict_by_pruning(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Batch] | int]) -> None:
    """Whatever comes between, pruned at whatever days, every line says what books say of which nothing was ever forgotten."""
    books: dict[tuple[str, str], Book] = {}
    with open_store(tmp_path_factory.mktemp("store") / "store.db") as store:
        for step in steps:
            if isinstance(step, int):
                prune_all(lambda *args: store.submit_write(*args).result(), now_ms=step * DAY_MS, rows=2)
            else:
                device, batch = step
                books[device, batch.epoch], _ = book_batch(books.get((device, batch.epoch), Book()), batch)
                store.submit_write(store_uploads, (), [step], 5).result()
            lines: list[AuditLine] = store.submit_read(audit).result()
            told = {(line.device, line.epoch): (line.made, line.stored, line.lost) for line in lines}
            assert told == {key: (book.made, book.stored, book.lost) for key, book in books.items()}
            assert sum(line.stored - line.pruned for line in lines) == len(store.submit_read(list_days).result())
