"""The coordinator: drives every open rollout, and tells each device what it should have until the device has said that it knows.

Everything that it knows lies in the store, and what it does follows from that alone: it may be killed at any point, and the
next one goes on. One works at a time, by lease; what it writes is fenced, so that one which has slept through its lease writes
nothing.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence

from msgspec.structs import replace
from securesystemslib.signer import Signer
from sqlalchemy.engine import Connection

from edgekit.errors import DeviceError, TransferError
from edgekit.fleet.directing import LIFETIME_MS, carry_out, sign_directives
from edgekit.fleet.store.database import Store
from edgekit.fleet.store.devices import find_online
from edgekit.fleet.store.directives import Directive, list_due_directives, list_outdated, mark_sent
from edgekit.fleet.store.leases import Lease, LeaseLost, acquire_lease, check_lease, release_lease, renew_lease
from edgekit.fleet.store.rollouts import find_rollout, list_rollouts, list_standings
from edgekit.rollout import Decision, next_decision
from edgekit.topics import SHARDS, name_down
from edgekit.transports.base import Publisher

log = logging.getLogger(__name__)

LEASE = "coordinator"
LEASE_MS = 10_000
#: Between two looks at the store when nobody has woken it, and after something was in the way, in seconds.
TICK_S, TROUBLE_S = 0.5, 1.0
#: A directive is repeated after 2 s, 4 s, …, at most a minute; to a device that is offline, for which the broker keeps it, hourly.
FIRST_MS, LONGEST_MS, OFFLINE_MS = 2_000, 60_000, 3_600_000
_BATCH = 500
#: How many devices one transaction gives a release to, at less than a millisecond each: what devices send waits meanwhile.
_AT_ONCE = 200
_OPEN_AT_MOST = 10_000


class Coordinator:
    """Works on *store* as *owner*, signs with *signer*, and sends through *publisher* to the fleet's *shards*.

    *clock* gives unix milliseconds, and may jump.
    """

    def __init__(self, store: Store, publisher: Publisher, signer: Signer, clock: Callable[[], int], owner: str, *, shards: int = SHARDS) -> None:
        self._store = store
        self._publisher = publisher
        self._signer = signer
        self._owner = owner
        self._shards = shards
        self._clock = clock
        self._woken = asyncio.Event()
        self._is_broker_away = False

    def wake(self) -> None:
        """Something has changed: look at once. To be called on the event loop."""
        self._woken.set()

    async def run(self) -> None:
        """Work whenever nobody else does; returns only by being cancelled, and gives the lease back then."""
        while True:
            try:
                lease = await self._store.write(acquire_lease, LEASE, self._owner, self._clock(), LEASE_MS)
                if lease is not None:
                    await self._work(lease)
            except LeaseLost as lost:
                log.warning("%s", lost)
            except DeviceError as error:
                log.error("the coordinator cannot work just now: %s", error)  # noqa: TRY400 - the operator must act, and the code is not at fault
            await asyncio.sleep(TROUBLE_S)

    async def _work(self, lease: Lease) -> None:
        """Work under *lease* until it is lost."""
        try:
            while True:
                began = time.monotonic()
                self._woken.clear()
                lease = await self._keep(lease)
                while await self.step(lease):
                    lease = await self._keep(lease)
                await self._rest(time.monotonic() - began)
        finally:
            await self._store.write(release_lease, lease)

    async def _keep(self, lease: Lease) -> Lease:
        if LEASE_MS // 2 < lease.expires_ms - self._clock() <= LEASE_MS:
            return lease
        return await self._store.write(renew_lease, lease, self._clock(), LEASE_MS)

    async def _rest(self, worked_s: float) -> None:
        """Wait until woken, but never be at work for more than half of the time, however often devices report."""
        await asyncio.sleep(min(worked_s, TICK_S))
        with contextlib.suppress(asyncio.TimeoutError):  # nobody has woken it, and it looks all the same
            await asyncio.wait_for(self._woken.wait(), max(TICK_S, 4 * worked_s))

    async def step(self, lease: Lease) -> bool:
        """Decide, sign and send what is due now; whether there is more of it.

        Raises:
            LeaseLost: another is at work by now.
            DeviceError: the database cannot be read or written.
        """
        # Each is done, whatever the others leave over.
        return any([await self._decide(lease), await self._renew(lease), await self._send(lease)])

    async def _decide(self, lease: Lease) -> bool:
        more = False
        for rollout in await self._store.read(list_rollouts, only_open=True, limit=_OPEN_AT_MOST):
            # Looked at first without the lock for writing, since mostly there is nothing to do.
            if await self._store.read(_find_decision, rollout.id, self._clock()) is not None:
                more |= await self._store.write(_apply_next, lease, rollout.id, self._signer, self._clock())
        return more

    async def _renew(self, lease: Lease) -> bool:
        outdated = await self._store.read(list_outdated, self._clock() + LIFETIME_MS // 2, _BATCH)
        if outdated:
            await self._store.write(_sign_again, lease, outdated, self._signer, self._clock())
        return len(outdated) == _BATCH

    async def _send(self, lease: Lease) -> bool:
        due = await self._store.read(list_due_directives, self._clock(), _BATCH)
        sent = await self._publish(due)
        if sent:
            await self._store.write(_mark_all_sent, lease, sent, self._clock())
        return len(sent) == _BATCH

    async def _publish(self, due: Sequence[Directive]) -> list[Directive]:
        """Those of *due* that the broker has taken."""
        for index, directive in enumerate(due):
            try:
                await self._publisher.publish(name_down(directive.device, "deployment", self._shards), directive.message)
            except TransferError as error:
                self._note_broker(error)
                return list(due[:index])
            self._note_broker(None)
        return list(due)

    def _note_broker(self, error: TransferError | None) -> None:
        if error is not None and not self._is_broker_away:
            log.warning("devices cannot be told what they should have: %s", error)
        self._is_broker_away = error is not None


def _find_decision(connection: Connection, rollout_id: str, now_ms: int) -> Decision | None:
    """What follows for a rollout; None where nothing is to be done or to be written down."""
    rollout = find_rollout(connection, rollout_id)
    decision = next_decision(rollout, list_standings(connection, rollout), now_ms)
    return None if decision == Decision(rollout=rollout) else decision


def _apply_next(connection: Connection, lease: Lease, rollout_id: str, signer: Signer, now_ms: int) -> bool:
    """Decide again, now that nobody else can write, and carry it out; whether more devices are due than one transaction may hold up."""
    check_lease(connection, lease)
    decision = _find_decision(connection, rollout_id, now_ms)
    if decision is None:
        return False
    carry_out(connection, replace(decision, assign=decision.assign[:_AT_ONCE]), signer, now_ms)
    return len(decision.assign) > _AT_ONCE


def _sign_again(connection: Connection, lease: Lease, devices: Sequence[str], signer: Signer, now_ms: int) -> None:
    check_lease(connection, lease)
    sign_directives(connection, devices, signer, now_ms)


def _mark_all_sent(connection: Connection, lease: Lease, sent: Sequence[Directive], now_ms: int) -> None:
    check_lease(connection, lease)
    online = find_online(connection, (directive.device for directive in sent))
    for directive in sent:
        pause = find_pause(directive.attempts, is_online=directive.device in online)
        mark_sent(connection, directive.device, directive.counter, now_ms, now_ms + pause)


def find_pause(attempts: int, *, is_online: bool) -> int:
    """How long to wait for an answer to a directive that had been sent *attempts* times before, in milliseconds."""
    return min(FIRST_MS << min(attempts, 16), LONGEST_MS) if is_online else OFFLINE_MS
