"""Whether every record that was made is stored or known to be lost."""

from typing import Any

from sqlalchemy import Row, and_, func, select
from sqlalchemy.engine import Connection

from edgekit.fleet.store.tables import epochs, telemetry
from edgekit.records import Record


class AuditLine(Record, frozen=True, kw_only=True):
    """One epoch of one device: of *made* records, *stored* were stored, and *lost* are known to be lost.

    Of the stored, *pruned* are past retention and were removed; the others lie in the table, and were counted now. *missing* are neither
    stored nor lost: they are on their way, wait in the device's outbox, or nobody knows yet.
    """

    device: str
    epoch: str
    made: int
    stored: int
    lost: int
    pruned: int = 0

    @property
    def missing(self) -> int:
        """How many records' fate is open; zero once the stream has settled."""
        return self.made - self.stored - self.lost


def audit(connection: Connection, device: str = "") -> list[AuditLine]:
    """The books of every epoch, or of those of *device*, against the records that really lie in the table and those that were pruned."""
    rows = select(telemetry.c.device, telemetry.c.epoch, func.count().label("n")).group_by(telemetry.c.device, telemetry.c.epoch)
    counted = (rows.where(telemetry.c.device == device) if device else rows).subquery()
    same = and_(counted.c.device == epochs.c.device, counted.c.epoch == epochs.c.epoch)
    query = select(epochs, func.coalesce(counted.c.n, 0).label("n")).outerjoin(counted, same).order_by(epochs.c.device, epochs.c.first_seen_ms)
    if device:
        query = query.where(epochs.c.device == device)
    return [_draw_line(row) for row in connection.execute(query)]


def _draw_line(row: Row[Any]) -> AuditLine:
    return AuditLine(device=row.device, epoch=row.epoch, made=row.made, stored=row.n + row.pruned, lost=row.lost, pruned=row.pruned)
