"""Collecting: a few milliseconds' worth, in order, and never too much at once."""

import asyncio
from collections.abc import Awaitable

import pytest

from edgekit.fleet.collecting import MOST_MESSAGES, MOST_RECORDS, Arrival, Collector, settle
from edgekit.telemetry import Batch, Event

EMPTY = Batch(epoch="a" * 16, first_held=1, made=0)
FULL = Batch(epoch="a" * 16, first_held=1, made=1000, records=tuple(Event(sequence=n, at_ms=0, kind="x") for n in range(1, 1001)))


async def begin(collector: Collector, count: int, batch: Batch = EMPTY) -> list["asyncio.Task[bool]"]:
    adding = [asyncio.ensure_future(collector.add(0, (f"device-{number}", batch))) for number in range(count)]
    await asyncio.sleep(0)
    return adding


def list_names(arrivals: list[Arrival]) -> list[str]:
    return [arrival.upload[0] for arrival in arrivals]


def run(work: Awaitable[None]) -> None:
    async def within() -> None:
        await asyncio.wait_for(work, 10)

    asyncio.run(within())


def test_what_came_together_is_taken_together_and_in_order() -> None:
    """And each sender learns what became of its own."""

    async def work() -> None:
        collector = Collector()
        adding = await begin(collector, 3)
        arrivals = await collector.take()
        assert list_names(arrivals) == ["device-0", "device-1", "device-2"]
        settle(arrivals[:2], taken=True)
        settle(arrivals, taken=False)
        assert await asyncio.gather(*adding) == [True, True, False]

    run(work())


@pytest.mark.parametrize(("count", "batch", "most"), [(MOST_MESSAGES + 5, EMPTY, MOST_MESSAGES), (30, FULL, MOST_RECORDS // 1001 + 1)])
def test_a_commit_has_a_bound(count: int, batch: Batch, most: int) -> None:
    """On messages and on records; what is left is taken the next time, without waiting for more."""

    async def work() -> None:
        collector = Collector()
        adding = await begin(collector, count, batch)
        first, second = await collector.take(), await collector.take()
        assert (len(first), len(second)) == (most, count - most)
        settle(first + second, taken=True)
        await asyncio.gather(*adding)

    run(work())


def test_taking_waits_for_the_first() -> None:
    """Nothing is committed while nothing came."""

    async def work() -> None:
        collector = Collector()
        taking = asyncio.ensure_future(collector.take())
        done, _ = await asyncio.wait({taking}, timeout=0.05)
        assert not done
        adding = await begin(collector, 1)
        settle(await taking, taken=True)
        await asyncio.gather(*adding)

    run(work())


def test_draining_leaves_nothing() -> None:
    """At the end everything that waits is given up at once."""

    async def work() -> None:
        collector = Collector()
        adding = await begin(collector, 3)
        settle(collector.drain(), taken=False)
        assert await asyncio.gather(*adding) == [False] * 3
        assert collector.drain() == []

    run(work())
