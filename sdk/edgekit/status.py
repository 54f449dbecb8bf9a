"""What a device says of where it stands: repeated until the server has said that it knows."""

from typing import Annotated

from msgspec import Meta

from edgekit.deployment import Deployment, Millis
from edgekit.records import Digest, Name, Record
from edgekit.targets import Hardware
from edgekit.telemetry import Epoch


class ModelStatus(Record, frozen=True, kw_only=True):
    """One model on the device: the release that answers, its manifest's digest and variant, and the newest deployment."""

    model: Name
    release: Annotated[str, Meta(max_length=160)] | None = None
    digest: Digest | None = None
    variant: str = ""
    runtime: str = ""
    previous: Annotated[str, Meta(max_length=160)] | None = None
    deployment: Deployment | None = None


class DeviceStatus(Record, frozen=True, kw_only=True):
    """The device as it stands at *at_ms* (its own clock). *counter* is that of the newest desired state that it accepted.

    *revision* grows with each change, so that an old status that a broker delivers late is told from a new one of the same
    *epoch*. *online* is False in the last will, which the broker sends in the device's place; it then has nothing else.
    """

    device: Name
    online: bool = True
    epoch: Epoch = "0" * 16
    revision: Annotated[int, Meta(ge=0, lt=1 << 53)] = 0
    at_ms: Millis = 0
    counter: Annotated[int, Meta(ge=0, lt=1 << 53)] = 0
    models: Annotated[tuple[ModelStatus, ...], Meta(max_length=64)] = ()
    refused: Annotated[str, Meta(max_length=2000)] = ""


class RuntimeVersion(Record, frozen=True, kw_only=True):
    """An installed runtime."""

    name: Annotated[str, Meta(max_length=64)]
    version: Annotated[str, Meta(max_length=64)]
    formats: Annotated[tuple[str, ...], Meta(max_length=16)] = ()


class DeviceInventory(Record, frozen=True, kw_only=True):
    """What a device is made of and what it can run. *simulated* says that the hardware is declared, not found."""

    device: Name
    hardware: Hardware
    target: Annotated[str, Meta(max_length=64)]
    runtimes: Annotated[tuple[RuntimeVersion, ...], Meta(max_length=16)] = ()
    agent_version: Annotated[str, Meta(max_length=64)] = ""
    labels: dict[str, str] = {}
    simulated: bool = False


class Stored(Record, frozen=True, kw_only=True):
    """The server's word, after its commit: of *epoch* everything up to *up_to* is stored or known to be lost.

    *status_revision* is the newest status of that epoch that it has stored, and *inventory* the digest of the inventory.
    """

    epoch: Epoch
    up_to: Annotated[int, Meta(ge=0)]
    status_revision: Annotated[int, Meta(ge=0)] = 0
    inventory: Digest | None = None
