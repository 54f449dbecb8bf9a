"""A fleet's directory and what its ``fleet.toml`` says.

``fleet.toml`` the settings, ``director.pem`` the key that signs what devices should have, ``store.db`` everything that is
known, ``broker/`` the broker's own files, ``trust/`` what was seen of the release repository, and, while the server is up,
``running.json``: where it is reached.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from edgekit.addresses import Endpoint, parse_broker
from edgekit.errors import InputError
from edgekit.files import write_file
from edgekit.fleet.retention import Retention
from edgekit.records import Record
from edgekit.toml_files import decode_toml
from edgekit.topics import SHARDS

SETTINGS = "fleet.toml"


@dataclass(frozen=True)
class FleetDirectory:
    """The names of everything in the directory *root*."""

    root: Path

    @property
    def settings(self) -> Path:
        """The settings."""
        return self.root / SETTINGS

    @property
    def store(self) -> Path:
        """The database."""
        return self.root / "store.db"

    @property
    def broker(self) -> Path:
        """The directory of the broker."""
        return self.root / "broker"

    @property
    def trust(self) -> Path:
        """What was seen of the release repository."""
        return self.root / "trust"

    @property
    def running(self) -> Path:
        """Where the server is reached, while it is up."""
        return self.root / "running.json"

    @property
    def lock(self) -> Path:
        """Held by the one server that may be at work here."""
        return self.root / ".lock"


class FleetSettings(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``fleet.toml`` says.

    *releases* is the release repository, a directory. *shards* is fixed when the fleet is made, and devices are told. *broker*
    is the address of a broker that somebody else runs; without it the fleet runs its own on *mqtt*. *store* is how long is remembered.
    """

    releases: Annotated[str, Meta(min_length=1)]
    shards: Annotated[int, Meta(ge=1, le=1024)] = SHARDS
    http: Endpoint = Endpoint(port=8420)
    mqtt: Endpoint = Endpoint(port=1883)
    broker: str | None = None
    store: Retention = Retention()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.broker is not None:
            parse_broker(self.broker, "broker")

    def change(self, *, http: Endpoint | None, mqtt: Endpoint | None, broker: str | None) -> "FleetSettings":
        """The same settings with what is given in their place."""
        return msgspec.structs.replace(self, http=http or self.http, mqtt=mqtt or self.mqtt, broker=broker or self.broker)

    def find_repository(self, directory: FleetDirectory) -> Path:
        """The release repository; where it is written without a root, it is below *directory*."""
        return directory.root / self.releases


class Running(Record, frozen=True, kw_only=True):
    """Where a server that is up is reached: *http* for people and agents, *releases* below it, *mqtt* for agents."""

    pid: int
    http: str
    releases: str
    mqtt: str
    shards: int


def write_settings(directory: FleetDirectory, settings: FleetSettings) -> None:
    """Put *settings* into *directory* as TOML; DeviceError where it cannot be written."""
    lines = [
        f"releases = {_quote(settings.releases)}",
        "# Fixed when the fleet is made: devices are told how many there are.",
        f"shards = {settings.shards}",
        *([f"broker = {_quote(settings.broker)}"] if settings.broker else []),
        *_section("http", settings.http),
        *_section("mqtt", settings.mqtt),
        "",
        "[store]",
        "# What is older goes, and the oldest where the database would be larger.",
        *(f"{name} = {getattr(settings.store, name)}" for name in settings.store.__struct_fields__),
    ]
    write_file(directory.settings, ("\n".join(lines) + "\n").encode())


def read_settings(directory: FleetDirectory) -> FleetSettings:
    """The settings in *directory*; InputError names the file, and the field that is wrong."""
    path = directory.settings
    try:
        fields = decode_toml(path.read_bytes())
    except OSError as error:
        raise InputError(
            directory.root, f"there is no fleet: {SETTINGS} cannot be read ({error.strerror})", "Make one: edgekit fleet init DIR."
        ) from error
    except ValueError as error:
        raise InputError(path, f"it is not TOML: {error}", "Correct the line named.") from error
    return _convert(fields, path)


def _convert(fields: dict[str, Any], path: Path) -> FleetSettings:
    try:
        return msgspec.convert(fields, FleetSettings)
    except (msgspec.ValidationError, InputError) as error:
        raise InputError(path, f"a setting is wrong: {error}", "Correct the field named, or make the fleet again elsewhere and compare.") from error


def _section(name: str, endpoint: Endpoint) -> list[str]:
    return ["", f"[{name}]", f"host = {_quote(endpoint.host)}", f"port = {endpoint.port}"]


def _quote(text: str) -> str:
    # JSON's escapes are those of TOML's basic strings, but that TOML forbids a bare DEL (TOML 1.0.0, "String").
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")
