"""What the API asks of the store: each function is one transaction, and gives what the API answers."""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

import msgspec
from sqlalchemy.engine import Connection

from edgekit.fleet.store.auditing import audit
from edgekit.fleet.store.devices import Device, find_device, list_devices, list_statuses, read_inventory, read_status, set_labels
from edgekit.fleet.store.events import append_event, list_events
from edgekit.fleet.store.rollouts import list_assignments, list_desired, list_rollouts
from edgekit.fleet.store.summaries import Window, summarise_telemetry
from edgekit.fleet.views import (
    AssignmentView,
    AuditView,
    DeviceDetail,
    DeviceSummary,
    DeviceView,
    EventView,
    TelemetryStep,
)
from edgekit.records import Record

V = TypeVar("V", bound=Record)
_HISTORY = 50


class Counts(NamedTuple):
    """How many there are."""

    devices: int
    online: int
    open_rollouts: int


def count_fleet(connection: Connection) -> Counts:
    """How many devices are known and connected, and how many rollouts still decide."""
    devices = list_devices(connection)
    return Counts(len(devices), sum(one.online for one in devices), len(list_rollouts(connection, only_open=True)))


def summarise_devices(connection: Connection, selection: str) -> list[DeviceSummary]:
    """The devices that *selection* names, each with its status; InputError where it is no selection."""
    statuses = list_statuses(connection)
    return [DeviceSummary(device=view_device(one), status=statuses.get(one.id)) for one in list_devices(connection, selection)]


def detail_device(connection: Connection, device: str) -> DeviceDetail:
    """Everything about one device, or UnknownName."""
    return DeviceDetail(
        device=view_device(find_device(connection, device)),
        status=read_status(connection, device),
        inventory=read_inventory(connection, device),
        desired=list_desired(connection, device),
        history=tuple(view(one, AssignmentView) for one in list_assignments(connection, device=device, limit=_HISTORY)),
    )


def change_labels(connection: Connection, device: str, labels: Mapping[str, str], now_ms: int) -> DeviceView:
    """Set and take away labels, and write down that it was done; raises as set_labels does."""
    changed = set_labels(connection, device, labels)
    text = ", ".join(f"{name}={value}" if value else f"{name} taken away" for name, value in labels.items())
    if labels:
        append_event(connection, "labels", device, text, now_ms)
    return view_device(changed)


def step_telemetry(connection: Connection, window: Window) -> list[TelemetryStep]:
    """One entry for each step of *window* in which something was measured."""
    return [view(one, TelemetryStep) for one in summarise_telemetry(connection, window)]


def audit_streams(connection: Connection, device: str) -> list[AuditView]:
    """The books of every stream, or of those of *device*; UnknownName where there is no such device, which proves nothing."""
    if device:
        find_device(connection, device)
    return [view(line, AuditView) for line in audit(connection, device)]


def page_events(connection: Connection, subject: str, kind: str, before_id: int | None, limit: int) -> list[EventView]:
    """The newest events first."""
    return [view(one, EventView) for one in list_events(connection, subject=subject, kind=kind, before_id=before_id, limit=limit)]


def view_device(device: Device) -> DeviceView:
    """The device as the API gives it."""
    return view(device, DeviceView)


def view(record: object, kind: type[V]) -> V:
    """The fields of *record* that *kind* has."""
    return msgspec.convert(record, kind, from_attributes=True)
