"""The log: newest first, a page at a time."""

from collections.abc import Callable
from typing import Any

from edgekit.fleet.store.events import LoggedEvent, append_event, append_events, list_events

Run = Callable[..., Any]


def test_events_come_back_newest_first_and_in_pages(write: Run, read: Run) -> None:
    """The page after one begins below its last id."""
    for number in range(5):
        write(append_event, "kind", "roof", str(number), number)
    page = read(list_events, limit=2)
    assert [event.text for event in page] == ["4", "3"]
    assert [event.text for event in read(list_events, limit=2, before_id=page[-1].id)] == ["2", "1"]


def test_events_are_found_by_subject_and_kind(write: Run, read: Run) -> None:
    """Both narrow what is listed."""
    for kind, subject in (("a", "roof"), ("b", "roof"), ("a", "cellar")):
        write(append_event, kind, subject, "", 0)
    assert len(read(list_events, subject="roof")) == 2
    assert [(event.kind, event.subject) for event in read(list_events, subject="roof", kind="a")] == [("a", "roof")]


def test_an_event_of_any_length_is_kept_in_part(write: Run, read: Run) -> None:
    """What devices say is cut to what a person reads; nothing at all is no event."""
    write(append_events, [])
    write(append_events, [LoggedEvent(at_ms=0, kind="k" * 300, subject="s" * 300, text="t" * 5000)])
    event = read(list_events)[0]
    assert (len(event.kind), len(event.subject), len(event.text)) == (64, 200, 2000)
