"""Leases: who may work on what, until when. The fence tells a holder from the one before it, whatever their clocks say.

A lease is taken for a time, so that a dead holder's work goes on. Time alone protects nothing, since a holder may sleep
through its end: so every write of a holder is in one transaction with `check_lease`.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import delete, func, select, update
from sqlalchemy.engine import Connection

from edgekit.errors import EdgekitError
from edgekit.fleet.store.dialects import upsert
from edgekit.fleet.store.tables import leases

#: Before the owner's name, the name of the row that says that a worker lives.
_WORKER = "worker-"


class Lease(NamedTuple):
    """*owner* may work on *name* until *expires_ms*, as the holder number *fence*."""

    name: str
    owner: str
    fence: int
    expires_ms: int


class LeaseLost(EdgekitError):
    """Another worker holds the lease by now, and nothing was written."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        super().__init__(f"lease {lease.name!r}", f"{lease.owner} (fence {lease.fence}) no longer holds it", "Its new holder goes on with the work.")


def acquire_lease(connection: Connection, name: str, owner: str, now_ms: int, ttl_ms: int) -> Lease | None:
    """The lease *name* for *owner*, for *ttl_ms* from *now_ms*; None while another holds it.

    An owner that holds it already gets a new fence: it does so after it has lost track of what it had begun.
    """
    row = connection.execute(select(leases).where(leases.c.name == name).with_for_update()).one_or_none()
    # One that would last longer than it can was taken before the clock was set back: its holder's fence protects what it does.
    if row is not None and row.owner != owner and now_ms < row.expires_ms <= now_ms + ttl_ms:
        return None
    lease = Lease(name, owner, row.fence + 1 if row is not None else 1, now_ms + ttl_ms)
    upsert(connection, leases, [lease._asdict()])
    return lease


def renew_lease(connection: Connection, lease: Lease, now_ms: int, ttl_ms: int) -> Lease:
    """The same lease, for *ttl_ms* from *now_ms*; LeaseLost where another took it."""
    check_lease(connection, lease)
    renewed = lease._replace(expires_ms=now_ms + ttl_ms)
    connection.execute(update(leases).where(leases.c.name == lease.name).values(expires_ms=renewed.expires_ms))
    return renewed


def release_lease(connection: Connection, lease: Lease) -> None:
    """Give it back, so that nobody waits for its end. Where another took it, that one keeps it.

    The row stays with its fence, which must never be given out twice.
    """
    mine = (leases.c.name == lease.name, leases.c.owner == lease.owner, leases.c.fence == lease.fence)
    connection.execute(update(leases).where(*mine).values(expires_ms=0, owner=""))


def check_lease(connection: Connection, lease: Lease) -> None:
    """LeaseLost unless it is still held; within the transaction of what it protects, nobody else can take it meanwhile."""
    row = connection.execute(select(leases.c.owner, leases.c.fence).where(leases.c.name == lease.name).with_for_update(read=True)).one_or_none()
    if row is None or (row.owner, row.fence) != (lease.owner, lease.fence):
        raise LeaseLost(lease)


def list_leases(connection: Connection) -> list[Lease]:
    """Every lease that was ever taken, by name."""
    return [Lease(*row) for row in connection.execute(select(leases).order_by(leases.c.name))]


class Share(NamedTuple):
    """What a worker holds of some leases: those that it may work with, and those to be given back since others have too few."""

    held: list[Lease]
    surplus: list[Lease]


def hold_share(connection: Connection, names: Sequence[str], held: Sequence[Lease], owner: str, times: tuple[int, int]) -> Share:
    """Say that *owner* lives, renew what it holds of *names*, and take free ones, up to its fair share among all that live.

    *times* is now and how long a lease is held, in milliseconds. What another took meanwhile is not in the answer.
    """
    now_ms, ttl_ms = times
    fair = math.ceil(len(names) / _count_living(connection, owner, now_ms, ttl_ms))
    known = {row.name: Lease(*row) for row in connection.execute(select(leases).where(leases.c.name.in_(names)).with_for_update())}
    mine = [lease for lease in held if lease.name in known and known[lease.name][:3] == lease[:3]]
    free = [name for name in names if name not in known or not now_ms < known[name].expires_ms <= now_ms + ttl_ms]
    wanted = [name for name in free if name not in {lease.name for lease in mine}][: max(0, fair - len(mine))]
    taken = [Lease(name, owner, known[name].fence + 1 if name in known else 1, 0) for name in wanted]
    renewed = [lease._replace(expires_ms=now_ms + ttl_ms) for lease in [*mine, *taken]]
    upsert(connection, leases, [lease._asdict() for lease in renewed])
    return Share(renewed[:fair], renewed[fair:])


def _count_living(connection: Connection, owner: str, now_ms: int, ttl_ms: int) -> int:
    """How many workers live, this one included. Each has a row of its own, which goes when it has been dead for a while."""
    dead = (leases.c.name.startswith(_WORKER, autoescape=True), leases.c.expires_ms < now_ms - 10 * ttl_ms)
    connection.execute(delete(leases).where(*dead))
    upsert(connection, leases, [Lease(_WORKER + owner, owner, 1, now_ms + ttl_ms)._asdict()])
    living = (leases.c.name.startswith(_WORKER, autoescape=True), leases.c.expires_ms.between(now_ms + 1, now_ms + ttl_ms))
    return connection.execute(select(func.count()).where(*living)).scalar_one()


def leave(connection: Connection, held: Iterable[Lease], owner: str) -> None:
    """Give everything back at the end: nobody waits for it, and the others' shares grow at once."""
    for lease in held:
        release_lease(connection, lease)
    connection.execute(delete(leases).where(leases.c.name == _WORKER + owner))


def end_leases(connection: Connection) -> None:
    """End every lease at once, for a server that knows otherwise that it is alone: nobody waits for those of one that was killed.

    Fences stay, so a holder that does live after all writes nothing more.
    """
    connection.execute(delete(leases).where(leases.c.name.startswith(_WORKER, autoescape=True)))
    connection.execute(update(leases).values(expires_ms=0, owner=""))
