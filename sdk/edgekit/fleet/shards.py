"""The worker of one shard: keeps its session connected while the lease is held, takes messages in, and sends the answers."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from edgekit.addresses import BrokerAddress
from edgekit.errors import TransferError, WireError
from edgekit.fleet.sessions import Session
from edgekit.fleet.store.uploads import Upload
from edgekit.fleet.uploading import read_upload
from edgekit.status import Stored
from edgekit.topics import filter_shard, name_down, name_ingest

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class ShardWorker:
    """Receives what the devices of *shard* send.

    *add* takes an upload in and says whether it was committed, *refuse* is told of what cannot be used, and *holds_lease* is
    asked before each connection.
    """

    def __init__(
        self,
        broker: BrokerAddress,
        shard: tuple[int, int],
        add: Callable[[int, Upload], Awaitable[bool]],
        refuse: Callable[[str, WireError], None],
        holds_lease: Callable[[int], bool],
    ) -> None:
        self.broker = broker
        self.shard, self.shards = shard
        self.is_connected = False
        self._add = add
        self._refuse = refuse
        self._holds_lease = holds_lease
        self._answers: dict[tuple[str, str], Stored] = {}
        self._answered = asyncio.Event()

    async def run(self) -> None:
        """Connect whenever there is no connection and the lease is held. Returns only when cancelled."""
        pause = _FIRST_PAUSE
        while True:
            if self._holds_lease(self.shard):
                pause = await self._serve(pause)
            # Sixteen workers that lost one broker do not all come back in the same moment.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (no secret)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _serve(self, pause: float) -> float:
        """One connection, from its beginning to its end; the pause before the next."""
        session = Session(self.broker, name_ingest(self.shard), (filter_shard(self.shard),), self._receive)
        try:
            async with session:
                self.is_connected = True
                await _first_of(session.wait_lost(), self._send_answers(session))
        except TransferError as error:
            log.warning("shard %d: %s", self.shard, error)
            return pause
        else:
            return _FIRST_PAUSE
        finally:
            self.is_connected = False

    async def _receive(self, topic: str, message: bytes) -> bool:
        try:
            upload = read_upload(topic, message, self.shard, self.shards)
        except WireError as error:
            # It would be as useless the next time, so it is acknowledged.
            self._refuse(_name_sender(topic), error)
            return True
        return await self._add(self.shard, upload)

    def answer(self, device: str, stored: Stored) -> None:
        """Tell *device* what is stored; of several answers about one stream only the newest is sent."""
        self._answers[device, stored.epoch] = stored
        self._answered.set()

    async def _send_answers(self, session: Session) -> None:
        while True:
            await self._answered.wait()
            self._answered.clear()
            while self._answers:
                key = next(iter(self._answers))
                stored = self._answers.pop(key)
                await session.publish(name_down(key[0], "stored", self.shards), stored.encode())


def _name_sender(topic: str) -> str:
    """What stands in the place of the device's id; the filter lets only topics of six levels in."""
    return topic.split("/")[3][:64]


async def _first_of(*works: Awaitable[None]) -> None:
    """Run all until one ends, with its error where it has one, and cancel the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
