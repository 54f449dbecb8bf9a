"""Migrations: a new database, an old one, and one that is ahead of us."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from edgekit.errors import InputError
from edgekit.fleet.store.database import open_store
from edgekit.fleet.store.migrating import MIGRATIONS, StoreTooNew
from edgekit.fleet.store.tables import metadata


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
