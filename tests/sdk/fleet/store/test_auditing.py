"""The audit: it counts rows and believes no counter."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import delete

from edgekit.fleet.retention import DAY_MS, Retention
from edgekit.fleet.store.auditing import audit
from edgekit.fleet.store.leases import Lease
from edgekit.fleet.store.pruning import prune
from edgekit.fleet.store.tables import telemetry
from edgekit.fleet.store.uploads import store_uploads
from edgekit.telemetry import Batch, Event

Run = Callable[..., Any]
EPOCH = "a" * 16


def send(write: Run, lease: Lease, device: str, *numbers: int, made: int) -> None:
    records = tuple(Event(sequence=number, at_ms=0, kind="x") for number in numbers)
    write(store_uploads, [lease], [(device, Batch(epoch=EPOCH, first_held=1, made=made, records=records))], 5)


def test_what_is_on_its_way_is_missing_until_it_comes(write: Run, read: Run, lease: Lease) -> None:
    """A stream has settled when what was made is stored or known to be lost."""
    send(write, lease, "roof", 1, 3, made=4)
    assert [line.missing for line in read(audit)] == [2]
    send(write, lease, "roof", 2, 4, made=4)
    assert [line.missing for line in read(audit)] == [0]


def test_a_row_that_vanished_is_found(write: Run, read: Run, lease: Lease) -> None:
    """The books may say that all is well: the audit looks at the table."""
    send(write, lease, "roof", 1, 2, made=2)
    write(lambda connection: connection.execute(delete(telemetry).where(telemetry.c.sequence == 1)))
    assert [line.missing for line in read(audit)] == [1]


def test_what_was_pruned_is_stored_and_said_apart(write: Run, read: Run, lease: Lease) -> None:
    """The line tells how many of the stored are past retention, and its verdict is that of before."""
    send(write, lease, "roof", 1, 2, made=3)
    write(prune, Retention(), 1000 * DAY_MS, 1)
    (line,) = read(audit)
    assert (line.made, line.stored, line.pruned, line.lost, line.missing) == (3, 2, 1, 0, 1)


def test_one_device_can_be_audited(write: Run, read: Run, lease: Lease) -> None:
    """Of the others nothing is said, and of one that never sent anything neither."""
    send(write, lease, "roof", 1, made=1)
    send(write, lease, "cellar", 1, made=1)
    assert [line.device for line in read(audit, "roof")] == ["roof"]
    assert read(audit, "nobody") == []
