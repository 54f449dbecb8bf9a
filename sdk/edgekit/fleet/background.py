"""Work beside the work: begun when a block is entered, ended when it is left, and never failing in silence."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any


@contextlib.asynccontextmanager
async def working(work: Coroutine[Any, Any, None], name: str, ended: asyncio.Event) -> AsyncIterator[None]:
    """Run *work*, which ends by itself only when it fails, while the block runs, and cancel it then.

    When it ends by itself, *ended* is set, so that the block can be left; leaving it raises what the work raised.
    """
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(lambda _: ended.set())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        raise_failure(task)


def raise_failure(task: "asyncio.Task[None]") -> None:
    """Raise what ended *task*, which is done; nothing where it was cancelled or went well."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        raise error


async def wait_for_any(*events: asyncio.Event) -> None:
    """Wait until one of *events* is set."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
