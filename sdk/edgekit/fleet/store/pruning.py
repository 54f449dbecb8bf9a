"""Forgetting what the retention allows: a small transaction at a time, with the books kept.

What goes is counted in its epoch, in the transaction in which it goes, so that the audit comes to the same verdict before and
after. The epochs themselves stay for ever, at about a hundred bytes for each start of an agent: an epoch's book alone knows
that a batch which is sent again, out of a restored outbox or by a broker, was stored before. Each transaction looks and
decides anew, so two processes that prune at once take nothing twice.
"""

from collections import Counter
from typing import NamedTuple

from sqlalchemy import bindparam, delete, func, select, tuple_, update
from sqlalchemy.engine import Connection

from edgekit.fleet.retention import Cut, Held, Kind, Retention, find_cut
from edgekit.fleet.store.dialects import count_used_bytes, give_back_pages
from edgekit.fleet.store.tables import epochs, events, telemetry

#: Rows that one transaction takes away, and pages that it gives back: a few hundredths of a second, for which ingest waits.
ROWS = 1000
PAGES = 1000


class Pruned(NamedTuple):
    """How many telemetry records and events went, and whether *early*: before their time, since there was no room for them."""

    records: int = 0
    events: int = 0
    early: bool = False


def prune(connection: Connection, retention: Retention, now_ms: int, rows: int = ROWS) -> Pruned | None:
    """Take away the oldest of what may go, at most *rows*; None where all may stay."""
    cut = find_cut(retention, look_at(connection), now_ms)
    if cut is None:
        return None
    early = cut.before_ms is None
    if cut.kind is Kind.TELEMETRY:
        return Pruned(records=_prune_telemetry(connection, cut, rows), early=early)
    return Pruned(events=_prune_events(connection, cut, rows), early=early)


def look_at(connection: Connection) -> Held:
    """What the store holds now; each of the three figures is found without reading the tables."""
    oldest_record, oldest_event = select(func.min(telemetry.c.start_ms)), select(func.min(events.c.at_ms))
    return Held(count_used_bytes(connection), connection.execute(oldest_record).scalar(), connection.execute(oldest_event).scalar())


def _prune_telemetry(connection: Connection, cut: Cut, rows: int) -> int:
    key = (telemetry.c.device, telemetry.c.epoch, telemetry.c.sequence)
    oldest = select(*key).order_by(telemetry.c.start_ms).limit(rows)
    if cut.before_ms is not None:
        oldest = oldest.where(telemetry.c.start_ms < cut.before_ms)
    # What the database says that it has deleted is counted, and nothing that another has deleted meanwhile.
    gone = connection.execute(delete(telemetry).where(tuple_(*key).in_(oldest)).returning(telemetry.c.device, telemetry.c.epoch)).all()
    counts = Counter((row.device, row.epoch) for row in gone)
    stream = (epochs.c.device == bindparam("of_device"), epochs.c.epoch == bindparam("of_epoch"))
    book = update(epochs).where(*stream).values(pruned=epochs.c.pruned + bindparam("number"))
    if counts:
        connection.execute(book, [{"of_device": device, "of_epoch": epoch, "number": number} for (device, epoch), number in counts.items()])
    return len(gone)


def _prune_events(connection: Connection, cut: Cut, rows: int) -> int:
    oldest = select(events.c.id).order_by(events.c.at_ms, events.c.id).limit(rows)
    if cut.before_ms is not None:
        oldest = oldest.where(events.c.at_ms < cut.before_ms)
    return connection.execute(delete(events).where(events.c.id.in_(oldest))).rowcount


def shrink(connection: Connection, pages: int = PAGES) -> int:
    """Give at most *pages* that nothing lies in back to the disk; how many that were, 0 when the file is as small as it can be."""
    return give_back_pages(connection, pages)
