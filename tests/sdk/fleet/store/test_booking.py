"""The books of a stream, against a naive model that remembers the fate of each number."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import WireError
from edgekit.fleet.store.booking import MAX_ISLANDS, Book, book_batch
from edgekit.telemetry import Batch, Event, Lost, TelemetryRecord, first_of

EPOCH = "0123456789abcdef"


def make_event(number: int) -> Event:
    return Event(sequence=number, at_ms=0, kind="x")


def make_batch(*numbers: int, first_held: int = 1, made: int = 0) -> Batch:
    return Batch(epoch=EPOCH, first_held=first_held, made=max([made, *numbers]), records=tuple(map(make_event, numbers)))


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Any batch of a stream of a few numbers: also such as no honest device sends, with losses that overlap records."""
    made = draw(st.integers(0, 14))
    first_held = draw(st.integers(1, made + 1))
    numbers = draw(st.sets(st.integers(first_held, made))) if first_held <= made else set()
    records: list[TelemetryRecord] = []
    for number in sorted(numbers):
        first = draw(st.none() | st.integers(first_held, number))
        records.append(make_event(number) if first is None else Lost(sequence=number, first=first))
    if records:
        first_held = draw(st.integers(1, min(first_held, first_of(records[0]))))
    return Batch(epoch=EPOCH, first_held=first_held, made=made, records=tuple(records))


class Naive:
    """Remembers each number's fate: the first word decides."""

    def __init__(self) -> None:
        self.fates: dict[int, str] = {}
        self.made = 0

    def take(self, batch: Batch) -> list[int]:
        new = []
        for number in range(1, batch.first_held):
            self.fates.setdefault(number, "lost")
        for record in batch.records:
            if isinstance(record, Lost):
                for number in range(record.first, record.sequence + 1):
                    self.fates.setdefault(number, "lost")
            elif record.sequence not in self.fates:
                self.fates[record.sequence] = "stored"
                new.append(record.sequence)
        self.made = max(self.made, batch.made)
        return new

    @property
    def up_to(self) -> int:
        return next(number for number in range(1, 100) if number not in self.fates) - 1


@given(st.lists(batches(), max_size=8))
@settings(max_examples=500)
def test_the_book_says_what_a_naive_model_says(sent: list[Batch]) -> None:
    """After any batches in any order the same records are new, and made, stored, lost and up_to are the same."""
    book, naive = Book(), Naive()
    for batch in sent:
        book, new = book_batch(book, batch)
        assert [record.sequence for record in new] == naive.take(batch)
        fates = list(naive.fates.values())
        assert (book.made, book.stored, book.lost, book.up_to) == (naive.made, fates.count("stored"), fates.count("lost"), naive.up_to)


@given(st.lists(batches(), max_size=6))
def test_what_came_before_changes_nothing(sent: list[Batch]) -> None:
    """All batches a second time, in the same order, bring no record and leave the book as it is."""
    book = Book()
    for batch in sent:
        book, _ = book_batch(book, batch)
    for batch in sent:
        assert book_batch(book, batch) == (book, ())


@given(st.permutations(range(1, 9)), st.data())
def test_an_honest_stream_settles_in_any_order(order: list[int], data: st.DataObject) -> None:
    """Batches of a device that lost nothing end with everything stored, however they are cut, shuffled and repeated."""
    book = Book()
    cuts = [make_batch(number, made=8) for number in order]
    for batch in [*cuts, *data.draw(st.lists(st.sampled_from(cuts)))]:
        book, _ = book_batch(book, batch)
    assert book == Book(up_to=8, made=8, stored=8)


def test_a_gap_waits_until_it_is_filled() -> None:
    """What lies above a hole is stored at once, and acknowledged when the hole is closed."""
    book, _ = book_batch(Book(), make_batch(1, 3, 4))
    assert (book.up_to, book.stored, book.islands) == (1, 3, ((3, 4),))
    book, _ = book_batch(book, make_batch(2))
    assert (book.up_to, book.stored, book.islands) == (4, 4, ())


def test_what_the_device_no_longer_holds_is_known_to_be_lost() -> None:
    """Below first_held nothing will come, so acknowledgement passes it, and what was stored of it stays stored."""
    book, _ = book_batch(Book(), make_batch(1, 2))
    book, _ = book_batch(book, make_batch(6, first_held=6))
    assert book == Book(up_to=6, made=6, stored=3, lost=3)


def test_an_empty_batch_tells_of_losses_too() -> None:
    """A device that dropped all that it had says so without any record."""
    book, _ = book_batch(Book(), Batch(epoch=EPOCH, first_held=5, made=4))
    assert book == Book(up_to=4, made=4, lost=4)


def test_a_record_that_was_given_up_is_not_stored_later() -> None:
    """It may have been merged into a later one, and would count twice."""
    book, _ = book_batch(Book(), Batch(epoch=EPOCH, first_held=1, made=4, records=(Lost(sequence=3, first=2), make_event(4))))
    book, new = book_batch(book, make_batch(1, 2, 3))
    assert ([record.sequence for record in new], book) == ([1], Book(up_to=4, made=4, stored=2, lost=2))


def test_a_stream_full_of_holes_is_refused() -> None:
    """What a hostile sender can make the book remember has a bound."""
    book = Book()
    with pytest.raises(WireError, match=f"more than {MAX_ISLANDS} holes"):
        for begin in range(1, 10):
            book, _ = book_batch(book, make_batch(*range(begin * 1000, begin * 1000 + 1000, 2)))
    assert len(book.islands) <= MAX_ISLANDS
