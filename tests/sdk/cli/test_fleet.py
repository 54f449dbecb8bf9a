"""``edgekit fleet`` as a person types it."""

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgekit.cli.fleet import fleet
from edgekit.errors import InputError, TransferError
from edgekit.fleet.director import load_director
from edgekit.fleet.retention import Retention
from edgekit.fleet.settings import FleetDirectory
from edgekit.fleet.store.database import open_store
from edgekit.fleet.store.pruning import prune
from edgekit.releases.client import visiting
from edgekit.telemetry import Event, Lost


def run(*argv: str) -> Result:
    return CliRunner().invoke(fleet, argv)


def test_a_fleet_is_made_and_its_repository_knows_the_director(tmp_path: Path, keys: Path) -> None:
    """Init says where the fleet is and which root its devices trust, and what comes next."""
    place, releases = tmp_path / "my-fleet", tmp_path / "releases"
    done = run("init", str(place), "--releases", str(releases), "--keys", str(keys), "--shards", "8")
    assert done.exit_code == 0, done.output
    assert f"edgekit fleet up {place}" in done.stderr
    with visiting(str(releases)) as (client, root):
        assert client.read_director_keys() == [load_director(place).public_key]
    assert root in done.stdout
    assert "shards = 8" in (place / "fleet.toml").read_text()


def test_init_tells_programs_the_same(tmp_path: Path, keys: Path) -> None:
    """With --json stdout is one JSON value."""
    done = run("init", str(tmp_path / "f"), "--releases", str(tmp_path / "r"), "--keys", str(keys), "--json")
    told = json.loads(done.stdout)
    assert told["releases"] == str(tmp_path / "r")
    assert told["root"].startswith("sha256:")


def test_init_needs_the_repositorys_keys(tmp_path: Path) -> None:
    """Whoever cannot sign for the repository makes no fleet of it."""
    done = run("init", str(tmp_path / "f"), "--releases", str(tmp_path / "r"), "--keys", str(tmp_path / "none"))
    assert isinstance(done.exception, InputError)
    assert not (tmp_path / "f" / "fleet.toml").exists()


def test_status_says_how_the_server_is(fleet_server: str, add_device: Callable[..., None]) -> None:
    """Version, broker, and how many devices there are, as a table and as JSON."""
    add_device("for-status")
    done = run("status", "--server", fleet_server)
    assert done.exit_code == 0, done.output
    assert "answers" in done.stdout
    told = json.loads(run("status", "--server", fleet_server, "--json").stdout)
    assert told["shards"] == 2
    assert told["devices"] >= 1


def test_a_server_that_is_away_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address comes from the environment where no option names it, and the error has it."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = f"http://127.0.0.1:{gone.getsockname()[1]}"
    monkeypatch.setenv("EDGEKIT_FLEET", address)
    done = run("status")
    assert isinstance(done.exception, TransferError)
    assert address in str(done.exception)


def test_an_audit_proves_that_made_is_stored_and_lost(fleet_server: str, add_device: Callable[..., None]) -> None:
    """Where every record is stored or known to be lost, the sum is said and the exit code is 0."""
    add_device("settled", made=4, records=(Event(1, 1, "test"), Lost(3, 2), Event(4, 1, "test")))
    done = run("audit", "--device", "settled", "--server", fleet_server)
    assert done.exit_code == 0, done.output
    assert "4 records made = 2 stored + 2 known to be lost" in done.stdout
    told = json.loads(run("audit", "--device", "settled", "--server", fleet_server, "--json").stdout)
    assert told["settled"] is True
    assert [told[name] for name in ("made", "stored", "lost", "missing")] == [4, 2, 2, 0]


def test_an_audit_tells_what_is_missing(fleet_server: str, add_device: Callable[..., None]) -> None:
    """A record that is neither stored nor known to be lost is exit code 1, after no longer a wait than was given."""
    add_device("unsettled", made=3, records=(Event(1, 1, "test"),))
    done = run("audit", "--device", "unsettled", "--wait", "0.2", "--server", fleet_server)
    assert done.exit_code == 1
    assert "2 of 3 records are neither stored nor known to be lost" in done.stdout


def test_an_audit_says_what_is_past_retention(fleet_directory: FleetDirectory, fleet_server: str, add_device: Callable[..., None]) -> None:
    """What was removed is stored in the sum, the exit code is that of before, and how much it is stands below and in the table."""
    add_device("ancient", made=3, records=(Event(1, 1, "test"), Event(2, time.time_ns() // 1_000_000, "test"), Lost(3, 3)))
    with open_store(fleet_directory.store) as store:
        store.submit_write(prune, Retention(), time.time_ns() // 1_000_000).result(10)
    done = run("audit", "--device", "ancient", "--server", fleet_server)
    assert done.exit_code == 0, done.output
    assert "3 records made = 2 stored + 1 known to be lost.\nOf the 2 stored, 1 are past retention" in done.stdout
    assert "past retention" in done.stdout.splitlines()[0]
    told = json.loads(run("audit", "--device", "ancient", "--server", fleet_server, "--json").stdout)
    assert [told[name] for name in ("made", "stored", "pruned", "lost", "missing", "settled")] == [3, 2, 1, 1, 0, True]
    assert [one["pruned"] for one in told["streams"]] == [1]


@pytest.mark.parametrize("command", ["init", "up", "status", "audit"])
def test_each_command_shows_an_example(command: str) -> None:
    """--help of each command has one line that can be typed."""
    assert f"Example: edgekit fleet {command}" in run(command, "--help").output
