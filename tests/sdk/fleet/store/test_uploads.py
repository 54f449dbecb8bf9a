"""Uploads: stored once, answered with what is stored, and nothing from a worker that lost its lease."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from edgekit.fleet.store.auditing import audit
from edgekit.fleet.store.database import Store
from edgekit.fleet.store.devices import find_device, list_devices, read_inventory, read_status
from edgekit.fleet.store.directives import Directive, save_directive
from edgekit.fleet.store.events import list_events
from edgekit.fleet.store.leases import Lease, LeaseLost, acquire_lease
from edgekit.fleet.store.tables import epochs, telemetry
from edgekit.fleet.store.uploads import NO_EPOCH, Receipt, SentInventory, Upload, store_uploads
from edgekit.status import DeviceInventory, DeviceStatus, Stored
from edgekit.targets import Accelerator, Hardware
from edgekit.telemetry import Batch, Event, Interval, decode_record

Run = Callable[..., Any]
A, B = "a" * 16, "b" * 16
DIGEST = "sha256:" + "0" * 64


def make_batch(*numbers: int, epoch: str = A, first_held: int = 1) -> Batch:
    records = tuple(Event(sequence=number, at_ms=7, kind="crash", model="digits", text="it fell") for number in numbers)
    return Batch(epoch=epoch, first_held=first_held, made=max(numbers, default=first_held - 1), records=records)


def make_status(revision: int, epoch: str = A, **fields: Any) -> DeviceStatus:
    return DeviceStatus(device="roof", epoch=epoch, revision=revision, **fields)


def make_inventory(**fields: Any) -> SentInventory:
    hardware = Hardware(machine="pi", arch="aarch64", accelerators=(Accelerator(kind="coral", model="usb"),))
    return SentInventory(DeviceInventory(device="roof", hardware=hardware, target="raspberry-pi-4", **fields), DIGEST)


@pytest.fixture
def take(write: Run, lease: Lease) -> Callable[..., Receipt]:
    """Stores what the device *roof* sent."""
    return lambda *bodies, now_ms=5: write(store_uploads, [lease], [("roof", body) for body in bodies], now_ms)


def list_sequences(connection: Connection) -> list[int]:
    return list(connection.execute(select(telemetry.c.sequence).order_by(telemetry.c.sequence)).scalars())


def test_records_are_kept_as_they_were_sent(take: Run, read: Run) -> None:
    """What is read from the table is the record, and a device that was unknown is known."""
    interval = Interval(sequence=1, start_ms=9, duration_ms=1, model="digits", release="digits@1", variant="v", runtime="r", requests=3)
    receipt = take(Batch(epoch=A, first_held=1, made=1, records=(interval,)))
    row = read(lambda connection: connection.execute(select(telemetry)).one())
    assert decode_record(row.data) == interval
    assert (row.device, row.start_ms, row.model, row.release) == ("roof", 9, "digits", "digits@1")
    assert (receipt.stored, receipt.duplicates, receipt.answers) == (1, 0, [("roof", Stored(epoch=A, up_to=1))])
    assert read(find_device, "roof").first_seen_ms == 5


def test_a_batch_that_comes_twice_is_stored_once(take: Run, read: Run) -> None:
    """In one commit or in two, the second changes nothing, and is answered like the first."""
    assert take(make_batch(1, 2), make_batch(1, 2)).duplicates == 2
    again = take(make_batch(1, 2))
    assert (again.stored, again.duplicates, again.answers) == (0, 2, [("roof", Stored(epoch=A, up_to=2))])
    assert read(list_sequences) == [1, 2]
    assert len(read(list_events)) == 2


def test_an_old_epoch_that_comes_late_is_stored(take: Run, read: Run) -> None:
    """A device that restarted sends what its last process had not, and each stream is answered by itself."""
    receipt = take(make_batch(1, epoch=B), make_batch(1, 2, epoch=A))
    assert receipt.answers == [("roof", Stored(epoch=A, up_to=2)), ("roof", Stored(epoch=B, up_to=1))]
    assert [(line.epoch, line.made, line.stored, line.missing) for line in read(audit)] == [(A, 2, 2, 0), (B, 1, 1, 0)]


def test_an_outbox_restored_from_an_older_copy_counts_nothing_twice(take: Run, read: Run) -> None:
    """It sends again what was stored, and what it makes from then on has an epoch, and so numbers, of its own."""
    take(make_batch(1, 2, 3))
    take(make_batch(2, 3), make_batch(1, 2, epoch=B))
    assert [(line.epoch, line.made, line.stored) for line in read(audit)] == [(A, 3, 3), (B, 2, 2)]


def test_a_server_restored_from_an_older_copy_books_the_gap_as_lost(take: Run, read: Run) -> None:
    """What the device dropped since it was acknowledged is known to be lost here, and the stream goes on."""
    take(make_batch(1, 2))
    assert take(make_batch(6, first_held=6)).answers == [("roof", Stored(epoch=A, up_to=6))]
    assert [(line.made, line.stored, line.lost) for line in read(audit)] == [(6, 3, 3)]


def test_events_of_a_device_stand_in_the_log(take: Run, read: Run) -> None:
    """With the device as their subject and the time that it says."""
    take(make_batch(1))
    logged = read(list_events, subject="roof")[0]
    assert (logged.kind, logged.text, logged.at_ms) == ("crash", "digits: it fell", 7)


def test_who_lost_the_lease_writes_nothing(take: Run, write: Run, read: Run, lease: Lease) -> None:
    """Not even a device that was unknown becomes known."""
    write(acquire_lease, lease.name, "other", 10**9, 1000)
    with pytest.raises(LeaseLost):
        take(make_batch(1), make_status(1), make_inventory())
    assert (read(list_sequences), read(list_devices)) == ([], [])


def test_a_stream_of_holes_is_refused_alone(take: Run, read: Run) -> None:
    """The batch that goes too far is told of, and what came with it is stored."""
    receipt = take(*[make_batch(*range(begin, begin + 1000, 2)) for begin in (1, 2001, 4001)], make_batch(1, epoch=B))
    assert [device for device, _ in receipt.refused] == ["roof"]
    assert {line.epoch: line.stored for line in read(audit)} == {A: 1000, B: 1}


def test_a_status_is_kept_and_answered(take: Run, read: Run) -> None:
    """The answer has its revision, so that the device stops repeating it."""
    receipt = take(make_status(3, counter=9))
    assert receipt.answers == [("roof", Stored(epoch=A, up_to=0, status_revision=3))]
    assert (receipt.reported, read(read_status, "roof").counter) == ({"roof"}, 9)


def test_a_counter_that_no_director_gave_is_refused(take: Run, write: Run, read: Run) -> None:
    """Above it there would be none left to tell the device anything; one that a restored server has forgotten is believed."""
    forged, now_ms = 2**53 - 1, 1_800_000_000_000
    receipt = take(make_status(1), make_status(9, epoch=B, counter=forged), now_ms=now_ms)
    assert [(device, str(forged) in str(error)) for device, error in receipt.refused] == [("roof", True)]
    assert (read(read_status, "roof").counter, [stored.epoch for _, stored in receipt.answers]) == (0, [A])
    assert take(make_status(2, counter=now_ms + 1_000_000), now_ms=now_ms).refused == []
    write(save_directive, Directive(device="roof", counter=forged, message=b"", issued_ms=0, expires_ms=0), 0)
    assert take(make_status(3, counter=forged), now_ms=now_ms).refused == []


def test_an_older_status_never_takes_the_place_of_a_newer(take: Run, read: Run) -> None:
    """Neither one of the same epoch nor one of an epoch before, when the broker delivers it late."""
    take(make_status(1), make_status(2))
    take(make_status(1, B))
    assert take(make_status(1), make_status(2)).reported == frozenset()
    assert read(read_status, "roof").epoch == B
    assert take(make_status(1, B)).answers == [("roof", Stored(epoch=B, up_to=0, status_revision=1))]


def test_a_device_is_offline_from_its_will_to_its_next_word(take: Run, read: Run) -> None:
    """A will leaves the status as it is, and anything that the device itself sends makes it online again."""
    will = DeviceStatus(device="roof", online=False)
    take(make_status(4))
    take(will, now_ms=50)
    device = read(find_device, "roof")
    assert (device.online, device.last_seen_ms, read(read_status, "roof").revision) == (False, 5, 4)
    take(make_batch(1), now_ms=60)
    assert read(find_device, "roof").online
    take(will, make_status(4))
    assert read(find_device, "roof").online


def test_the_will_of_a_process_that_was_followed_by_another_says_nothing(take: Run, read: Run) -> None:
    """It names its epoch, which is not the newest."""
    take(make_status(1, A), make_status(1, B))
    take(make_status(0, A, online=False))
    assert read(find_device, "roof").online


def test_the_will_of_a_stranger_makes_no_device(take: Run, read: Run) -> None:
    """Somebody of whom nothing else is known is not listed as offline."""
    assert take(DeviceStatus(device="roof", online=False)).answers == []
    assert read(list_devices) == []


def test_an_inventory_says_what_a_device_is(take: Run, read: Run) -> None:
    """Its class, labels and accelerators are those of the inventory, which is kept whole and answered by its digest."""
    sent = make_inventory(labels={"site": "roof"}, simulated=True)
    assert take(sent).answers == [("roof", Stored(epoch=NO_EPOCH, up_to=0, inventory=DIGEST))]
    device = read(find_device, "roof")
    assert (device.device_class, device.labels, device.accelerators, device.simulated) == ("raspberry-pi-4", {"site": "roof"}, ("coral",), True)
    assert read(read_inventory, "roof") == sent.inventory


def test_an_inventory_is_answered_under_the_newest_epoch(take: Run) -> None:
    """So that a device can tell the answer from one to a process before it."""
    take(make_batch(1), make_status(2))
    assert take(make_inventory()).answers == [("roof", Stored(epoch=A, up_to=1, status_revision=2, inventory=DIGEST))]


def test_many_devices_are_stored_in_one_transaction(write: Run, read: Run, lease: Lease) -> None:
    """A thousand uploads of as many devices are one commit, and each is answered."""
    uploads: list[Upload] = [(f"device-{number}", make_batch(1, 2)) for number in range(1000)]
    receipt = write(store_uploads, [lease], uploads, 5)
    assert (receipt.stored, len(receipt.answers)) == (2000, 1000)
    assert {(line.made, line.stored, line.lost) for line in read(audit)} == {(2, 2, 0)}


STEPS = st.lists(st.tuples(st.sampled_from(["roof", "cellar"]), st.sampled_from([A, B]), st.integers(1, 6), st.integers(1, 6)), max_size=12)


@given(st.lists(STEPS, max_size=4))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_audit_counts_what_lies_in_the_table(store: Store, commits: list[list[tuple[str, str, int, int]]]) -> None:
    """Whatever came, cut into whatever commits, the books agree with the rows, and nothing is more than was made."""
    lease = store.submit_write(acquire_lease, "ingest-0", "worker", 0, 10**9).result()
    for steps in commits:
        uploads: list[Upload] = [(device, make_batch(max(held, last), epoch=epoch, first_held=held)) for device, epoch, held, last in steps]
        store.submit_write(store_uploads, [lease], uploads, 5).result()
    lines = store.submit_read(audit).result()
    booked = store.submit_read(lambda connection: connection.execute(select(func.sum(epochs.c.stored))).scalar() or 0).result()
    assert sum(line.stored for line in lines) == booked == len(store.submit_read(list_sequences).result())
    assert all(line.missing >= 0 for line in lines)
