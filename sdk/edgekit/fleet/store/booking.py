"""Which numbers of a device's stream are stored, which are lost, and up to where nothing is open. Pure.

Each number's fate is decided once, by whichever comes first: its record, or the word that it is lost. So a batch may come
twice, late, or in any order, and nothing is counted twice.
"""

import bisect
from typing import NamedTuple

from edgekit.errors import WireError
from edgekit.telemetry import Batch, Event, Interval, Lost, first_of

#: A device sends in order, so a stream with more holes than this is none that a device of ours sends.
MAX_ISLANDS = 1000


class Book(NamedTuple):
    """One epoch of one device: of the *made* numbers given out, *stored* are stored and *lost* are known to be lost.

    The fate of every number up to *up_to* is known, and above it that of those in *islands* ([first, last], ascending).
    """

    up_to: int = 0
    made: int = 0
    stored: int = 0
    lost: int = 0
    islands: tuple[tuple[int, int], ...] = ()


def book_batch(book: Book, batch: Batch) -> tuple[Book, tuple[Interval | Event, ...]]:
    """The book after *batch*, and the records in it that are new.

    Raises:
        WireError: the stream would have more than MAX_ISLANDS holes.
    """
    known = [(0, book.up_to), *book.islands]
    lost = _cover(known, 1, batch.first_held - 1)
    new: list[Interval | Event] = []
    for record in batch.records:
        decided = _cover(known, first_of(record), record.sequence)
        if isinstance(record, Lost):
            lost += decided
        elif decided:
            new.append(record)
    if len(known) > MAX_ISLANDS:
        raise WireError("telemetry batch", f"its stream has more than {MAX_ISLANDS} holes")
    made = max(book.made, batch.made, batch.first_held - 1)
    after = Book(up_to=known[0][1], made=made, stored=book.stored + len(new), lost=book.lost + lost, islands=tuple(known[1:]))
    return after, tuple(new)


def _cover(known: list[tuple[int, int]], first: int, last: int) -> int:
    """Add the numbers *first* to *last* to the ascending, disjoint ranges *known*; how many of them were not there.

    Ranges that touch become one.
    """
    if first > last:
        return 0
    if first == known[-1][1] + 1:
        # What comes in order, as nearly everything does, makes the last range longer.
        known[-1] = (known[-1][0], last)
        return last - first + 1
    begin = bisect.bisect_left(known, first - 1, key=lambda one: one[1])
    end = bisect.bisect_right(known, last + 1, key=lambda one: one[0])
    touched = known[begin:end]
    merged = (min([first, *(one[0] for one in touched)]), max([last, *(one[1] for one in touched)]))
    known[begin:end] = [merged]
    return _size(merged) - sum(map(_size, touched))


def _size(numbers: tuple[int, int]) -> int:
    return numbers[1] - numbers[0] + 1
