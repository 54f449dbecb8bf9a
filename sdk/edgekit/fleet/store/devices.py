"""The devices of the fleet: what they are, what they said last, and how people label them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row, select, update
from sqlalchemy.engine import Connection

from edgekit.errors import InputError, UnknownName
from edgekit.fleet.store.dialects import insert_or_ignore
from edgekit.fleet.store.tables import devices, statuses
from edgekit.records import Record
from edgekit.selection import Facts, parse_selection
from edgekit.status import DeviceInventory, DeviceStatus

#: The class of a device whose inventory has not come yet.
UNKNOWN_CLASS = "unknown"
MAX_LABELS = 64
_NAMED = 10


class Device(Record, frozen=True, kw_only=True):
    """A device as the fleet knows it. *labels* are those that it declares with those set here over them."""

    id: str
    device_class: str
    labels: dict[str, str] = {}
    accelerators: tuple[str, ...] = ()
    simulated: bool = False
    online: bool
    first_seen_ms: int
    last_seen_ms: int
    inventory_digest: str | None = None

    @property
    def facts(self) -> Facts:
        """What a selection looks at."""
        return Facts(self.id, self.device_class, frozenset(self.accelerators), self.labels)


def list_devices(connection: Connection, selection: str = "") -> list[Device]:
    """The devices that *selection* names (see `edgekit.selection`), by id."""
    wanted = parse_selection(selection)
    every = (_read_device(row) for row in connection.execute(select(devices).order_by(devices.c.id)))
    return [device for device in every if wanted.matches(device.facts)]


def find_device(connection: Connection, device: str) -> Device:
    """The device with that id, or UnknownName."""
    row = connection.execute(select(devices).where(devices.c.id == device)).one_or_none()
    if row is None:
        raise UnknownName("device", device[:80], _name_some(connection))
    return _read_device(row)


def _name_some(connection: Connection) -> list[str]:
    known = list(connection.execute(select(devices.c.id).order_by(devices.c.id).limit(_NAMED + 1)).scalars())
    return known if len(known) <= _NAMED else [*known[:_NAMED], "and more"]


def _read_device(row: Row[Any]) -> Device:
    labels = msgspec.json.decode(row.declared_labels) | msgspec.json.decode(row.labels)
    return Device(
        id=row.id,
        device_class=row.device_class,
        labels={name: value for name, value in sorted(labels.items()) if value},
        accelerators=tuple(msgspec.json.decode(row.accelerators)),
        simulated=row.simulated,
        online=row.online,
        first_seen_ms=row.first_seen_ms,
        last_seen_ms=row.last_seen_ms,
        inventory_digest=row.inventory_digest,
    )


def find_online(connection: Connection, names: Iterable[str]) -> frozenset[str]:
    """Those among *names* that the broker has a connection to, as far as it has said."""
    query = select(devices.c.id).where(devices.c.id.in_(sorted(set(names))), devices.c.online)
    return frozenset(connection.execute(query).scalars())


def read_status(connection: Connection, device: str) -> DeviceStatus | None:
    """What *device* said last of where it stands; None where it has said nothing yet."""
    data = connection.execute(select(statuses.c.status).where(statuses.c.device == device)).scalar_one_or_none()
    return None if data is None else DeviceStatus.decode(data, f"status of {device}")


def list_statuses(connection: Connection) -> dict[str, DeviceStatus]:
    """What each device said last, by its id."""
    rows = connection.execute(select(statuses.c.device, statuses.c.status))
    return {row.device: DeviceStatus.decode(row.status, f"status of {row.device}") for row in rows}


def read_inventory(connection: Connection, device: str) -> DeviceInventory | None:
    """What *device* is made of; None where it has not said it yet."""
    data = connection.execute(select(devices.c.inventory).where(devices.c.id == device)).scalar_one_or_none()
    return None if data is None else DeviceInventory.decode(data, f"inventory of {device}")


def set_labels(connection: Connection, device: str, labels: Mapping[str, str]) -> Device:
    """Set *labels* of *device*; an empty value takes a label away, be it set here or declared by the device itself.

    Raises:
        UnknownName: there is no such device.
        InputError: a label's name or value cannot be used in a selection, or there are too many.
    """
    find_device(connection, device)
    for name, value in labels.items():
        _check_label(name, value)
    row = connection.execute(select(devices.c.labels, devices.c.declared_labels).where(devices.c.id == device)).one()
    declared = msgspec.json.decode(row.declared_labels)
    merged = msgspec.json.decode(row.labels) | dict(labels)
    kept = {name: value for name, value in merged.items() if value or name in declared}
    if len(kept) > MAX_LABELS:
        raise InputError(f"labels of {device}", f"there would be {len(kept)}, and {MAX_LABELS} is the most", "Take some away: NAME= removes one.")
    connection.execute(update(devices).where(devices.c.id == device).values(labels=_encode(kept)))
    return find_device(connection, device)


def _check_label(name: str, value: str) -> None:
    if name in ("device", "class", "accelerator"):
        raise InputError(f"label {name!r}", "it is what a device is, and no label", "Choose another name.")
    if len(value) > 200 or any(sign in value for sign in ",=!") or not value.isprintable() or value != value.strip():
        raise InputError(
            f"label {name}={value[:80]!r}", "a value has at most 200 printable characters without ',', '=' and '!'", "Write another value."
        )
    parse_selection(f"{name}={value or 'x'}")


def _encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def see_devices(connection: Connection, seen: Iterable[str], now_ms: int) -> None:
    """Note that *seen* sent something at *now_ms*; those that are new become known."""
    names = sorted(set(seen))
    if not names:
        return
    blank = {"device_class": UNKNOWN_CLASS, "simulated": False, "accelerators": "[]", "declared_labels": "{}", "labels": "{}"}
    rows = [{"id": name, "first_seen_ms": now_ms, "last_seen_ms": now_ms, "online": True, **blank} for name in names]
    insert_or_ignore(connection, devices, rows)
    connection.execute(update(devices).where(devices.c.id.in_(names)).values(last_seen_ms=now_ms, online=True))


def store_inventory(connection: Connection, inventory: DeviceInventory, digest: str) -> None:
    """Keep what a device, which was seen before, is made of; *digest* is that of the bytes as they were sent."""
    values = {
        "device_class": inventory.target or UNKNOWN_CLASS,
        "simulated": inventory.simulated,
        "inventory": inventory.encode(),
        "inventory_digest": digest,
        "accelerators": _encode(sorted({one.kind for one in inventory.hardware.accelerators})),
        "declared_labels": _encode(inventory.labels),
    }
    connection.execute(update(devices).where(devices.c.id == inventory.device).values(**values))


def mark_offline(connection: Connection, names: Sequence[str]) -> None:
    """Note that the broker has lost the connection to them."""
    connection.execute(update(devices).where(devices.c.id.in_(names)).values(online=False))
