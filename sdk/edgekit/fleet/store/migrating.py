"""Bringing a database up to date, and refusing one that is ahead of us (Alembic; the migrations lie beside this module)."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.engine import Connection, Engine

from edgekit.errors import InputError

MIGRATIONS = Path(__file__).with_name("migrations")


class StoreTooNew(InputError):
    """A newer edgekit has written the database."""

    def __init__(self, path: Path, revision: str) -> None:
        super().__init__(
            path, f"it has revision {revision!r}, which this edgekit does not know", "Update edgekit on the server; nothing was changed."
        )


def migrate(engine: Engine, path: Path) -> None:
    """Bring the database behind *engine* to the newest revision, in one transaction; StoreTooNew where it is ahead."""
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        _check_known(connection, ScriptDirectory.from_config(config), path)
        command.upgrade(config, "head")


def _check_known(connection: Connection, scripts: ScriptDirectory, path: Path) -> None:
    revision = MigrationContext.configure(connection).get_current_revision()
    try:
        scripts.get_revision(revision or "head")
    except CommandError as error:
        raise StoreTooNew(path, str(revision)) from error
