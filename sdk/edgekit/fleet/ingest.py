"""Ingest: what devices send goes into the store, is acknowledged after the commit, and answered.

Workers in any number of processes share the shards by leases. Each shard has one persistent session at the broker: when a
worker dies, the next holder of the lease connects under the same client id, and the broker gives it what was not acknowledged.
A worker that lost its lease without knowing it commits nothing, since each commit looks at the leases in its own transaction.
"""

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Callable, Sequence

from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from edgekit.addresses import BrokerAddress
from edgekit.errors import DeviceError, WireError
from edgekit.fleet.collecting import Arrival, Collector, settle
from edgekit.fleet.complaints import Complaints
from edgekit.fleet.shards import ShardWorker
from edgekit.fleet.store.database import Store
from edgekit.fleet.store.events import append_events
from edgekit.fleet.store.leases import Lease, LeaseLost, hold_share, leave, release_lease
from edgekit.fleet.store.uploads import Receipt, store_uploads
from edgekit.records import Record
from edgekit.topics import SHARDS, find_shard, name_ingest

log = logging.getLogger(__name__)

#: How long a lease is held without being renewed: after this, another takes over the shards of a worker that died.
LEASE_MS = 10_000
#: What one message can do to a commit although it was read without a fault. The others must not suffer from it.
_FAULTS = (SQLAlchemyError, ArithmeticError, ValueError, TypeError)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


def read_clock() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


class IngestCounts(Record, frozen=True, kw_only=True):
    """What one ingest process has done since it began. *duplicates* are records that were stored before, *refused* messages of no use."""

    messages: int = 0
    commits: int = 0
    stored: int = 0
    duplicates: int = 0
    refused: int = 0


class Ingest:
    """Receives for as many shards as fall to this process, from *broker* into *store*.

    *on_reported* is called, on the event loop, with the devices whose status has just changed something.
    """

    def __init__(
        self,
        store: Store,
        broker: BrokerAddress,
        shards: int = SHARDS,
        on_reported: Callable[[frozenset[str]], None] | None = None,
        *,
        lease_ms: int = LEASE_MS,
        clock: Callable[[], int] = read_clock,
    ) -> None:
        self.owner = f"{os.uname().nodename[:24]}-{os.getpid()}-{secrets.token_hex(4)}"
        self.counts = IngestCounts()
        self._store, self._broker, self._shards = store, broker, shards
        self._on_reported = on_reported
        self._lease_ms, self._clock = lease_ms, clock
        self._leases: dict[int, Lease] = {}
        self._workers: dict[int, ShardWorker] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._collector = Collector()
        self._complaints = Complaints(clock)

    @property
    def shards_connected(self) -> list[int]:
        """The shards whose messages come in here now."""
        return sorted(shard for shard, worker in self._workers.items() if worker.is_connected)

    async def run(self) -> None:
        """Receive until cancelled; then disconnect, and give the leases back."""
        committing = asyncio.ensure_future(self._commit_forever())
        leasing = asyncio.ensure_future(self._hold_leases())
        try:
            await asyncio.gather(committing, leasing)
        finally:
            for task in (committing, leasing):
                task.cancel()
            await asyncio.gather(committing, leasing, return_exceptions=True)
            await self._stop()

    async def _stop(self) -> None:
        held = list(self._leases.values())
        await self._close(list(self._leases))
        settle(self._collector.drain(), taken=False)
        await self._store.write(leave, held, self.owner)

    async def _hold_leases(self) -> None:
        while True:
            try:
                await self._renew()
            except DeviceError as error:
                log.warning("the leases were not renewed: %s", error)
            for task in self._tasks.values():
                if task.done():
                    task.result()
            await asyncio.sleep(self._lease_ms / 4000)

    async def _renew(self) -> None:
        """Renew the leases, take and give back what a fair share asks for, and let the workers follow."""
        complaints = self._complaints.take()
        if complaints:
            await self._store.write(append_events, complaints)
        shards = {name_ingest(shard): shard for shard in range(self._shards)}
        times = (self._clock(), self._lease_ms)
        share = await self._store.write(hold_share, list(shards), list(self._leases.values()), self.owner, times)
        self._leases = {shards[lease.name]: lease for lease in share.held}
        await self._close([shard for shard in self._tasks if shard not in self._leases])
        await self._store.write(_release, share.surplus)
        for shard in self._leases.keys() - self._tasks.keys():
            self._start(shard)

    def _start(self, shard: int) -> None:
        worker = ShardWorker(self._broker, (shard, self._shards), self._collector.add, self._complaints.add, self._holds_lease)
        self._workers[shard] = worker
        self._tasks[shard] = asyncio.ensure_future(worker.run())

    async def _close(self, shards: Sequence[int]) -> None:
        tasks = [self._tasks.pop(shard) for shard in shards]
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for shard, how in zip(shards, ended, strict=True):
            del self._workers[shard]
            if isinstance(how, Exception):
                log.error("the worker of shard %d had failed", shard, exc_info=how)

    def _holds_lease(self, shard: int) -> bool:
        lease = self._leases.get(shard)
        return lease is not None and lease.expires_ms > self._clock()

    async def _commit_forever(self) -> None:
        while True:
            arrivals = await self._collector.take()
            try:
                await self._commit(arrivals)
            finally:
                settle(arrivals, taken=False)

    async def _commit(self, arrivals: Sequence[Arrival]) -> None:
        """Put *arrivals* into the store, trying for as long as it cannot be written; those of lost shards are left to others."""
        pause = _FIRST_PAUSE
        while live := [arrival for arrival in arrivals if arrival.shard in self._leases]:
            try:
                receipt = await self._write(live)
            except LeaseLost as lost:
                log.warning("%s", lost)
                self._leases = {shard: lease for shard, lease in self._leases.items() if lease.name != lost.lease.name}
            except DeviceError as error:
                log.warning("nothing can be stored just now, and nothing is acknowledged: %s", error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except _FAULTS as error:
                await self._commit_singly(live, error)
                return
            else:
                self._finish(live, receipt)
                return

    async def _write(self, arrivals: Sequence[Arrival]) -> Receipt:
        leases = [self._leases[shard] for shard in sorted({arrival.shard for arrival in arrivals})]
        return await self._store.write(store_uploads, leases, [arrival.upload for arrival in arrivals], self._clock())

    async def _commit_singly(self, arrivals: Sequence[Arrival], error: Exception) -> None:
        """Find the one that broke the commit: alone it is refused, for it would break each commit that it comes into."""
        if len(arrivals) > 1:
            for arrival in arrivals:
                await self._commit([arrival])
            return
        device = arrivals[0].upload[0]
        log.error("a message of %s cannot be stored, and is dropped", device, exc_info=error)
        self._complaints.add(device, WireError(f"message of {device}", f"it cannot be stored: {error}"))
        settle(arrivals, taken=True)

    def _finish(self, arrivals: Sequence[Arrival], receipt: Receipt) -> None:
        """Let everything be acknowledged, and answer the devices."""
        settle(arrivals, taken=True)
        for device, refusal in receipt.refused:
            self._complaints.add(device, refusal)
        for device, stored in receipt.answers:
            worker = self._workers.get(find_shard(device, self._shards))
            if worker is not None:
                worker.answer(device, stored)
        self._count(len(arrivals), receipt)
        if receipt.reported and self._on_reported is not None:
            self._on_reported(receipt.reported)

    def _count(self, messages: int, receipt: Receipt) -> None:
        before = self.counts
        self.counts = IngestCounts(
            messages=before.messages + messages,
            commits=before.commits + 1,
            stored=before.stored + receipt.stored,
            duplicates=before.duplicates + receipt.duplicates,
            refused=self._complaints.total,
        )


def _release(connection: Connection, surplus: Sequence[Lease]) -> None:
    for lease in surplus:
        release_lease(connection, lease)
