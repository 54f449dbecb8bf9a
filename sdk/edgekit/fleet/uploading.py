"""What comes in on the shards' topics, read with care: the bytes are whatever a device, or anybody else, has sent."""

from typing import Any

import msgspec

from edgekit.errors import WireError
from edgekit.files import digest_bytes
from edgekit.fleet.store.uploads import SentInventory, Upload
from edgekit.status import DeviceInventory, DeviceStatus
from edgekit.telemetry import decode_batch
from edgekit.topics import UpTopic, parse_up

#: The most that a status or an inventory may take, in bytes.
MAX_STATUS_BYTES = 256 << 10
MAX_INVENTORY_BYTES = 64 << 10


def read_upload(topic: str, message: bytes, shard: int, shards: int) -> Upload:
    """What a device sent on *topic*, which came to the session of *shard*.

    Raises:
        WireError: the topic is no device's or of another shard, or the message is too large, malformed, or of another device.
    """
    parts = parse_up(topic, shards)
    if parts.shard != shard:
        raise WireError(f"topic {topic!r}", f"it came to the session of shard {shard}")
    if parts.kind == "telemetry":
        return parts.device, decode_batch(message)
    if parts.kind == "status":
        status: DeviceStatus = _decode(message, DeviceStatus, MAX_STATUS_BYTES, parts)
        return parts.device, status
    inventory: DeviceInventory = _decode(message, DeviceInventory, MAX_INVENTORY_BYTES, parts)
    return parts.device, SentInventory(inventory, digest_bytes(message))


def _decode(message: bytes, kind: Any, limit: int, parts: UpTopic) -> Any:
    subject = f"{parts.kind} of {parts.device}"
    if len(message) > limit:
        raise WireError(subject, f"it has {len(message)} bytes, and {limit} is the most")
    try:
        found = msgspec.json.decode(message, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(subject, f"it is not valid: {error}") from error
    if found.device != parts.device:
        raise WireError(subject, f"it speaks of the device {found.device}")
    return found
