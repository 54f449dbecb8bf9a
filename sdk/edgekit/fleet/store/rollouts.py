"""Rollouts, and what each device should have because of them: the coordinator's memory."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, and_, select, update
from sqlalchemy.engine import Connection

from edgekit.deployment import Deployment, State
from edgekit.desired import DesiredModel
from edgekit.errors import UnknownName
from edgekit.fleet.store.devices import Device, list_devices
from edgekit.fleet.store.dialects import upsert
from edgekit.fleet.store.events import append_event
from edgekit.fleet.store.tables import assignments, desired, rollouts
from edgekit.records import Digest, Name, Record
from edgekit.rollout import OPEN, Decision, Rollout, Standing
from edgekit.selection import parse_selection


class Before(Record, frozen=True, kw_only=True):
    """A release that was good on a device, by its name and its manifest's digest; both None where there was none."""

    release: str | None = None
    digest: Digest | None = None


class Assignment(Record, frozen=True, kw_only=True):
    """That *device* should have *desired*, because of *rollout* (empty where none asked for it), and go back to *before*.

    *state* and *reason* are what the device reported last under this deployment's id; None until it has.
    """

    device: Name
    desired: DesiredModel
    rollout: str = ""
    before: Before = Before()
    assigned_ms: int = 0
    state: State | None = None
    reason: str = ""


def save_rollout(connection: Connection, rollout: Rollout, now_ms: int) -> None:
    """Put *rollout* in, or in the place of its older self."""
    row = {"id": rollout.id, "model": rollout.model, "state": rollout.state.value, "rollout": rollout.encode()}
    upsert(connection, rollouts, [{**row, "created_ms": rollout.created_ms, "updated_ms": now_ms}])


def find_rollout(connection: Connection, rollout: str) -> Rollout:
    """The rollout with that id, or UnknownName."""
    data = connection.execute(select(rollouts.c.rollout).where(rollouts.c.id == rollout)).scalar_one_or_none()
    if data is None:
        raise UnknownName("rollout", rollout[:80], [one.id for one in list_rollouts(connection, limit=10)])
    return Rollout.decode(data, f"rollout {rollout}")


def list_rollouts(connection: Connection, *, model: str = "", only_open: bool = False, limit: int = 100) -> list[Rollout]:
    """The newest *limit* rollouts first; of one model, or those alone that still decide, where that is said."""
    query = select(rollouts.c.id, rollouts.c.rollout).order_by(rollouts.c.created_ms.desc(), rollouts.c.id.desc()).limit(limit)
    if model:
        query = query.where(rollouts.c.model == model)
    if only_open:
        query = query.where(rollouts.c.state.in_([state.value for state in OPEN]))
    return [Rollout.decode(row.rollout, f"rollout {row.id}") for row in connection.execute(query)]


def assign(connection: Connection, wanted: Sequence[Assignment], now_ms: int) -> None:
    """Make *wanted* what their devices should have from now on, and keep what they should have had before.

    The same deployment once more changes nothing of its history but what is desired.
    """
    rows = [
        {
            "device": one.device,
            "deployment": one.desired.deployment,
            "model": one.desired.model,
            "rollout": one.rollout,
            "desired": one.desired.encode(),
            "before": one.before.encode(),
            "assigned_ms": now_ms,
            "state": "",
            "reason": "",
        }
        for one in wanted
    ]
    upsert(connection, assignments, rows, key=("device", "deployment"), keep=("before", "assigned_ms", "state", "reason"))
    upsert(connection, desired, [{name: row[name] for name in ("device", "model", "deployment", "desired")} for row in rows])


def apply_decision(connection: Connection, decision: Decision, wanted: Sequence[Assignment], now_ms: int) -> None:
    """Keep what was decided: the rollout as it is now, and what each device should have because of it."""
    rollout = decision.rollout
    save_rollout(connection, rollout, now_ms)
    assign(connection, wanted, now_ms)
    if wanted or not rollout.is_open:
        counts = f"is given to {len(decision.assign)}, taken back from {len(decision.roll_back)}"
        text = f"{rollout.state.value}: {rollout.release} {counts}. {rollout.reason}"
        append_event(connection, "rollout", rollout.id, text, now_ms)


def list_desired(connection: Connection, device: str) -> tuple[DesiredModel, ...]:
    """What *device* should have of each model, by model."""
    query = select(desired.c.desired).where(desired.c.device == device).order_by(desired.c.model)
    return tuple(DesiredModel.decode(data, f"desired state of {device}") for data in connection.execute(query).scalars())


def find_current(connection: Connection, device: str, model: str) -> Assignment | None:
    """Why *device* should have of *model* what it should have now; None where nothing was ever asked for."""
    current = and_(desired.c.device == assignments.c.device, desired.c.deployment == assignments.c.deployment)
    query = select(assignments).join(desired, current).where(desired.c.device == device, desired.c.model == model)
    row = connection.execute(query).one_or_none()
    return None if row is None else _read_assignment(row)


def list_assignments(connection: Connection, *, device: str = "", model: str = "", rollout: str = "", limit: int = 1000) -> list[Assignment]:
    """What devices should have had, newest first; of one device, model or rollout where that is said."""
    query = select(assignments).order_by(assignments.c.id.desc()).limit(limit)
    for column, value in ((assignments.c.device, device), (assignments.c.model, model), (assignments.c.rollout, rollout)):
        if value:
            query = query.where(column == value)
    return [_read_assignment(row) for row in connection.execute(query)]


def _read_assignment(row: Row[Any]) -> Assignment:
    return Assignment(
        device=row.device,
        desired=DesiredModel.decode(row.desired, f"assignment of {row.device}"),
        rollout=row.rollout,
        before=Before.decode(row.before, f"assignment of {row.device}"),
        assigned_ms=row.assigned_ms,
        state=State(row.state) if row.state else None,
        reason=row.reason,
    )


def report_deployment(connection: Connection, device: str, deployment: Deployment) -> None:
    """Keep what *device* says of a deployment; one that was never asked for is nobody's business."""
    wanted = and_(assignments.c.device == device, assignments.c.deployment == deployment.id)
    connection.execute(update(assignments).where(wanted).values(state=deployment.state.value, reason=deployment.reason))


def list_standings(connection: Connection, rollout: Rollout) -> list[Standing]:
    """How each device that *rollout* selects stands with it, by device.

    A device that was given the release stays in it when its labels change, so that it can be taken back.
    """
    joined = and_(desired.c.device == assignments.c.device, desired.c.model == assignments.c.model)
    query = select(assignments, desired.c.deployment.label("current")).outerjoin(desired, joined).where(assignments.c.deployment == rollout.id)
    given = {row.device: row for row in connection.execute(query)}
    wanted = parse_selection(rollout.select)
    return [_stand(device, given.get(device.id)) for device in list_devices(connection) if device.id in given or wanted.matches(device.facts)]


def _stand(device: Device, row: Row[Any] | None) -> Standing:
    state = None if row is None else _find_state(row)
    reason = "" if row is None else row.reason
    return Standing(device=device.id, device_class=device.device_class, seen_ms=device.last_seen_ms, state=state, reason=reason)


def _find_state(row: Row[Any]) -> State:
    """What the device reported, or what must be so since something else is desired by now."""
    state = State(row.state) if row.state else State.PENDING
    if row.current == row.deployment or state in (State.FAILED, State.ROLLED_BACK):
        return state
    return State.ROLLED_BACK if row.current == name_return(row.deployment) else State.SUPERSEDED


def name_return(deployment: str) -> str:
    """The id of the deployment that takes *deployment* back."""
    return f"{deployment}-back"
