"""Directives: due until the device has said that it knows them."""

from collections.abc import Callable
from typing import Any

import pytest

from edgekit.fleet.store.devices import see_devices
from edgekit.fleet.store.directives import (
    Directive,
    find_counter,
    hasten_directive,
    list_due_directives,
    list_outdated,
    mark_sent,
    read_directive,
    save_directive,
)
from edgekit.fleet.store.leases import Lease
from edgekit.fleet.store.uploads import store_uploads
from edgekit.status import DeviceStatus

Run = Callable[..., Any]


def make_directive(counter: int = 5, **fields: Any) -> Directive:
    return Directive(**{"device": "roof", "counter": counter, "message": b"signed", "issued_ms": 0, "expires_ms": 1000, **fields})


@pytest.fixture
def report(write: Run, lease: Lease) -> Callable[..., None]:
    """Lets the device *roof* say which counter it knows."""

    def say(counter: int, revision: int, now_ms: int = 0) -> None:
        status = DeviceStatus(device="roof", epoch="a" * 16, revision=revision, counter=counter)
        write(store_uploads, [lease], [("roof", status)], now_ms)

    return say


@pytest.fixture(autouse=True)
def known(write: Run) -> None:
    """The device is known."""
    write(see_devices, ["roof"], 0)


def list_due(read: Run, now_ms: int) -> list[int]:
    return [directive.counter for directive in read(list_due_directives, now_ms)]


def test_a_directive_is_due_until_the_device_knows_it(write: Run, read: Run, report: Run) -> None:
    """It is sent again and again, at the times that its sender chooses, and no more once a status has its counter."""
    write(save_directive, make_directive(), 10)
    assert list_due(read, 10) == [5]
    write(mark_sent, "roof", 5, 10, 30)
    assert (list_due(read, 29), list_due(read, 30)) == ([], [5])
    report(5, 1)
    assert list_due(read, 10**9) == []


def test_a_device_that_speaks_without_knowing_it_gets_it_at_once(write: Run, read: Run, report: Run) -> None:
    """Whatever the pause that was chosen."""
    write(save_directive, make_directive(), 0)
    write(mark_sent, "roof", 5, 0, 60_000)
    report(4, 1, now_ms=20)
    assert list_due(read, 20) == [5]
    assert read(read_directive, "roof").attempts == 0


def test_a_newer_directive_takes_the_place_of_the_older(write: Run, read: Run) -> None:
    """And that the older one was sent says nothing about it."""
    write(save_directive, make_directive(5), 0)
    write(save_directive, make_directive(6), 0)
    write(mark_sent, "roof", 5, 0, 60_000)
    assert read(read_directive, "roof") == make_directive(6)
    assert list_due(read, 0) == [6]


def test_a_clock_that_was_set_back_delays_nothing(write: Run, read: Run) -> None:
    """What was sent in the future is due now."""
    write(save_directive, make_directive(), 10**12)
    write(mark_sent, "roof", 5, 10**12, 10**12 + 2000)
    assert list_due(read, 0) == [5]


def test_hastening_changes_nothing_for_a_device_that_knows_more(write: Run, read: Run) -> None:
    """One that knows the directive, or a newer, is left in peace."""
    write(save_directive, make_directive(), 0)
    write(mark_sent, "roof", 5, 0, 60_000)
    write(hasten_directive, "roof", 5, 10)
    assert list_due(read, 10) == []


def test_what_must_be_signed_anew_is_listed(write: Run, read: Run, report: Run) -> None:
    """What expires before the device knew it, and what the device has overtaken; not what it knows."""
    write(save_directive, make_directive(), 0)
    assert (read(list_outdated, 1000), read(list_outdated, 1001)) == ([], ["roof"])
    report(5, 1)
    assert read(list_outdated, 10**9) == []
    report(9, 2)
    assert read(list_outdated, 0) == ["roof"]


def test_the_highest_counter_is_that_of_either_side(write: Run, read: Run, report: Run) -> None:
    """A server that was restored from an older copy must go on above what the device has seen."""
    assert read(find_counter, "roof") == 0
    write(save_directive, make_directive(5), 0)
    assert read(find_counter, "roof") == 5
    report(9, 1)
    assert read(find_counter, "roof") == 9
