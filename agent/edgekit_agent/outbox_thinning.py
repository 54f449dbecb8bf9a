"""Making room in an outbox that is full: intervals become longer, then the oldest go, and events go last.

What had to go is told: its numbers become a record of kind Lost. A number that was once read for sending never changes its
meaning, or the server would count what was merged into it twice; so only what was not is merged.
"""

import itertools
import logging
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from edgekit.telemetry import Interval, Lost, encode_record, merge_intervals
from edgekit_agent.outbox_database import Corrupt, read_number, read_record

log = logging.getLogger(__name__)

#: So many intervals make one at most: an hour where each is a minute.
MAX_SPAN = 60
#: Intervals that are looked at in one step, and records that are dropped in one.
CHUNK, DROPPED = 1024, 64
#: Making room goes on until so much of the bound is used, so that it is done seldom.
ENOUGH = 0.9

_OPEN = "SELECT span, data FROM records WHERE epoch = ? AND sequence > ? AND open = 1 ORDER BY sequence LIMIT ?"
_LENGTHEN = "UPDATE records SET span = ?, open = ?, data = ? WHERE epoch = ? AND sequence = ?"
_OLDEST = "SELECT epoch, sequence FROM records WHERE kind = ? ORDER BY epoch, sequence LIMIT ?"
# The other ends of what was lost just below some numbers, and just above them.
_LOST_BELOW = "SELECT first FROM records WHERE epoch = ? AND sequence = ? AND kind = 'lost'"
_LOST_ABOVE = """SELECT sequence FROM (SELECT * FROM records WHERE epoch = ? AND sequence > ? ORDER BY sequence LIMIT 1)
    WHERE first = ? AND kind = 'lost'"""
_LOSE = "INSERT INTO records (epoch, sequence, first, kind, span, open, data) VALUES (?, ?, ?, 'lost', 0, 0, ?)"


def make_room(connection: sqlite3.Connection, max_bytes: int, epoch: int, offered: int) -> None:
    """Bring the file below *max_bytes*, if it is above. Of *epoch*, what is above the number *offered* may be merged."""
    if measure(connection) <= max_bytes:
        return
    while measure(connection) > ENOUGH * max_bytes:
        if not (merge_oldest(connection, epoch, offered) or drop_oldest(connection, "interval") or drop_oldest(connection, "event")):
            log.warning("the outbox holds %d bytes, and nothing in it can be spared", measure(connection))
            return


def measure(connection: sqlite3.Connection) -> int:
    """The bytes of the file that are in use."""
    pages = read_number(connection, "PRAGMA page_count") - read_number(connection, "PRAGMA freelist_count")
    return pages * read_number(connection, "PRAGMA page_size")


@dataclass
class _Run:
    """Neighbouring intervals of one model that become one: it, of how many it is made, and the numbers that are freed."""

    interval: Interval
    span: int
    is_open: bool = True
    freed: list[int] = field(default_factory=list)

    def take(self, other: Interval, span: int) -> bool:
        """Add the next interval of the same model; False where it cannot be, and then this one is as long as it gets."""
        merged = merge_intervals(self.interval, other) if self.span + span <= MAX_SPAN else None
        if merged is None:
            self.is_open = False
            return False
        self.freed.append(self.interval.sequence)
        self.interval, self.span = merged, self.span + span
        self.is_open = self.span < MAX_SPAN
        return True


def merge_oldest(connection: sqlite3.Connection, epoch: int, offered: int) -> bool:
    """Merge the oldest intervals that may still become longer; whether that changed anything."""
    changed = [run for run in _find_runs(connection.execute(_OPEN, (epoch, offered, CHUNK))) if run.freed or not run.is_open]
    for run in changed:
        connection.execute(_LENGTHEN, (run.span, run.is_open, encode_record(run.interval), epoch, run.interval.sequence))
    lose(connection, epoch, itertools.chain.from_iterable(run.freed for run in changed))
    return bool(changed)


def _find_runs(rows: Iterable[tuple[int, bytes]]) -> list[_Run]:
    """The intervals in *rows*, which ascend, as runs of neighbours of the same model."""
    runs: list[_Run] = []
    last: dict[str, _Run] = {}
    for span, data in rows:
        interval = read_record(data)
        if not isinstance(interval, Interval):
            raise Corrupt("outbox", f"its record {interval.sequence} is no interval, as its row says")
        run = last.get(interval.model)
        if run is None or not run.take(interval, span):
            last[interval.model] = run = _Run(interval, span)
            runs.append(run)
    return runs


def drop_oldest(connection: sqlite3.Connection, kind: str) -> bool:
    """Give up the oldest records of *kind*; whether there were any."""
    rows = connection.execute(_OLDEST, (kind, DROPPED)).fetchall()
    for epoch, group in itertools.groupby(rows, key=lambda row: row[0]):
        lose(connection, epoch, (sequence for _, sequence in group))
    return bool(rows)


def lose(connection: sqlite3.Connection, epoch: int, numbers: Iterable[int]) -> None:
    """Put records of kind Lost in the place of *numbers*, one for all that touch, also with what was lost before."""
    for first, last in _find_ranges(sorted(numbers)):
        begin = read_number(connection, _LOST_BELOW, epoch, first - 1) or first
        end = read_number(connection, _LOST_ABOVE, epoch, last, last + 1) or last
        connection.execute("DELETE FROM records WHERE epoch = ? AND sequence BETWEEN ? AND ?", (epoch, begin, end))
        connection.execute(_LOSE, (epoch, end, begin, encode_record(Lost(sequence=end, first=begin))))


def _find_ranges(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """The ranges of neighbours in *numbers*, which ascend: the first and the last of each."""
    for _, group in itertools.groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        neighbours = [number for _, number in group]
        yield neighbours[0], neighbours[-1]
