"""MQTT topics: ``edgekit/v1/<shard>/<device>/up/<kind>`` and ``…/down/<kind>``, all QoS 1.

The shard is a fixed part of the fleet, so that its messages share one broker session and a worker can take it over.
"""

import hashlib
import re
from typing import Literal, NamedTuple

from edgekit.errors import WireError

ROOT = "edgekit/v1"
#: How many shards a fleet has, fixed when it is made and told to each device.
SHARDS = 16
QOS = 1

Up = Literal["telemetry", "status", "inventory"]
Down = Literal["deployment", "stored"]

_UP = re.compile(rf"{ROOT}/(\d{{1,4}})/([A-Za-z0-9][A-Za-z0-9_-]{{0,63}})/up/(telemetry|status|inventory)\Z")


class UpTopic(NamedTuple):
    """Where a device's message came in."""

    shard: int
    device: str
    kind: str


def find_shard(device: str, shards: int = SHARDS) -> int:
    """The shard of *device*: sha256 of its id, modulo the number of shards."""
    return int.from_bytes(hashlib.sha256(device.encode()).digest(), "big") % shards


def name_up(device: str, kind: Up, shards: int = SHARDS) -> str:
    """The topic on which *device* sends *kind*."""
    return f"{ROOT}/{find_shard(device, shards)}/{device}/up/{kind}"


def name_down(device: str, kind: Down, shards: int = SHARDS) -> str:
    """The topic on which *kind* is sent to *device*."""
    return f"{ROOT}/{find_shard(device, shards)}/{device}/down/{kind}"


def filter_down(device: str, shards: int = SHARDS) -> str:
    """What *device* subscribes to: everything sent to it, and nothing else."""
    return f"{ROOT}/{find_shard(device, shards)}/{device}/down/+"


def filter_shard(shard: int) -> str:
    """What the worker of *shard* subscribes to."""
    return f"{ROOT}/{shard}/+/up/+"


def name_ingest(shard: int) -> str:
    """The client id of the one session of *shard*, whichever worker holds it."""
    return f"ingest-{shard}"


def parse_up(topic: str, shards: int = SHARDS) -> UpTopic:
    """The parts of *topic*; WireError where it is not a device's, or the device is not of that shard."""
    match = _UP.match(topic)
    if match is None:
        raise WireError(f"topic {topic[:80]!r}", "it is not one that a device sends on")
    found = UpTopic(int(match[1]), match[2], match[3])
    if found.shard != find_shard(found.device, shards):
        raise WireError(f"topic {topic!r}", f"device {found.device} belongs to shard {find_shard(found.device, shards)}")
    return found
