"""What happened to the fleet, in the order in which the server learned of it. Rows are only appended."""

from sqlalchemy import insert, select
from sqlalchemy.engine import Connection

from edgekit.fleet.store.tables import events
from edgekit.records import Record


class LoggedEvent(Record, frozen=True, kw_only=True):
    """Something that happened at *at_ms* to *subject* (a device, a rollout, ``server``): its kind, and a sentence."""

    id: int = 0
    at_ms: int
    kind: str
    subject: str
    text: str = ""


def append_events(connection: Connection, logged: list[LoggedEvent]) -> None:
    """Write them down; their ids are given by the database."""
    if logged:
        rows = [{"at_ms": one.at_ms, "kind": one.kind[:64], "subject": one.subject[:200], "text": one.text[:2000]} for one in logged]
        connection.execute(insert(events), rows)


def append_event(connection: Connection, kind: str, subject: str, text: str, now_ms: int) -> None:
    """Write one down."""
    append_events(connection, [LoggedEvent(at_ms=now_ms, kind=kind, subject=subject, text=text)])


def list_events(connection: Connection, *, subject: str = "", kind: str = "", before_id: int | None = None, limit: int = 100) -> list[LoggedEvent]:
    """The newest *limit* events first; of one subject or kind where that is said, and older than *before_id* for the next page."""
    query = select(events).order_by(events.c.id.desc()).limit(limit)
    if subject:
        query = query.where(events.c.subject == subject)
    if kind:
        query = query.where(events.c.kind == kind)
    if before_id is not None:
        query = query.where(events.c.id < before_id)
    return [LoggedEvent(**row) for row in connection.execute(query).mappings()]
