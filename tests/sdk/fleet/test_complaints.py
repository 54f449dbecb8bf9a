"""Complaints: told once for each sender, with how often."""

import logging

import pytest

from edgekit.errors import WireError
from edgekit.fleet.complaints import MOST, Complaints


def complain(complaints: Complaints, subject: str, times: int = 1) -> None:
    for number in range(times):
        complaints.add(subject, WireError("batch", f"fault {number}"))


def test_a_sender_is_named_once_with_how_often(caplog: pytest.LogCaptureFixture) -> None:
    """The first fault stands in words, in the log and in the event, and the others are counted."""
    complaints = Complaints(lambda: 7)
    complain(complaints, "roof", 3)
    complain(complaints, "cellar")
    with caplog.at_level(logging.WARNING):
        events = complaints.take()
    assert [(event.subject, event.text, event.at_ms) for event in events] == [
        ("roof", "batch: fault 0. (the first of 3)", 7),
        ("cellar", "batch: fault 0.", 7),
    ]
    assert len(caplog.records) == 2


def test_what_was_taken_is_not_told_again() -> None:
    """The total goes on, and a sender that goes on is named again the next time."""
    complaints = Complaints(lambda: 0)
    complain(complaints, "roof", 2)
    complaints.take()
    assert complaints.take() == []
    complain(complaints, "roof")
    assert (len(complaints.take()), complaints.total) == (1, 3)


def test_a_flood_of_senders_has_a_bound() -> None:
    """Beyond MOST they are counted together."""
    complaints = Complaints(lambda: 0)
    for number in range(500):
        complain(complaints, f"device-{number}")
    events = complaints.take()
    assert (len(events), events[-1].subject) == (MOST + 1, "others")
    assert events[-1].text.endswith(f"(the first of {500 - MOST})")
