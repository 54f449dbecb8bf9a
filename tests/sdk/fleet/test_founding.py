"""How a fleet begins."""

from datetime import datetime, timezone
from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit.fleet.director import load_director
from edgekit.fleet.founding import found_fleet
from edgekit.fleet.settings import FleetDirectory, FleetSettings, read_settings
from edgekit.releases.client import visiting

NOW = datetime.now(timezone.utc)


@pytest.fixture
def settings(tmp_path: Path) -> FleetSettings:
    return FleetSettings(releases=str(tmp_path / "releases"))


def test_devices_of_a_new_fleet_know_its_director(tmp_path: Path, keys: Path, settings: FleetSettings) -> None:
    """The directory has settings and a key that is its owner's alone, and the repository names that key."""
    directory = FleetDirectory(root=tmp_path / "fleet")
    found_fleet(directory, settings, keys, NOW)
    assert read_settings(directory) == settings
    with visiting(settings.releases) as (client, _):
        assert client.read_director_keys() == [load_director(directory.root).public_key]
    assert directory.root.stat().st_mode & 0o777 == 0o700


def test_a_fleet_is_never_made_over_another(tmp_path: Path, keys: Path, settings: FleetSettings) -> None:
    """A directory that has a fleet is refused and keeps its director."""
    directory = FleetDirectory(root=tmp_path / "fleet")
    found_fleet(directory, settings, keys, NOW)
    before = load_director(directory.root).public_key
    with pytest.raises(InputError, match="there is a fleet in it already"):
        found_fleet(directory, settings, keys, NOW)
    assert load_director(directory.root).public_key == before


def test_what_broke_off_is_ended_by_the_same_call(tmp_path: Path, keys: Path, settings: FleetSettings) -> None:
    """Without the repository's keys no fleet is made; with them the call that follows goes on with the same director."""
    directory = FleetDirectory(root=tmp_path / "fleet")
    with pytest.raises(InputError, match="there are no keys"):
        found_fleet(directory, settings, tmp_path / "no-keys", NOW)
    assert not directory.settings.exists()
    begun = load_director(directory.root).public_key
    found_fleet(directory, settings, keys, NOW)
    assert load_director(directory.root).public_key == begun


def test_a_second_fleet_does_not_take_the_first_ones_devices(tmp_path: Path, keys: Path, settings: FleetSettings) -> None:
    """One repository has one director: another fleet's is refused unless it is to replace the first."""
    first, second = (FleetDirectory(root=tmp_path / name) for name in ("first", "second"))
    found_fleet(first, settings, keys, NOW)
    with pytest.raises(InputError, match="another director"):
        found_fleet(second, settings, keys, NOW)
    found_fleet(second, settings, keys, NOW, replacing=True)
    with visiting(settings.releases) as (client, _):
        assert client.read_director_keys() == [load_director(second.root).public_key]
