"""The outbox's file: an SQLite database that one process has open, with a write-ahead log that survives kill -9."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekit.errors import DeviceError, WireError
from edgekit.files import naming_disk_errors, sync_directory
from edgekit.telemetry import TelemetryRecord, decode_record

#: What ``PRAGMA user_version`` says; a file with another was made by another edgekit.
SCHEMA = 1

# Exclusive: a second agent is told so, and there is no shared-memory file, whose mapping would kill the process on a full disk.
_OPENING = (
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = WAL",
    "PRAGMA wal_autocheckpoint = 256",
    "PRAGMA journal_size_limit = 1048576",
    "PRAGMA cache_size = -1024",
)
# *first* to *sequence* are the numbers that a row stands for, *span* is how many intervals it was made of, and *open* is whether
# it may still become longer.
_TABLES = (
    "CREATE TABLE epochs (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, made INTEGER NOT NULL)",
    """CREATE TABLE records (
        epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, first INTEGER NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('interval', 'event', 'lost')), span INTEGER NOT NULL, open INTEGER NOT NULL,
        data BLOB NOT NULL, PRIMARY KEY (epoch, sequence)
    ) WITHOUT ROWID""",
    "CREATE INDEX open_intervals ON records (epoch, sequence) WHERE open = 1",
    f"PRAGMA user_version = {SCHEMA}",
)


class Corrupt(DeviceError):
    """The file is damaged, or is none of ours."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(path, f"it cannot be read: {reason}", "It is set aside, and a new one begun.")


def open_database(path: Path) -> sqlite3.Connection:
    """The database at *path*, made where there is none.

    Raises:
        Corrupt: it is no database, or not of this schema.
        DeviceError: the disk is full or cannot be written, or another process has it open.
    """
    with naming_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with naming_database_errors(path):
        connection = sqlite3.connect(path, timeout=0.25, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    sync_directory(path.parent)
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    for statement in _OPENING:
        connection.execute(statement)
    version = read_number(connection, "PRAGMA user_version")
    if version == 0 and read_number(connection, "SELECT count(*) FROM sqlite_master") == 0:
        with transaction(connection):
            for statement in _TABLES:
                connection.execute(statement)
    elif version != SCHEMA:
        raise Corrupt(path, f"its schema is {version}, and {SCHEMA} is expected")


def read_number(connection: sqlite3.Connection, query: str, *arguments: int | str) -> int:
    """The one number that *query* gives; 0 where it gives no row."""
    row = connection.execute(query, arguments).fetchone()
    return int(row[0]) if row is not None else 0


def read_record(data: bytes) -> TelemetryRecord:
    """The record in a row; Corrupt where it is none."""
    try:
        return decode_record(data)
    except WireError as error:
        raise Corrupt("outbox", str(error)) from error


@contextmanager
def transaction(connection: sqlite3.Connection, *, durable: bool = False) -> Iterator[None]:
    """All of the block or nothing of it. It survives kill -9, and a power cut too where it is *durable*, which costs an fsync."""
    connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def naming_database_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's words into ours: what time or room may mend is a DeviceError, and a damaged file is Corrupt."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise DeviceError(path, f"it cannot be used: {error}", "Give the disk room, and start one agent only in this directory.") from error
    except sqlite3.DatabaseError as error:
        raise Corrupt(path, str(error)) from error


def set_aside(path: Path) -> Path:
    """Rename the database at *path*, with its log, to ``<stem>.corrupt-<unix time>``; an earlier one that was set aside is removed."""
    with naming_disk_errors(path):
        for old in path.parent.glob(f"{path.stem}.corrupt-*"):
            old.unlink()
        aside = path.with_name(f"{path.stem}.corrupt-{int(time.time())}")
        for suffix in ("", "-wal"):
            source = path.with_name(path.name + suffix)
            if source.exists():
                source.rename(aside.with_name(aside.name + suffix))
        sync_directory(path.parent)
    return aside
