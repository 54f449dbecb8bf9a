"""What comes in on a shard's topics, read with care."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import WireError
from edgekit.files import digest_bytes
from edgekit.fleet.store.uploads import SentInventory
from edgekit.fleet.uploading import MAX_INVENTORY_BYTES, MAX_STATUS_BYTES, read_upload
from edgekit.status import DeviceInventory, DeviceStatus
from edgekit.targets import Hardware
from edgekit.telemetry import Batch, encode_batch
from edgekit.topics import SHARDS, Up, find_shard, name_up

SHARD = find_shard("roof")
STATUS = DeviceStatus(device="roof", epoch="a" * 16, revision=1)
INVENTORY = DeviceInventory(device="roof", hardware=Hardware(machine="pi", arch="aarch64"), target="raspberry-pi-4")


def read(kind: Up, message: bytes, device: str = "roof", shard: int = SHARD) -> Any:
    return read_upload(name_up(device, kind), message, shard, SHARDS)


def test_each_kind_is_read_for_what_it_is() -> None:
    """A batch, a status, and an inventory with the digest of its bytes as they came."""
    batch = Batch(epoch="a" * 16, first_held=1, made=0)
    spaced = b" " + INVENTORY.encode()
    assert read("telemetry", encode_batch(batch)) == ("roof", batch)
    assert read("status", STATUS.encode()) == ("roof", STATUS)
    assert read("inventory", spaced) == ("roof", SentInventory(INVENTORY, digest_bytes(spaced)))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("status", b""),
        ("status", b"{}"),
        ("status", b'{"device": "roof", "revision": -1}'),
        ("status", b'{"device": "roof", "revision": 1e400}'),
        ("status", b'{"device": "roof", "revision": 99999999999999999999999}'),
        ("status", b'{"device": "a/b"}'),
        ("status", b"\xff\xfe"),
        ("status", b"[" * 100_000),
        ("inventory", b'{"device": "roof"}'),
        ("inventory", STATUS.encode()),
        ("telemetry", b"garbage"),
    ],
)
def test_what_is_malformed_is_refused(kind: Up, message: bytes) -> None:
    """With a WireError, whatever it is."""
    with pytest.raises(WireError):
        read(kind, message)


@pytest.mark.parametrize(("kind", "limit"), [("status", MAX_STATUS_BYTES), ("inventory", MAX_INVENTORY_BYTES)])
def test_what_is_too_large_is_refused(kind: Up, limit: int) -> None:
    """Before it is looked into."""
    record = {"status": STATUS, "inventory": INVENTORY}[kind].encode()
    assert read(kind, record + b" " * (limit - len(record)))
    with pytest.raises(WireError, match=f"{limit} is the most"):
        read(kind, record + b" " * (limit + 1 - len(record)))


def test_a_device_speaks_for_itself_alone() -> None:
    """A status or an inventory of another device is refused, since topics are what a broker grants."""
    with pytest.raises(WireError, match="speaks of the device roof"):
        read("status", STATUS.encode(), "cellar", find_shard("cellar"))


def test_a_session_receives_its_own_shard_alone() -> None:
    """Whatever a broker delivers to it."""
    with pytest.raises(WireError, match="came to the session of shard"):
        read("status", STATUS.encode(), shard=(SHARD + 1) % SHARDS)


@given(st.sampled_from(["telemetry", "status", "inventory"]), st.binary(max_size=200))
def test_no_bytes_do_harm(kind: Up, message: bytes) -> None:
    """Any bytes are an upload or a WireError."""
    try:
        read(kind, message)
    except WireError as error:
        assert error.problem
