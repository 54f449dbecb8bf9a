"""The outbox: telemetry on the disk, numbered, until the server has said that it is stored.

A power cut may roll the file back, and a card may be cloned, so numbers alone do not tell records apart: each start of the
agent is an epoch of its own, with a random name and numbers from 1 on (see edgekit.telemetry).
"""

import logging
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, TypeVar

import msgspec

from edgekit.errors import DeviceError, WireError
from edgekit.telemetry import MAX_RECORDS, Batch, Event, Interval, TelemetryRecord, decode_record, encode_record
from edgekit_agent.outbox_database import Corrupt, naming_database_errors, open_database, read_number, read_record, set_aside, transaction
from edgekit_agent.outbox_thinning import make_room

log = logging.getLogger(__name__)
T = TypeVar("T")

_MARGIN = 8 << 10
_INSERT = "INSERT INTO records (epoch, sequence, first, kind, span, open, data) VALUES (?, ?, ?, ?, 1, ?, ?)"
#: Epochs of which nothing is held.
_FORGET = "DELETE FROM epochs WHERE name != ? AND NOT EXISTS (SELECT 1 FROM records WHERE epoch = epochs.id)"
_AFTER = "SELECT epoch, sequence, data FROM records WHERE (epoch, sequence) > (?, ?) ORDER BY epoch, sequence LIMIT ?"


class Position(NamedTuple):
    """How far reading has come: *epoch* counts the epochs in this file, and *sequence* is the number of the last record read."""

    epoch: int = 0
    sequence: int = 0


#: Before the oldest record.
START = Position()


class Reading(NamedTuple):
    """A batch as it is sent, and the position behind it."""

    batch: Batch
    position: Position


class Outbox:
    """The records in the file *path*, of which *max_bytes* may be in use. Safe to be called by many threads.

    A method that cannot do its work, as on a full disk, raises DeviceError and has changed nothing; later it may. A damaged file
    is set aside, and a new one begun with an event that says so.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._lock = threading.RLock()
        self._listener: Callable[[], None] = lambda: None
        self._connection: sqlite3.Connection | None = None
        # Random, since nothing that is kept can be trusted to be the newest: the file may be an older copy of itself.
        self._epoch, self._number = secrets.token_hex(8), 1
        #: The highest number of this epoch that was ever read for sending.
        self._offered = 0

    def __enter__(self) -> "Outbox":
        try:
            self._attempt(lambda _: None)
        except DeviceError as error:
            # Serving must begin all the same, and the disk may have room later.
            log.warning("telemetry is not kept for now: %s", error)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            self._close()

    @property
    def epoch(self) -> str:
        """The epoch under which records are numbered now: 16 hexadecimal digits."""
        return self._epoch

    def watch(self, listener: Callable[[], None]) -> None:
        """Have *listener* called after each append, on the thread that appended."""
        self._listener = listener

    def append(self, *records: Interval | Event) -> int:
        """Keep *records*, whose sequences are made here; the number of the last one. Events survive a power cut from now on.

        Raises:
            WireError: a field holds what the server would refuse, such as a time before 1970; none of *records* is kept.
        """
        number = self._attempt(lambda connection: self._append(connection, records))
        self._listener()
        return number

    def read_batch(self, max_bytes: int, after: Position = START) -> Reading | None:
        """The oldest records behind *after*, all of one epoch and of *max_bytes* as msgpack at most (but at least one); None where there are none."""
        return self._attempt(lambda connection: self._read(connection, max_bytes, after))

    def acknowledge(self, epoch: str, up_to: int) -> None:
        """Forget the records of *epoch* up to the number *up_to*: the server has them, or knows that they are lost.

        Raises:
            WireError: *up_to* was never given out.
        """
        self._attempt(lambda connection: self._acknowledge(connection, epoch, up_to))

    def _attempt(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What *work* gives, on the file as it is or, where that is damaged, on a new one."""
        with self._lock:
            try:
                return self._use(work)
            except Corrupt as error:
                self._begin_anew(error)
                return self._use(work)

    def _use(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None:
            self._connection = self._open()
        with naming_database_errors(self._path):
            return work(self._connection)

    def _open(self) -> sqlite3.Connection:
        connection = open_database(self._path)
        try:
            with naming_database_errors(self._path):
                self._write_epoch(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _write_epoch(self, connection: sqlite3.Connection) -> None:
        """Put this epoch on the disk for good, before its first record, and forget those that have none left."""
        with transaction(connection, durable=True):
            connection.execute(_FORGET, (self._epoch,))
            newest = read_number(connection, "SELECT coalesce(max(id), 0) FROM epochs WHERE name != ?", self._epoch)
            self._number = max(self._number, newest + 1)
            connection.execute("INSERT OR IGNORE INTO epochs (id, name, made) VALUES (?, ?, 0)", (self._number, self._epoch))

    def _begin_anew(self, error: Corrupt) -> None:
        self._close()
        aside = set_aside(self._path)
        log.error("%s; what it held is in %s", error, aside.name)
        # The count goes on, so that a position in the old file is none in the new one.
        self._epoch, self._number, self._offered = secrets.token_hex(8), self._number + 1, 0
        text = f"the outbox was damaged and is set aside as {aside.name}: {error.problem}"
        event = Event(sequence=1, at_ms=time.time_ns() // 1_000_000, kind="outbox", text=text[:200])
        self._use(lambda connection: self._append(connection, (event,)))

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _append(self, connection: sqlite3.Connection, records: Iterable[Interval | Event]) -> int:
        given = list(records)
        with transaction(connection, durable=any(isinstance(record, Event) for record in given)):
            made = read_number(connection, "SELECT made FROM epochs WHERE id = ?", self._number)
            rows = [self._make_row(number, record) for number, record in enumerate(given, made + 1)]
            # Before, and with a margin for half-filled pages, since a file that has grown stays as large.
            make_room(connection, self._max_bytes - 2 * sum(len(row[-1]) for row in rows) - _MARGIN, self._number, self._offered)
            connection.executemany(_INSERT, rows)
            connection.execute("UPDATE epochs SET made = ? WHERE id = ?", (made + len(rows), self._number))
        return made + len(rows)

    def _make_row(self, number: int, record: Interval | Event) -> tuple[int, int, int, str, bool, bytes]:
        is_open = isinstance(record, Interval)
        data = encode_record(msgspec.structs.replace(record, sequence=number))
        # A record is checked when it is read, and one that cannot be read would take all others with it.
        decode_record(data)
        return self._number, number, number, "interval" if is_open else "event", is_open, data

    def _read(self, connection: sqlite3.Connection, max_bytes: int, after: Position) -> Reading | None:
        records: list[TelemetryRecord] = []
        epoch, taken = 0, 0
        for number, _, data in connection.execute(_AFTER, (*after, MAX_RECORDS)):
            taken += len(data)
            if records and (number != epoch or taken > max_bytes):
                break
            epoch = number
            records.append(read_record(data))
        return self._make_reading(connection, epoch, tuple(records)) if records else None

    def _make_reading(self, connection: sqlite3.Connection, epoch: int, records: tuple[TelemetryRecord, ...]) -> Reading:
        name, made = connection.execute("SELECT name, made FROM epochs WHERE id = ?", (epoch,)).fetchone()
        first_held = read_number(connection, "SELECT first FROM records WHERE epoch = ? ORDER BY sequence LIMIT 1", epoch)
        position = Position(epoch, records[-1].sequence)
        if epoch == self._number:
            self._offered = max(self._offered, position.sequence)
        return Reading(Batch(epoch=name, first_held=first_held, made=made, records=records), position)

    def _acknowledge(self, connection: sqlite3.Connection, epoch: str, up_to: int) -> None:
        number = read_number(connection, "SELECT id FROM epochs WHERE name = ?", epoch)
        made = read_number(connection, "SELECT made FROM epochs WHERE id = ?", number)
        # Of an older epoch the server may know more than this file, where a power cut rolled it back.
        if number == self._number and up_to > made:
            raise WireError(f"epoch {epoch}", f"the server says that {up_to} is stored, and {made} is the highest number that was given out")
        with transaction(connection):
            connection.execute("DELETE FROM records WHERE epoch = ? AND sequence <= ?", (number, up_to))
            connection.execute(_FORGET, (self._epoch,))
