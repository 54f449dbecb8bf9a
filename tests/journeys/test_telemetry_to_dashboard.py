"""The second journey, whole and with real processes: what a device measures reaches the server once, whoever is killed on the way."""

import os
import shutil
import signal

import pytest


def sum_up(books):
    return sum(book.made for book in books), sum(book.stored for book in books), sum(book.lost for book in books)


@pytest.fixture
def device(fleet):
    """A device that serves digits@1.0.0 and has reported so."""
    with fleet.adding(1) as (_, (device,)):
        yield device


def check_books(fleet, device):
    """Every record that the device made is stored, and none is lost."""
    books = fleet.audit(device.name)
    made, stored, lost = sum_up(books)
    assert made == stored > 0
    assert lost == 0
    return books


def test_each_request_is_told_once(fleet, device, loading):
    """What an agent answered is what the API says it answered, with the release, and with how long it took."""
    with loading([device]) as load:
        assert load.wait_for(60, 30)
    tally = load.tallies[device.name]
    assert tally.failed == 0, tally.first_failure
    fleet.wait_counted(device.name, tally.answered)
    (step,) = [step for step in fleet.client.list_telemetry(device=device.name, step=3_600_000) if step.requests]
    assert step.releases == {"digits@1.0.0": tally.answered}
    assert 0 < step.p50_ms <= step.p99_ms
    check_books(fleet, device)


def test_a_killed_broker_loses_nothing(fleet, device, loading, wait_until):
    """The broker dies in mid-traffic, and its server starts another: each record arrives once."""
    with loading([device]) as load:
        assert load.wait_for(30, 30)
        broker = wait_until(fleet.find_broker)
        os.kill(broker, signal.SIGKILL)
        wait_until(lambda: fleet.find_broker() not in (0, broker), "the server starts no other broker")
        assert load.wait_for(30, 30)
    tally = load.tallies[device.name]
    assert tally.failed == 0, tally.first_failure
    fleet.wait_counted(device.name, tally.answered)
    check_books(fleet, device)


def test_a_server_that_is_killed_and_away_loses_nothing(fleet, device, loading):
    """The server dies with its broker in mid-traffic, and comes back later: serving goes on meanwhile, and each record arrives once."""
    with loading([device]) as load:
        assert load.wait_for(30, 30)
        fleet.kill()
        assert load.wait_for(100, 30)
        fleet.start()
        assert load.wait_for(30, 30)
    tally = load.tallies[device.name]
    assert tally.failed == 0, tally.first_failure
    fleet.wait_counted(device.name, tally.answered)
    check_books(fleet, device)


def test_a_killed_agent_begins_another_stream(fleet, device, loading, wait_until):
    """The agent dies in mid-traffic: its next start is another epoch, and what the first had written down arrives whole."""
    with loading([device]) as load:
        assert load.wait_for(60, 30)
        first = wait_until(lambda: fleet.client.audit(device.name))
        device.kill()
        device.start()
        assert load.wait_for(30, 30)
    tally = load.tallies[device.name]
    wait_until(lambda: len(fleet.client.audit(device.name)) == 2, "there is no other stream")
    device.stop()
    books = check_books(fleet, device)
    assert {book.epoch for book in first} < {book.epoch for book in books}
    # What was not yet written down when it died is not known to anybody: an interval of half a second at 40 requests a second.
    assert tally.answered - 40 <= fleet.count(device.name)["requests"] <= tally.sent


def test_an_outbox_that_is_set_back_repeats_no_number(fleet, device, loading):
    """A card that is restored from an older copy brings records back which were sent, and they count once; new ones get new numbers."""
    fleet.kill()
    with loading([device]) as load:
        assert load.wait_for(60, 30)
    device.stop()
    old = {path: path.with_name(f"old-{path.name}") for path in device.state.glob("outbox.db*")}
    for path, copy in old.items():
        shutil.copy(path, copy)
    fleet.start()
    device.start()
    with loading([device]) as more:
        assert more.wait_for(30, 30)
    answered = load.tallies[device.name].answered + more.tallies[device.name].answered
    fleet.wait_counted(device.name, answered)
    device.stop()
    before = check_books(fleet, device)
    for path in device.state.glob("outbox.db*"):
        path.unlink()
    for path, copy in old.items():
        shutil.copy(copy, path)
    device.start()
    with loading([device]) as last:
        assert last.wait_for(30, 30)
    fleet.wait_counted(device.name, answered + last.tallies[device.name].answered)
    after = check_books(fleet, device)
    assert len(after) == len(before) + 1
    assert [book for book in after if book.epoch in {one.epoch for one in before}] == before
