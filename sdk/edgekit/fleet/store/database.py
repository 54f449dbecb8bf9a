"""The open database: one thread writes, a few read, and nobody touches it on the event loop."""

import asyncio
import contextlib
import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, create_engine
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DatabaseError, DataError, IntegrityError, ProgrammingError

from edgekit.errors import DeviceError
from edgekit.files import naming_disk_errors
from edgekit.fleet.store.dialects import is_shrinkable, make_shrinkable, set_up_reader, set_up_writer
from edgekit.fleet.store.migrating import migrate

log = logging.getLogger(__name__)

READERS = 4
P = ParamSpec("P")
T = TypeVar("T")


class Store:
    """Runs functions of a connection, each in one transaction of its own; made by `open_store`.

    A function that returns is committed, one that raises changes nothing. Its errors are the function's own, and DeviceError
    where the database cannot be read or written: its disk is full, its file damaged, another process does not let go of it.
    """

    def __init__(self, path: Path, writer: Engine, reader: Engine, threads: tuple[ThreadPoolExecutor, ThreadPoolExecutor]) -> None:
        self.path = path
        self._writer, self._reader = writer, reader
        self._writing, self._reading = threads

    async def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work(connection, *args)`` in the writer's thread, in one transaction, after those asked for before it."""
        return await asyncio.wrap_future(self.submit_write(work, *args, **kwargs))

    async def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work(connection, *args)`` in a reader's thread, on what was committed when it began."""
        return await asyncio.wrap_future(self.submit_read(work, *args, **kwargs))

    def submit_write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """The same as `write`, for callers without an event loop."""
        return self._writing.submit(self._run, self._writer, lambda connection: work(connection, *args, **kwargs))

    def submit_read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """The same as `read`, for callers without an event loop."""
        return self._reading.submit(self._run, self._reader, lambda connection: work(connection, *args, **kwargs))

    def _run(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        with naming_database_errors(self.path), engine.begin() as connection:
            return work(connection)


@contextlib.contextmanager
def naming_database_errors(path: Path) -> Iterator[None]:
    """Say DeviceError where the database at *path* fails, with its own reason. What is wrong with a statement or a value stays as it is."""
    try:
        yield
    except (IntegrityError, DataError, ProgrammingError):
        raise
    except DatabaseError as error:
        raise DeviceError(
            path, f"the database answers {str(error.orig)!r}", "Look at its disk: room, rights, and damage; nothing was changed."
        ) from error


@contextlib.contextmanager
def open_store(path: Path) -> Iterator[Store]:
    """The database in the file *path*, made or brought up to date first; closed when the block ends.

    Raises:
        StoreTooNew: a newer edgekit has written it.
        DeviceError: it cannot be opened.
    """
    with naming_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        writer = _open_engine(stack, path, 1)
        set_up_writer(writer)
        with naming_database_errors(path):
            migrate(writer, path)
        _let_shrink(writer, path)
        reader = _open_engine(stack, path, READERS)
        set_up_reader(reader)
        writing = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="store-writer"))
        reading = stack.enter_context(ThreadPoolExecutor(READERS, thread_name_prefix="store-reader"))
        yield Store(path, writer, reader, (writing, reading))


def _let_shrink(writer: Engine, path: Path) -> None:
    """Let the file become smaller when rows are removed: at once for a new one, and once, in minutes, for a large one from before.

    Without it the room is used again, but not given back; so nothing fails where it cannot be done.
    """
    if is_shrinkable(writer):
        return
    size, free = path.stat().st_size, shutil.disk_usage(path.parent).free
    if free < 3 * size:
        log.warning("%s does not become smaller when old records are removed, until the disk has %d MB free", path, 3 * size // 1_000_000)
        return
    try:
        make_shrinkable(writer)
    except sqlite3.DatabaseError as error:
        log.warning("%s does not become smaller when old records are removed: it could not be written anew (%s)", path, error)


def _open_engine(stack: contextlib.ExitStack, path: Path, connections: int) -> Engine:
    engine = create_engine(URL.create("sqlite", database=str(path)), pool_size=connections, max_overflow=0)
    stack.callback(engine.dispose)
    return engine
