"""What differs between databases, and nowhere else: how SQLite is set up, and how a row is put in that may be there already."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Engine, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

#: How long a process waits for another's transaction to end.
BUSY_MS = 10_000
#: The auto_vacuum of a SQLite file whose free pages are given back when that is asked for.
_INCREMENTAL = 2
_INSERTS: dict[str, Callable[[Table], sqlite.Insert | postgresql.Insert]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def insert_or_ignore(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Put *rows* in; those whose key is there already change nothing."""
    if rows:
        connection.execute(_INSERTS[connection.dialect.name](table).on_conflict_do_nothing(), rows)


def upsert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]], *, keep: Sequence[str] = (), key: Sequence[str] = ()) -> None:
    """Put *rows* in, all with the same columns; where the key is there already its other columns are replaced, but for *keep*.

    The key is the table's own, unless *key* names another that is unique.
    """
    if not rows:
        return
    statement = _INSERTS[connection.dialect.name](table)
    key = key or [column.name for column in table.primary_key]
    replaced = {name: statement.excluded[name] for name in rows[0] if name not in key and name not in keep}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=replaced), rows)


def set_up_writer(engine: Engine) -> None:
    """Durable writing: WAL, flushed at each commit, and the write lock taken when a transaction begins.

    A transaction that only takes the lock at its first write could fail there, after it has read what is no longer so.
    """
    _set_up(engine, begin="BEGIN IMMEDIATE", pragmas=("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"))


def set_up_reader(engine: Engine) -> None:
    """Reading alone, from one snapshot a transaction; a write is refused."""
    _set_up(engine, begin="BEGIN", pragmas=("query_only = ON",))


def is_shrinkable(engine: Engine) -> bool:
    """Whether the file can become smaller when rows are removed: SQLite decides that when it writes the file."""
    with contextlib.closing(engine.raw_connection()) as connection, contextlib.closing(connection.cursor()) as cursor:
        cursor.execute("PRAGMA auto_vacuum")
        return cursor.fetchall() == [(_INCREMENTAL,)]


def make_shrinkable(engine: Engine) -> None:
    """Write the file anew, so that it can become smaller; it may need room for two copies meanwhile, and for long.

    Raises:
        sqlite3.DatabaseError: it cannot be done; the file is as it was.
    """
    with contextlib.closing(engine.raw_connection()) as connection, contextlib.closing(connection.cursor()) as cursor:
        for statement in (f"PRAGMA auto_vacuum = {_INCREMENTAL}", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
            cursor.execute(statement)
            cursor.fetchall()


def count_used_bytes(connection: Connection) -> int:
    """How large the database is without the pages that nothing lies in."""
    pages, free, size = (connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("page_count", "freelist_count", "page_size"))
    return int((pages - free) * size)


def give_back_pages(connection: Connection, pages: int) -> int:
    """Give at most *pages* pages that nothing lies in back to the disk; how many that were, 0 where the file is not shrinkable.

    The file itself becomes smaller when the write-ahead log is next carried over.
    """
    before = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
    with contextlib.closing(connection.connection.cursor()) as cursor:
        # One page a statement: the driver of some Pythons ends a statement without columns after its first step, a page.
        for _ in range(min(pages, before)):
            cursor.execute("PRAGMA incremental_vacuum(1)")
            cursor.fetchall()
    return int(before - connection.exec_driver_sql("PRAGMA freelist_count").scalar_one())


def _set_up(engine: Engine, begin: str, pragmas: Sequence[str]) -> None:
    def on_connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        # The driver's own transactions are turned off, since it would begin them late and without the lock.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (f"busy_timeout = {BUSY_MS}", *pragmas):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
