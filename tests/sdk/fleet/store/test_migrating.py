"""Migrations: a new database, an old one, and one that is ahead of us."""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from edgekit.errors import InputError
from edgekit.fleet.retention import DAY_MS, Retention
from edgekit.fleet.store.auditing import AuditLine, audit
from edgekit.fleet.store.database import open_store
from edgekit.fleet.store.events import list_events
from edgekit.fleet.store.migrating import MIGRATIONS, StoreTooNew
from edgekit.fleet.store.pruning import prune, shrink
from edgekit.fleet.store.tables import metadata
from edgekit.fleet.store.uploads import store_uploads
from edgekit.telemetry import Batch, Event, encode_record


def test_migrations_make_the_tables_that_the_code_knows(read: Callable[..., Any]) -> None:
    """A database that went through all migrations differs in nothing from what tables.py says."""
    assert read(lambda connection: compare_metadata(MigrationContext.configure(connection), metadata)) == []


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    """The message names the file and its revision, and says to update."""
    path = tmp_path / "store.db"
    with open_store(path):
        pass
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreTooNew, match=r"store\.db.*9999.*Update edgekit") as caught, open_store(path):
        pass
    assert isinstance(caught.value, InputError)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]
    connection.close()


def test_a_migration_that_was_cut_off_left_nothing(tmp_path: Path) -> None:
    """Migrating is one transaction: a file that holds nothing yet, as a killed process leaves it, is migrated from the beginning."""
    path = tmp_path / "store.db"
    sqlite3.connect(path).close()
    with open_store(path) as store:
        assert store.submit_read(lambda connection: MigrationContext.configure(connection).get_current_revision()).result() == find_head()


def find_head() -> str | None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(config).get_current_head()


def test_there_is_one_line_of_revisions() -> None:
    """Each revision has one successor, so that every database is on one way to the same head."""
    assert find_head() is not None


EPOCH = "a" * 16


def make_event(number: int) -> Event:
    return Event(sequence=number, at_ms=number, kind="x", text="x" * 200)


def write_as_first_version(path: Path, records: int) -> None:
    """A database as the first version left it, with a device that made some records and lost one."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    rows = [("roof", EPOCH, number, 2, number, "", "", encode_record(make_event(number))) for number in range(1, records + 1)]
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("INSERT INTO devices VALUES ('roof', 'unknown', 1, 1, 1, 0, NULL, NULL, '[]', '{}', '{}')")
        connection.execute("INSERT INTO epochs VALUES ('roof', ?, ?, ?, ?, 1, '[]', 7, 1)", (EPOCH, records + 1, records + 1, records))
        connection.executemany("INSERT INTO telemetry VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        connection.executemany("INSERT INTO events (at_ms, kind, subject, text) VALUES (?, 'x', 'roof', 'x')", [(row[2],) for row in rows])


def test_a_database_of_the_first_version_keeps_what_it_has(tmp_path: Path) -> None:
    """Nothing of it was removed so far, its books say what they said, and what is sent again is still a duplicate."""
    path = tmp_path / "store.db"
    write_as_first_version(path, 20)
    line = AuditLine(device="roof", epoch=EPOCH, made=21, stored=20, lost=1)
    with open_store(path) as store:
        assert store.submit_read(audit).result() == [line]
        assert len(store.submit_read(list_events).result()) == 20
        assert store.submit_read(lambda connection: compare_metadata(MigrationContext.configure(connection), metadata)).result() == []
        batch = Batch(epoch=EPOCH, first_held=1, made=21, records=tuple(map(make_event, range(1, 21))))
        assert store.submit_write(store_uploads, (), [("roof", batch)], 5).result().duplicates == 20
        assert store.submit_read(audit).result() == [line]


def test_a_database_of_the_first_version_becomes_smaller(tmp_path: Path) -> None:
    """It is written anew when it is opened, so that what is removed afterwards is given back to the disk, with the same verdict."""
    path = tmp_path / "store.db"
    write_as_first_version(path, 5000)
    before = path.stat().st_size
    with open_store(path) as store:
        while store.submit_write(prune, Retention(), 1000 * DAY_MS).result():
            pass
        assert store.submit_read(audit).result() == [AuditLine(device="roof", epoch=EPOCH, made=5001, stored=5000, lost=1, pruned=5000)]
        while store.submit_write(shrink).result():
            pass
    assert path.stat().st_size < before / 5
