"""agent.toml is read into a frozen record, or refused by the name of the field that is wrong."""

from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit_agent.config import STATE_VARIABLE, find_state, load_config, parse_address

WHOLE = """
state = "/var/lib/edgekit"
[api]
http = "127.0.0.1:9000"
[releases]
from = "https://releases.example.org/"
trust_root = "/etc/edgekit/root.json"
poll_s = 30
[[models]]
release = "digits@1.0.0"
threads = 2
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    return path


def test_a_whole_configuration_is_read(tmp_path):
    """Every field of the file is in the record."""
    config = load_config(write(tmp_path, WHOLE))
    assert config.releases is not None
    assert (config.state, config.api.http, config.releases.location, config.releases.poll_s) == (
        "/var/lib/edgekit",
        "127.0.0.1:9000",
        "https://releases.example.org/",
        30,
    )
    assert [(model.name, model.release, model.threads) for model in config.models] == [("digits", "digits@1.0.0", 2)]
    assert (config.threads_of("digits"), config.threads_of("other")) == (2, 1)


def test_a_device_of_a_fleet_is_configured(tmp_path):
    """What a device is told of itself and of its fleet is in the record, with what most devices need as defaults."""
    config = load_config(
        write(
            tmp_path,
            """
[device]
id = "roof-1"
labels = { site = "roof", note = "<b>" }
runtimes = ["litert"]
inventory = "/etc/edgekit/gpu-host"
simulated = true
[releases]
from = "http://127.0.0.1:8420/releases/"
[fleet]
broker = "mqtt://user:secret@127.0.0.1:1884"
""",
        )
    )
    assert (config.device.id, config.device.labels, config.device.runtimes) == ("roof-1", {"site": "roof", "note": "<b>"}, ("litert",))
    assert config.fleet is not None
    assert (config.fleet.address.host, config.fleet.address.port, config.fleet.address.password) == ("127.0.0.1", 1884, "secret")
    assert (config.fleet.shards, config.fleet.mqtt, config.telemetry.interval_s, config.telemetry.max_mb) == (16, "auto", 60.0, 64)


def test_an_empty_configuration_has_defaults(tmp_path):
    """A file with nothing in it listens on loopback and installs nothing."""
    config = load_config(write(tmp_path, ""))
    assert (config.api.http, config.releases, config.models) == ("127.0.0.1:8080", None, ())


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[api]\nhttp = 8080", "api.http: Expected `str`, got `int`"),
        ("[api]\nhtpp = '127.0.0.1:1'", "htpp"),
        ("[api]\nhttp = '0.0.0.0:8080'", "api.http: '0.0.0.0:8080' is not a loopback address"),
        ("[api]\nmax_connections = 0", "api.max_connections"),
        ("[releases]\npoll_s = 5", "from"),
        ("[releases]\nfrom = 'd'\npoll_s = 0", "releases.poll_s"),
        ("[[models]]\nrelease = 'digits'", "models[0].release 'digits'"),
        ("[[models]]\nrelease = 'digits@1.0.0'\nthreads = 'two'", "models[0].threads"),
        ("[[models]]\nrelease = 'digits@1.0.0'\n[[models]]\nrelease = 'digits@1.1.0'", "'digits' more than once"),
        ("state = ", "not TOML"),
        ("[device]\nid = 'roof/1'", "device.id"),
        ("[device]\nlabels = {'a b' = 'x'}", "device.labels"),
        ("[device]\nruntimes = []", "device.runtimes"),
        ("[device]\ninventory = 'gpu-host'", "inventory and simulated = true belong together"),
        ("[device]\nsimulated = true", "inventory and simulated = true belong together"),
        ("[fleet]\nbroker = 'mqtt://b'", "releases is missing"),
        ("[fleet]\nbroker = 'http://b'\n[releases]\nfrom = 'd'", "fleet.broker"),
        ("[fleet]\nbroker = 'mqtts://b'\n[releases]\nfrom = 'd'", "fleet.broker: it asks for TLS"),
        ("[fleet]\nbroker = 'mqtt://b'\nshards = 0\n[releases]\nfrom = 'd'", "fleet.shards"),
        ("[fleet]\nbroker = 'mqtt://b'\nmqtt = '3.1'\n[releases]\nfrom = 'd'", "fleet.mqtt"),
        ("[fleet]\nbroker = 'mqtt://b'\n[releases]\nfrom = 'd'\n[[models]]\nrelease = 'digits@1.0.0'", "in a fleet it is the fleet that says"),
        ("[telemetry]\ninterval_s = 0", "telemetry.interval_s"),
        ("[telemetry]\nmax_mb = 0", "telemetry.max_mb"),
    ],
)
def test_a_wrong_field_is_named(tmp_path, text, named):
    """A refusal names the file, the field, and what was expected there."""
    with pytest.raises(InputError) as refusal:
        load_config(write(tmp_path, text))
    assert "agent.toml" in str(refusal.value)
    assert named in str(refusal.value)


def test_a_missing_file_is_refused(tmp_path):
    """A configuration that is not there is bad input, not a crash."""
    with pytest.raises(InputError, match="cannot be read"):
        load_config(tmp_path / "none.toml")


@pytest.mark.parametrize("text", ["127.0.0.1:0", "localhost:8080", "[::1]:8080", "127.8.8.8:1"])
def test_loopback_addresses_are_accepted(text):
    """Any loopback address with a port will do, and is written as it was read."""
    assert str(parse_address(text, "--http")) == text


@pytest.mark.parametrize("text", ["8080", ":8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:٣", "127.0.0.1:8 0"])
def test_what_is_no_address_is_refused(text):
    """An address needs a host and a port from 0 to 65535."""
    with pytest.raises(InputError, match="not an address"):
        parse_address(text, "--http")


@pytest.mark.parametrize("text", ["0.0.0.0:80", "[::]:80", "192.168.1.5:80", "device.local:80"])
def test_other_machines_are_not_let_in(text):
    """Without encryption and passwords nothing listens beyond loopback."""
    with pytest.raises(InputError, match=r"--http: .*neither encryption nor passwords"):
        parse_address(text, "--http")


def test_the_state_directory_is_found_in_order(tmp_path, monkeypatch):
    """The command line comes before the configuration, and that before the environment."""
    config = load_config(write(tmp_path, WHOLE))
    monkeypatch.setenv(STATE_VARIABLE, "/from/environment")
    assert find_state(Path("/given"), config) == Path("/given")
    assert find_state(None, config) == Path("/var/lib/edgekit")
    assert find_state(None) == Path("/from/environment")


def test_without_any_word_the_state_is_the_users_own(monkeypatch):
    """Root keeps it with the system's state, others with their own."""
    monkeypatch.delenv(STATE_VARIABLE, raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert find_state(None) == Path("/var/lib/edgekit")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", "/home/somebody/.local/state")
    assert find_state(None) == Path("/home/somebody/.local/state/edgekit")
