"""The open store: one transaction for each function, one writer, and errors that say what to do."""

import asyncio
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from edgekit.errors import DeviceError
from edgekit.fleet.store.database import Store, open_store
from edgekit.fleet.store.events import LoggedEvent, append_event, append_events, list_events
from edgekit.fleet.store.tables import leases, statuses


def count_events(connection: Connection) -> int:
    return len(list_events(connection, limit=100_000))


def append_and_fail(connection: Connection) -> None:
    append_event(connection, "x", "y", "z", 0)
    raise ValueError("no")


def test_what_raises_changes_nothing(write: Callable[..., Any], read: Callable[..., Any]) -> None:
    """A function's own error comes out as it is, and what it had written is not there."""
    with pytest.raises(ValueError, match="no"):
        write(append_and_fail)
    assert read(count_events) == 0


def test_what_was_committed_is_there_after_reopening(tmp_path: Path) -> None:
    """A store that is opened again has what was written before it was closed."""
    for number in range(2):
        with open_store(tmp_path / "deep" / "store.db") as store:
            assert store.submit_read(count_events).result() == number
            store.submit_write(append_event, "x", "y", "z", 0).result()


def test_writers_never_overlap(store: Store) -> None:
    """Many callers at once are served one after the other, by one thread that is not theirs."""
    inside: list[int] = []
    most: list[int] = []

    def work(connection: Connection) -> str:
        inside.append(1)
        most.append(len(inside))
        append_event(connection, "x", "y", "z", 0)
        inside.pop()
        return threading.current_thread().name

    async def work_at_once() -> set[str]:
        return set(await asyncio.gather(*[store.write(work) for _ in range(20)]))

    names = asyncio.run(work_at_once())
    assert (max(most), len(names)) == (1, 1)
    assert names.isdisjoint({threading.main_thread().name})


def test_a_reader_does_not_wait_for_a_writer(store: Store) -> None:
    """While a long transaction writes, reading goes on, and sees what was committed before."""
    begun, go_on = threading.Event(), threading.Event()

    def work(connection: Connection) -> None:
        append_event(connection, "x", "y", "z", 0)
        begun.set()
        assert go_on.wait(10)

    writing = store.submit_write(work)
    assert begun.wait(10)
    assert store.submit_read(count_events).result(10) == 0
    go_on.set()
    writing.result(10)
    assert store.submit_read(count_events).result(10) == 1


def test_a_reader_cannot_write(read: Callable[..., Any]) -> None:
    """A function that writes is refused where only reading is meant."""
    with pytest.raises(DeviceError, match="readonly"):
        read(append_event, "x", "y", "z", 0)


APPEND_MANY = """
import sys
from pathlib import Path
from edgekit.fleet.store.database import open_store
from edgekit.fleet.store.events import append_event

with open_store(Path(sys.argv[1])) as store:
    for number in range(30):
        store.submit_write(append_event, "x", "y", "z", number).result()
"""


def test_two_processes_write_at_once(store: Store, read: Callable[..., Any]) -> None:
    """Each waits for the other's transactions, and nothing is lost or refused."""
    processes = [subprocess.Popen([sys.executable, "-c", APPEND_MANY, store.path]) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert read(count_events) == 60


def test_it_writes_durably(store: Store) -> None:
    """The journal is a write-ahead log that is flushed at each commit, and foreign keys count."""

    def look(connection: Connection) -> list[Any]:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return [connection.execute(text(f"PRAGMA {name}")).scalar() for name in names]

    assert store.submit_write(look).result() == ["wal", 2, 1, 10_000]


def find_auto_vacuum(store: Store) -> Any:
    return store.submit_write(lambda connection: connection.execute(text("PRAGMA auto_vacuum")).scalar()).result()


def make_unshrinkable(path: Path) -> None:
    """A database of some MB, as one was made before files could become smaller."""
    with open_store(path) as store:
        store.submit_write(append_events, [LoggedEvent(at_ms=0, kind="x", subject="y", text="z" * 1900)] * 2000).result()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA auto_vacuum = NONE")
    connection.execute("VACUUM")
    connection.close()


def test_a_file_can_become_smaller(tmp_path: Path) -> None:
    """A new one is made so, and one from before is written anew when it is opened, with all that it has."""
    path = tmp_path / "store.db"
    make_unshrinkable(path)
    for _ in range(2):
        with open_store(path) as store:
            assert find_auto_vacuum(store) == 2
            assert store.submit_read(count_events).result() == 2000
    with open_store(tmp_path / "new.db") as store:
        assert find_auto_vacuum(store) == 2


OPEN_WITH_SMALL_FILES = """
import resource, sys
from pathlib import Path
from edgekit.fleet.store.database import open_store
from edgekit.fleet.store.events import append_event, list_events

resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
with open_store(Path(sys.argv[1])) as store:
    store.submit_write(append_event, "x", "y", "z", 0).result()
    print(len(store.submit_read(list_events, limit=10_000).result()))
"""


def test_a_file_that_cannot_be_written_anew_is_used_as_it_is(tmp_path: Path) -> None:
    """Where the system refuses to write so much, that is said, and the store works."""
    path = tmp_path / "store.db"
    make_unshrinkable(path)
    done = subprocess.run([sys.executable, "-c", OPEN_WITH_SMALL_FILES, path], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "2001\n"), done.stderr
    assert "does not become smaller when old records are removed: it could not be written anew" in done.stderr


def test_a_disk_without_room_is_left_with_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Writing a file anew never fills the disk: it is said how much room it needs, and it is done once there is."""
    path = tmp_path / "store.db"
    make_unshrinkable(path)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=path.stat().st_size * 2))
        with open_store(path) as store:
            assert find_auto_vacuum(store) == 0
    assert "until the disk has 12 MB free" in caplog.text
    with open_store(path) as store:
        assert find_auto_vacuum(store) == 2


def test_a_statement_that_is_wrong_is_no_fault_of_the_disk(write: Callable[..., Any]) -> None:
    """A row that breaks a foreign key says so itself, and is not tried again for ever."""
    row = {"device": "nobody", "epoch": "0" * 16, "revision": 1, "counter": 0, "stored_ms": 0, "status": b""}
    with pytest.raises(IntegrityError):
        write(lambda connection: connection.execute(statuses.insert(), row))


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """The message names the file, and the file is left as it is."""
    path = tmp_path / "store.db"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(DeviceError, match=r"store\.db.*not a database"), open_store(path):
        pass
    assert path.read_bytes() == b"this is no database" * 100


def test_a_damaged_database_is_a_device_error(tmp_path: Path) -> None:
    """Pages that were overwritten are noticed when they are read, and say DeviceError."""
    path = tmp_path / "store.db"
    with open_store(path) as store:
        for number in range(300):
            store.submit_write(append_event, "x", "y", "z" * 500, number).result()
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2 :] = b"\xff" * (len(damaged) - len(damaged) // 2)
    path.write_bytes(damaged)
    with pytest.raises(DeviceError, match="malformed"), open_store(path) as store:
        store.submit_read(list_events, limit=1000).result()


def test_a_lock_that_is_not_given_back_is_a_device_error(store: Store) -> None:
    """Another process that keeps the database for itself is waited for, and then named as the reason."""
    store.submit_write(lambda connection: connection.execute(text("PRAGMA busy_timeout = 50"))).result()
    other = sqlite3.connect(store.path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DeviceError, match="locked"):
            store.submit_write(append_event, "x", "y", "z", 0).result()
    finally:
        other.close()


def test_paths_may_have_any_name(tmp_path: Path) -> None:
    """A path with signs that mean something in a URL is a path nonetheless."""
    path = tmp_path / "a b%20c?d#e" / "store.db"
    with open_store(path) as store:
        assert store.submit_read(lambda connection: connection.execute(select(leases)).all()).result() == []
    assert path.exists()
