"""The pruner: forgets now and then what the retention allows, without being in the way of what devices send.

It needs no lease: each of its transactions is whole in itself, and takes nothing away that another has taken.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.engine import Connection

from edgekit.errors import DeviceError
from edgekit.fleet.retention import Retention
from edgekit.fleet.store.database import Store
from edgekit.fleet.store.pruning import Pruned, prune, shrink

log = logging.getLogger(__name__)

#: Until the first time, when devices that had waited for the server have been heard, and between two times, in seconds.
FIRST_S, EVERY_S = 60.0, 600.0

P = ParamSpec("P")
T = TypeVar("T")


class Pruner:
    """Keeps *store* within *retention*; *clock* gives unix milliseconds.

    *report* is called with a sentence, once, when the database is too large for the days that it should remember.
    """

    def __init__(
        self,
        store: Store,
        retention: Retention,
        report: Callable[[str], Awaitable[None]],
        clock: Callable[[], int],
        *,
        first_s: float = FIRST_S,
        every_s: float = EVERY_S,
    ) -> None:
        self._store, self._retention = store, retention
        self._report, self._clock = report, clock
        self._first_s, self._every_s = first_s, every_s
        self._has_told = False

    async def run(self) -> None:
        """Prune at once and then again and again; returns only by being cancelled."""
        await asyncio.sleep(self._first_s)
        while True:
            try:
                await self.prune()
            except DeviceError as error:
                log.warning("nothing can be removed from the store just now: %s", error)
            await asyncio.sleep(self._every_s)

    async def prune(self) -> Pruned:
        """Take away all that may go now, and make the file smaller by it; how much went.

        Raises:
            DeviceError: the database cannot be written.
        """
        gone = Pruned()
        while step := await self._work(prune, self._retention, self._clock()):
            gone = Pruned(gone.records + step.records, gone.events + step.events, gone.early or step.early)
        while await self._work(shrink):
            pass
        await self._tell(gone)
        return gone

    async def _work(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """One transaction, and then a rest as long as it took, so that at least half of the time is for others."""
        began = time.monotonic()
        done = await self._store.write(work, *args, **kwargs)
        await asyncio.sleep(time.monotonic() - began)
        return done

    async def _tell(self, gone: Pruned) -> None:
        if gone.records or gone.events:
            log.info("%d telemetry records and %d events are past retention and were removed", gone.records, gone.events)
        if gone.early and not self._has_told:
            self._has_told = True
            await self._report(
                f"the database has reached store.max_gb = {self._retention.max_gb:g}, so the oldest telemetry goes before its "
                f"{self._retention.telemetry_days} days are over. Raise max_gb in fleet.toml, or let devices report less often"
            )
