"""What came in and waits for the next commit: a few milliseconds' worth, so that one commit serves many messages."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from edgekit.fleet.store.uploads import Upload
from edgekit.telemetry import Batch

#: How long the first message waits for others, in seconds.
WAIT_SECONDS = 0.005
#: The most messages, and the most records, of one commit.
MOST_MESSAGES = 1_000
MOST_RECORDS = 20_000


class Arrival(NamedTuple):
    """One message of *shard*; *taken* becomes True once it is committed, and False where it must come again."""

    shard: int
    upload: Upload
    taken: "asyncio.Future[bool]"

    @property
    def weight(self) -> int:
        """How many records it brings, and one for itself."""
        body = self.upload[1]
        return 1 + (len(body.records) if isinstance(body, Batch) else 0)


class Collector:
    """Arrivals in their order."""

    def __init__(self) -> None:
        self._waiting: deque[Arrival] = deque()
        self._arrived = asyncio.Event()

    async def add(self, shard: int, upload: Upload) -> bool:
        """Wait until *upload* is committed, and say whether it was."""
        arrival = Arrival(shard, upload, asyncio.get_running_loop().create_future())
        self._waiting.append(arrival)
        self._arrived.set()
        return await arrival.taken

    async def take(self) -> list[Arrival]:
        """What is to be committed next, at least one arrival; the others stay."""
        await self._arrived.wait()
        if len(self._waiting) < MOST_MESSAGES:
            await asyncio.sleep(WAIT_SECONDS)
        taken: list[Arrival] = []
        weight = 0
        while self._waiting and len(taken) < MOST_MESSAGES and weight < MOST_RECORDS:
            taken.append(self._waiting.popleft())
            weight += taken[-1].weight
        if not self._waiting:
            self._arrived.clear()
        return taken

    def drain(self) -> list[Arrival]:
        """Everything that waits, for nothing more will be committed."""
        taken = list(self._waiting)
        self._waiting.clear()
        self._arrived.clear()
        return taken


def settle(arrivals: Sequence[Arrival], *, taken: bool) -> None:
    """Say what became of *arrivals*; those whose connection has ended meanwhile wait for nothing."""
    for arrival in arrivals:
        if not arrival.taken.done():
            arrival.taken.set_result(taken)
