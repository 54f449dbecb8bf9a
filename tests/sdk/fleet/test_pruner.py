"""The pruner at work beside others, on the real store."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from edgekit.fleet.pruner import Pruner
from edgekit.fleet.retention import DAY_MS, Retention
from edgekit.fleet.store.auditing import audit
from edgekit.fleet.store.database import Store
from edgekit.fleet.store.events import LoggedEvent, append_event, append_events
from edgekit.fleet.store.pruning import Pruned
from edgekit.fleet.store.uploads import store_uploads
from edgekit.telemetry import Batch, Event

NOW = 1000 * DAY_MS
EPOCH = "a" * 16


class Told:
    """What was reported."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    async def __call__(self, sentence: str) -> None:
        self.sentences.append(sentence)


def make_pruner(store: Any, retention: Retention | None = None, told: Told | None = None, **times: float) -> Pruner:
    return Pruner(store, retention or Retention(), told or Told(), lambda: NOW, **times)


def make_batch(first: int, last: int, at_ms: int) -> Batch:
    records = tuple(Event(sequence=number, at_ms=at_ms, kind="x", text="x" * 200) for number in range(first, last + 1))
    return Batch(epoch=EPOCH, first_held=1, made=last, records=records)


def fill(store: Store, records: int, at_ms: int) -> None:
    for first in range(1, records + 1, 1000):
        batch = make_batch(first, min(first + 999, records), at_ms)
        store.submit_write(store_uploads, (), [("roof", batch)], 5).result()


async def until(is_so: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def count_pruned(store: Store) -> int:
    return sum(line.pruned for line in store.submit_read(audit).result())


def test_it_takes_all_that_may_go(store: Store) -> None:
    """In as many transactions as it needs, and says how much that was."""
    fill(store, 2500, 0)
    assert asyncio.run(make_pruner(store).prune()) == Pruned(records=2500, events=2500)
    assert count_pruned(store) == 2500
    assert asyncio.run(make_pruner(store).prune()) == Pruned()


def test_it_prunes_after_its_first_pause_and_then_again_and_again(store: Store) -> None:
    """What becomes old while it runs goes too."""

    async def run() -> None:
        fill(store, 10, 0)
        task = asyncio.create_task(make_pruner(store, first_s=0.01, every_s=0.01).run())
        await until(lambda: count_pruned(store) == 10)
        await store.write(store_uploads, (), [("roof", make_batch(1, 20, 0))], 5)
        await until(lambda: count_pruned(store) == 20)
        await cancel(task)

    asyncio.run(run())


def test_others_write_between_its_transactions(store: Store) -> None:
    """What was asked for while it prunes is done before it has ended."""
    fill(store, 5000, 0)

    async def run() -> list[str]:
        done: list[str] = []
        task = asyncio.create_task(make_pruner(store).prune())
        task.add_done_callback(lambda _: done.append("pruned"))
        await until(lambda: count_pruned(store) > 0)
        for _ in range(3):
            await store.write(append_event, "x", "server", "written between", NOW)
            done.append("wrote")
        await task
        await asyncio.sleep(0)
        return done

    assert asyncio.run(run()) == ["wrote", "wrote", "wrote", "pruned"]


def test_too_large_a_database_is_said_once(store: Store) -> None:
    """That telemetry goes before its time is the operator's business, with the setting that decides it; every ten minutes is too often."""
    told, retention = Told(), Retention(max_gb=0.01)
    pruner = make_pruner(store, retention, told)
    for _ in range(2):
        store.submit_write(append_events, [LoggedEvent(at_ms=NOW, kind="x", subject="roof", text="x" * 1900)] * 6000).result()
        assert asyncio.run(pruner.prune()).early
    (sentence,) = told.sentences
    assert "store.max_gb = 0.01" in sentence
    assert "Raise max_gb in fleet.toml" in sentence


def test_a_database_that_another_keeps_is_tried_again(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Trouble with the database is logged and ends nothing: the next time it prunes."""
    fill(store, 10, 0)
    store.submit_write(lambda connection: connection.execute(text("PRAGMA busy_timeout = 50"))).result()

    async def run() -> None:
        with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            task = asyncio.create_task(make_pruner(store, first_s=0, every_s=0.01).run())
            await until(lambda: "nothing can be removed from the store just now" in caplog.text)
        await until(lambda: count_pruned(store) == 10)
        await cancel(task)

    asyncio.run(run())
    assert "locked" in caplog.text
