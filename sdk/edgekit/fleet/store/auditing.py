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
    counted = select(telemetry.c.device, telemetry.c.epoch, func.count().label("n")).group_by(telemetry.c.device, telemetry.c.epoch).subquery()
    same = and_(counted.c.device == epochs.c.device, counted.c.epoch == epochs.c.epoch)
    query = select(epochs, func.coalesce(counted.c.n, 0).label("n")).outerjoin(counted, same).order_by(epochs.c.device, epochs.c.first_seen_ms)
    if device:
        query = query.where(epochs.c.device == device)
    return [AuditLine(device=row.device, epoch=row.epoch, made=row.made, stored=row.n, lost=row.lost) for row in connection.execute(query)]


class Totals(Record, frozen=True, kw_only=True):
    """How many records the whole fleet has made, and what became of them, by the books (`audit` counts them instead)."""

    devices: int
    made: int
    stored: int
    lost: int


def sum_telemetry(connection: Connection) -> Totals:
    """How many records the whole fleet has made, and what became of them, by the books."""
    sums = [func.coalesce(func.sum(epochs.c[name]), 0).label(name) for name in ("made", "stored", "lost")]
    row = connection.execute(select(func.count(epochs.c.device.distinct()).label("devices"), *sums)).one()
    return Totals(devices=row.devices, made=row.made, stored=row.stored, lost=row.lost)
