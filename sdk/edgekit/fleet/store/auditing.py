"""Whether every record that was made is stored or known to be lost."""

from sqlalchemy import and_, func, select
from sqlalchemy.engine import Connection

from edgekit.fleet.store.tables import epochs, telemetry
from edgekit.records import Record


class AuditLine(Record, frozen=True, kw_only=True):
    """One epoch of one device: of *made* records, *stored* lie in the table (counted now), and *lost* are known to be lost.

    *missing* are neither: they are on their way, wait in the device's outbox, or nobody knows yet.
    """

    device: str
    epoch: str
    made: int
    stored: int
    lost: int

    @property
    def missing(self) -> int:
        """How many records' fate is open; zero once the stream has settled."""
        return self.made - self.stored - self.lost


def audit(connection: Connection, device: str = "") -> list[AuditLine]:
    """The books of every epoch, or of those of *device*, against the records that really lie in the table."""
    rows = select(telemetry.c.device, telemetry.c.epoch, func.count().label("n")).group_by(telemetry.c.device, telemetry.c.epoch)
    counted = (rows.where(telemetry.c.device == device) if device else rows).subquery()
    same = and_(counted.c.device == epochs.c.device, counted.c.epoch == epochs.c.epoch)
    query = select(epochs, func.coalesce(counted.c.n, 0).label("n")).outerjoin(counted, same).order_by(epochs.c.device, epochs.c.first_seen_ms)
    if device:
        query = query.where(epochs.c.device == device)
    return [AuditLine(device=row.device, epoch=row.epoch, made=row.made, stored=row.n, lost=row.lost) for row in connection.execute(query)]
