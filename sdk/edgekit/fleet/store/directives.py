"""Directives: the newest signed desired state of each device, kept until the device has said that it knows it."""

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.sql import Select

from edgekit.fleet.store.dialects import upsert
from edgekit.fleet.store.tables import directives, statuses
from edgekit.records import Name, Record


class Directive(Record, frozen=True, kw_only=True):
    """One signed *message* for *device*. It was last sent at *sent_ms* (None: never), *attempts* times in all."""

    device: Name
    counter: int
    message: bytes
    issued_ms: int
    expires_ms: int
    sent_ms: int | None = None
    attempts: int = 0


_COLUMNS = [directives.c[name] for name in Directive.__struct_fields__]


def save_directive(connection: Connection, directive: Directive, due_ms: int) -> None:
    """Put *directive* in the place of the device's older one; it is to be sent at *due_ms*."""
    row = {name: getattr(directive, name) for name in directive.__struct_fields__}
    upsert(connection, directives, [{**row, "due_ms": due_ms}])


def read_directive(connection: Connection, device: str) -> Directive | None:
    """The newest directive of *device*; None where there never was one."""
    row = connection.execute(select(*_COLUMNS).where(directives.c.device == device)).mappings().one_or_none()
    return None if row is None else Directive(**row)


def list_due_directives(connection: Connection, now_ms: int, limit: int = 500) -> list[Directive]:
    """The directives that are due at *now_ms* and that their devices do not know yet, the longest due first.

    One that was sent in what is now the future is due too: the clock was set back since, and it would wait for that long.
    """
    due = or_(directives.c.due_ms <= now_ms, directives.c.sent_ms.is_(None), directives.c.sent_ms > now_ms)
    query = _unknown().where(due).order_by(directives.c.due_ms).limit(limit)
    return [Directive(**row) for row in connection.execute(query).mappings()]


def list_outdated(connection: Connection, before_ms: int, limit: int = 500) -> list[str]:
    """The devices whose directive must be signed anew: they do not know it and it expires before *before_ms*, or they know a newer.

    A device can know a newer one than its server when that was restored from an older copy of its database.
    """
    aging = and_(or_(statuses.c.counter.is_(None), statuses.c.counter < directives.c.counter), directives.c.expires_ms < before_ms)
    query = select(directives.c.device).outerjoin(statuses, statuses.c.device == directives.c.device)
    query = query.where(or_(aging, statuses.c.counter > directives.c.counter)).order_by(directives.c.expires_ms).limit(limit)
    return list(connection.execute(query).scalars())


def _unknown() -> "Select[tuple[object, ...]]":
    behind = or_(statuses.c.counter.is_(None), statuses.c.counter < directives.c.counter)
    return select(*_COLUMNS).outerjoin(statuses, statuses.c.device == directives.c.device).where(behind)


def mark_sent(connection: Connection, device: str, counter: int, now_ms: int, due_ms: int) -> None:
    """Note that the directive *counter* was sent at *now_ms*, and is to be sent again at *due_ms*; a newer one stays as it is."""
    this = and_(directives.c.device == device, directives.c.counter == counter)
    connection.execute(update(directives).where(this).values(sent_ms=now_ms, attempts=directives.c.attempts + 1, due_ms=due_ms))


def hasten_directive(connection: Connection, device: str, counter: int, now_ms: int, patience_ms: int = 0) -> None:
    """Send the directive of *device* by *now_ms* + *patience_ms*, since the device has said that it knows none newer than *counter*."""
    due_ms = now_ms + patience_ms
    newer = and_(directives.c.device == device, directives.c.counter > counter, directives.c.due_ms > due_ms)
    connection.execute(update(directives).where(newer).values(due_ms=due_ms, attempts=0 if patience_ms == 0 else directives.c.attempts))


def find_counter(connection: Connection, device: str) -> int:
    """The highest counter of *device* that is known here: that of its directive, or the one that it reported; 0 without any."""
    given = connection.execute(select(func.max(directives.c.counter)).where(directives.c.device == device)).scalar()
    reported = connection.execute(select(func.max(statuses.c.counter)).where(statuses.c.device == device)).scalar()
    return max(given or 0, reported or 0)
