"""A fleet's directory and its settings."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.addresses import Endpoint
from edgekit.errors import InputError
from edgekit.fleet.retention import Retention
from edgekit.fleet.settings import FleetDirectory, FleetSettings, read_settings, write_settings


@pytest.fixture
def directory(tmp_path: Path) -> FleetDirectory:
    return FleetDirectory(root=tmp_path)


@given(
    releases=st.text(st.characters(codec="utf-8"), min_size=1, max_size=40),
    shards=st.integers(1, 1024),
    port=st.integers(0, 65535),
    store=st.builds(Retention, telemetry_days=st.integers(1, 36_500), events_days=st.integers(1, 36_500), max_gb=st.floats(0.01, 1e6)),
)
def test_settings_survive_their_file(tmp_path_factory: pytest.TempPathFactory, releases: str, shards: int, port: int, store: Retention) -> None:
    """Whatever the paths are called, what is written as TOML is read back the same."""
    directory = FleetDirectory(root=tmp_path_factory.mktemp("fleet"))
    broker = "mqtt://host" if port % 2 else None
    settings = FleetSettings(releases=releases, shards=shards, http=Endpoint(port=port), broker=broker, store=store)
    write_settings(directory, settings)
    assert read_settings(directory) == settings


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("releases = 7", "releases"),
        ("", "releases"),
        ('releases = "r"\nshards = 0', "shards"),
        ('releases = "r"\nshard = 4', "shard"),
        ('releases = "r"\n[http]\nport = 70000', r"http\.port"),
        ('releases = "r"\n[mqtt]\nhost = "a b"', r"mqtt\.host"),
        ('releases = "r"\nbroker = "amqp://host"', "broker"),
        ('releases = "r"\nstore = "x"', "store"),
        ('releases = "r"\n[store]\ntelemetry_days = 0', r"store\.telemetry_days"),
        ('releases = "r"\n[store]\ntelemetry_days = 1.5', r"store\.telemetry_days"),
        ('releases = "r"\n[store]\nevents_days = true', r"store\.events_days"),
        ('releases = "r"\n[store]\nmax_gb = 0', r"store\.max_gb"),
        ('releases = "r"\n[store]\nmax_gb = nan', r"store\.max_gb"),
        ('releases = "r"\n[store]\nmax_gb = inf', r"store\.max_gb"),
        ('releases = "r"\n[store]\nmax_gb = "10"', r"store\.max_gb"),
        ('releases = "r"\n[store]\ndays = 3', "days"),
        ("releases = ", "not TOML"),
        ('releases = "\xff"'.encode("latin-1"), "not TOML"),
    ],
)
def test_a_wrong_setting_is_named_with_its_file(directory: FleetDirectory, text: str | bytes, named: str) -> None:
    """The refusal has the file and the field, so that one knows where to go."""
    directory.settings.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=rf"fleet\.toml.*{named}"):
        read_settings(directory)


def test_what_is_not_said_is_remembered_for_a_month(directory: FleetDirectory) -> None:
    """A fleet that was made before there was [store] has its defaults: 30 days, a year, and 10 GB, each by itself."""
    directory.settings.write_text('releases = "r"\n')
    assert read_settings(directory).store == Retention(telemetry_days=30, events_days=365, max_gb=10)
    directory.settings.write_text('releases = "r"\n[store]\nmax_gb = 2\n')
    assert read_settings(directory).store == Retention(telemetry_days=30, events_days=365, max_gb=2)


def test_a_directory_without_fleet_says_how_to_make_one(directory: FleetDirectory) -> None:
    """Where there is no fleet.toml, edgekit fleet init is named."""
    with pytest.raises(InputError, match="edgekit fleet init"):
        read_settings(directory)


def test_the_repository_may_lie_below_the_fleet(directory: FleetDirectory) -> None:
    """A path without a root is below the fleet's directory, whatever directory the server was started in."""
    assert FleetSettings(releases="releases").find_repository(directory) == directory.root / "releases"
    assert FleetSettings(releases="/srv/releases").find_repository(directory) == Path("/srv/releases")


def test_what_is_given_takes_the_place_of_what_is_written() -> None:
    """Options of one run change what they name, and leave the rest."""
    settings = FleetSettings(releases="r", broker="mqtt://one")
    changed = settings.change(http=Endpoint(port=1), mqtt=None, broker=None)
    assert changed == FleetSettings(releases="r", broker="mqtt://one", http=Endpoint(port=1))
