"""Work beside the work."""

import asyncio

import pytest

from edgekit.fleet.background import wait_for_any, working


async def fail() -> None:
    raise OSError("the disk went away")


def test_work_that_fails_is_heard_of() -> None:
    """Work that ends by itself sets the event, and leaving the block raises what it raised."""

    async def go() -> None:
        ended = asyncio.Event()
        async with working(fail(), "failing", ended):
            await asyncio.wait_for(ended.wait(), 5)

    with pytest.raises(OSError, match="went away"):
        asyncio.run(go())


def test_work_ends_with_its_block() -> None:
    """Work that goes on for ever is cancelled when the block is left, and may clean up first."""
    steps: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("cleaned up")

    async def go() -> None:
        async with working(work(), "endless", asyncio.Event()):
            await asyncio.sleep(0)
            steps.append("left")

    asyncio.run(go())
    assert steps == ["left", "cleaned up"]


def test_a_failure_of_the_block_is_not_hidden_by_cancelling() -> None:
    """What the block itself raises comes out of it."""

    async def go() -> None:
        async with working(asyncio.Event().wait(), "endless", asyncio.Event()):  # type: ignore[arg-type]
            raise KeyError("of the block")

    with pytest.raises(KeyError, match="of the block"):
        asyncio.run(go())


def test_one_event_of_several_is_enough() -> None:
    """Waiting ends with the first that is set, whichever it is."""

    async def go() -> None:
        first, second = asyncio.Event(), asyncio.Event()
        asyncio.get_running_loop().call_later(0.01, second.set)
        await asyncio.wait_for(wait_for_any(first, second), 5)
        assert not first.is_set()

    asyncio.run(go())
