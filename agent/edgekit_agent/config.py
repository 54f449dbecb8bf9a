"""What an agent is told: ``agent.toml`` as a frozen record."""

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edgekit.addresses import BrokerAddress, parse_broker
from edgekit.errors import InputError
from edgekit.records import Name, Record, name_field
from edgekit.releases.versions import make_reference
from edgekit.toml_files import decode_toml
from edgekit.topics import SHARDS

#: Names the state directory where neither the command line nor the configuration does.
STATE_VARIABLE = "EDGEKIT_STATE"
DEFAULT_HTTP = "127.0.0.1:8080"
_REMEDY = "Correct it in that file; docs/reference/agent-config.md lists every field."


class Address(Record, frozen=True, kw_only=True):
    """Where the agent listens. Port 0 takes any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ApiSettings(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The local inference API: where it listens, how many connections it holds, how large a request may be."""

    http: str = DEFAULT_HTTP
    max_connections: Annotated[int, Meta(ge=1, le=4096)] = 64
    max_body_mb: Annotated[int, Meta(ge=1, le=4096)] = 64


class ReleaseSettings(Record, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"location": "from"}):
    """Where releases come from: a directory or a URL. *poll_s* is how long to wait before a refused one is tried again."""

    location: Annotated[str, Meta(min_length=1)]
    trust_root: str | None = None
    poll_s: Annotated[float, Meta(ge=1, le=86400)] = 60.0


class ModelSettings(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model that this device shall serve. *variant* overrides the agent's own choice."""

    release: str
    threads: Annotated[int, Meta(ge=1, le=256)] = 1
    variant: Name | None = None

    @property
    def name(self) -> str:
        """The model's name: the release's, without its version."""
        return self.release.partition("@")[0]


class DeviceSettings(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What this device is told of itself.

    Without an *id*, find_device_id makes one. *runtimes* are the only ones that are used, where they are named. *inventory*
    is the directory of a recorded machine that is described in place of this one, which *simulated* must own up to.
    """

    id: Name | None = None
    labels: Annotated[dict[Name, Annotated[str, Meta(max_length=200)]], Meta(max_length=32)] = {}
    runtimes: Annotated[tuple[str, ...], Meta(min_length=1)] | None = None
    inventory: Annotated[str, Meta(min_length=1)] | None = None
    simulated: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.simulated != (self.inventory is not None):
            raise ValueError("inventory and simulated = true belong together: hardware that is declared is labelled so everywhere")


class FleetSettings(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fleet that this device belongs to: its *broker*, and *shards* as the fleet was made with.

    *mqtt* is the version of the protocol; ``auto`` takes 5, and 3.1.1 where the broker does not know 5.
    """

    broker: str
    shards: Annotated[int, Meta(ge=1, le=1024)] = SHARDS
    mqtt: Literal["auto", "5", "3.1.1"] = "auto"

    @property
    def address(self) -> BrokerAddress:
        """Where the broker is."""
        return parse_broker(self.broker, "fleet.broker")


class TelemetrySettings(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often a record is made, and how many MiB may wait on the disk to be sent."""

    interval_s: Annotated[float, Meta(ge=0.1, le=3600)] = 60.0
    max_mb: Annotated[int, Meta(ge=1, le=65_536)] = 64


class AgentConfig(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The record in ``agent.toml``. Without a *state*, find_state says where the agent keeps what it installs.

    In a fleet it is the fleet that says which models are served, and so *models* has none.
    """

    state: str | None = None
    api: ApiSettings = ApiSettings()
    releases: ReleaseSettings | None = None
    models: tuple[ModelSettings, ...] = ()
    device: DeviceSettings = DeviceSettings()
    fleet: FleetSettings | None = None
    telemetry: TelemetrySettings = TelemetrySettings()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fleet is not None and self.models:
            raise ValueError("models names releases, and in a fleet it is the fleet that says what is served: remove [[models]] or [fleet]")
        if self.fleet is not None and self.releases is None:
            raise ValueError("releases is missing, and a device of a fleet needs a place to fetch them from")
        names = [model.name for model in self.models]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"models names {name!r} more than once, and one release of it can be active")

    def threads_of(self, model: str) -> int:
        """On how many threads *model* shall run."""
        return next((settings.threads for settings in self.models if settings.name == model), 1)


def load_config(path: Path) -> AgentConfig:
    """The configuration in the file *path*.

    Raises:
        InputError: it cannot be read, is no TOML, or a field is not what it should be; the message names the field.
    """
    try:
        data = decode_toml(path.read_bytes())
        config = msgspec.convert(data, AgentConfig)
    except OSError as error:
        raise InputError(path, f"it cannot be read: {error.strerror}", "Check the path given with --config.") from error
    except msgspec.ValidationError as error:
        raise InputError(path, name_field(str(error)), _REMEDY) from error
    except ValueError as error:
        raise InputError(path, f"it is not TOML: {error}", _REMEDY) from error
    parse_address(config.api.http, f"{path}: api.http")
    if config.fleet is not None:
        _check_broker(config.fleet.broker, f"{path}: fleet.broker")
    for index, model in enumerate(config.models):
        name, _, version = model.release.partition("@")
        make_reference(name, version, f"{path}: models[{index}].release {model.release!r}")
    return config


def _check_broker(text: str, subject: str) -> None:
    if parse_broker(text, subject).tls:
        raise InputError(subject, "it asks for TLS, which the agent does not speak", "Write mqtt://, and keep the broker on loopback or a VPN.")


def parse_address(text: str, subject: str) -> Address:
    """``127.0.0.1:8080`` or ``[::1]:8080`` as an address.

    Raises:
        InputError: it is neither, or it would let other machines in: the API asks nobody who they are.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (port.isascii() and port.isdigit() and int(port) < 1 << 16) or not host:
        raise InputError(subject, f"{text!r} is not an address with a port", f"Write it as {DEFAULT_HTTP}, or with port 0 for any free port.")
    if not _is_loopback(host):
        raise InputError(
            subject,
            f"{text!r} is not a loopback address, and the API has neither encryption nor passwords",
            f"Listen on {DEFAULT_HTTP}, and put a reverse proxy with TLS before it where other machines must reach it.",
        )
    return Address(host=host, port=int(port))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def find_state(given: Path | None, config: AgentConfig | None = None) -> Path:
    """The state directory: *given*, else the configuration's, else $EDGEKIT_STATE, else the system's or the user's own."""
    configured = config.state if config is not None else None
    named = given or configured or os.environ.get(STATE_VARIABLE)
    if named:
        return Path(named)
    if os.geteuid() == 0:
        return Path("/var/lib/edgekit")
    from platformdirs import user_state_path  # only a developer's machine comes this far

    return user_state_path("edgekit")
