"""What the fleet's HTTP API can do: each handler asks the store, the release repository or the coordinator, and gives a record."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

import msgspec
from litestar import get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, PathParameter, QueryParameter, SkipValidation
from litestar.status_codes import HTTP_200_OK

from edgekit.fleet.queries import audit_streams, change_labels, count_fleet, detail_device, page_events, step_telemetry, summarise_devices
from edgekit.fleet.release_reader import ReleaseReader
from edgekit.fleet.rollouts import RolloutDesk
from edgekit.fleet.store.activity import summarise_activity
from edgekit.fleet.store.database import Store
from edgekit.fleet.store.rollouts import list_rollouts as find_rollouts
from edgekit.fleet.store.summaries import Window
from edgekit.fleet.views import (
    Act,
    AuditView,
    DeviceDetail,
    DeviceSummary,
    DeviceView,
    EventView,
    Explanation,
    FleetActivity,
    Health,
    LabelChange,
    ReleaseList,
    RolloutPlan,
    RolloutRequest,
    RolloutView,
    TelemetryStep,
)
from edgekit.rollout import Rollout

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


@dataclass(frozen=True)
class Services:
    """What the API stands on. *now_ms* is the clock; *read_health* says how the server is, all but the counts."""

    store: Store
    releases: ReleaseReader
    desk: RolloutDesk
    now_ms: Callable[[], int]
    read_health: Callable[[], Awaitable[Health]]


Fleet = NamedDependency[SkipValidation[Services]]
Id = Annotated[str, PathParameter(max_length=500)]
Text = Annotated[str, QueryParameter(max_length=500)]
Millis = Annotated[int, QueryParameter(ge=0, le=1 << 53, description="Unix milliseconds.")]


@get("/health", summary="Whether the server is up, and what it stands on.")
async def read_health(fleet: Fleet) -> Health:
    """The server's own health."""
    counts = await fleet.store.read(count_fleet)
    return msgspec.structs.replace(await fleet.read_health(), **counts._asdict())


@get("/devices", summary="The devices of the fleet, or those that a selection names.")
async def list_devices(fleet: Fleet, select: Text = "") -> list[DeviceSummary]:
    """Devices by id, each with its status."""
    return await fleet.store.read(summarise_devices, select)


@get("/devices/{device:str}", summary="Everything about one device.")
async def show_device(fleet: Fleet, device: Id) -> DeviceDetail:
    """One device."""
    return await fleet.store.read(detail_device, device)


@patch("/devices/{device:str}/labels", summary="Set labels of a device; an empty value takes one away.")
async def label_device(fleet: Fleet, device: Id, data: JSONBody[LabelChange]) -> DeviceView:
    """The device with its labels as they are now."""
    return await fleet.store.write(change_labels, device, data.labels, fleet.now_ms())


@get("/devices/{device:str}/explain", summary="Why a device is where it is: one sentence for each model.")
async def explain_device(fleet: Fleet, device: Id) -> Explanation:
    """The device's explanation."""
    return await fleet.desk.explain(device)


@get("/rollouts", summary="The rollouts, newest first.")
async def list_rollouts(fleet: Fleet, model: Text = "", limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100) -> list[Rollout]:
    """Rollouts of all models, or of one."""
    return await fleet.store.read(find_rollouts, model=model, limit=limit)


@post("/rollouts", summary="Start a rollout.")
async def start_rollout(fleet: Fleet, data: JSONBody[RolloutRequest]) -> RolloutView:
    """The rollout as it begins."""
    return await fleet.desk.start(data)


@post("/rollouts/plan", summary="What a rollout would do; nothing is changed.", status_code=HTTP_200_OK)
async def plan_rollout(fleet: Fleet, data: JSONBody[RolloutRequest]) -> RolloutPlan:
    """The plan."""
    return await fleet.desk.plan(data)


@get("/rollouts/{rollout:str}", summary="One rollout, and how its devices stand with it.")
async def show_rollout(fleet: Fleet, rollout: Id) -> RolloutView:
    """One rollout."""
    return await fleet.desk.view(rollout)


@post("/rollouts/{rollout:str}/{act:str}", summary="Pause, resume, abort or roll back a rollout.", status_code=HTTP_200_OK)
async def control_rollout(fleet: Fleet, rollout: Id, act: FromPath[Act]) -> RolloutView:
    """The rollout as it is after that."""
    orders = {"pause": fleet.desk.pause, "resume": fleet.desk.resume, "abort": fleet.desk.abort, "rollback": fleet.desk.roll_back}
    return await orders[act](rollout)


@get("/telemetry", summary="What was measured, a time step at a time.")
async def list_telemetry(
    fleet: Fleet,
    device: Text = "",
    model: Text = "",
    since: Annotated[Millis | None, QueryParameter(description="From when, in unix milliseconds; an hour ago by default.")] = None,
    until: Annotated[Millis | None, QueryParameter(description="Until when, not included; now by default.")] = None,
    step: Annotated[int, QueryParameter(ge=1, le=1 << 53, description="The length of a step in milliseconds.")] = MINUTE_MS,
) -> list[TelemetryStep]:
    """Sums and percentiles, oldest first; steps in which nothing was measured are left out."""
    end = fleet.now_ms() + 1 if until is None else until
    begin = max(0, end - HOUR_MS) if since is None else since
    return await fleet.store.read(step_telemetry, Window(begin, end, step, device, model))


@get("/activity", summary="What every device and model has been doing just now.")
async def read_activity(
    fleet: Fleet,
    since: Annotated[Millis | None, QueryParameter(description="Since when, in unix milliseconds; ten minutes ago by default.")] = None,
) -> FleetActivity:
    """Rates and percentiles of the newest intervals: of all together, and of each device and model."""
    return await fleet.store.read(summarise_activity, max(0, fleet.now_ms() - 10 * MINUTE_MS) if since is None else since)


@get("/releases", summary="The releases that the repository offers.")
async def list_releases(fleet: Fleet) -> ReleaseList:
    """Releases by name, from old to new."""
    return ReleaseList(root=await fleet.releases.pin(), releases=await fleet.releases.list_releases())


@get("/audit", summary="The books: what devices made, what is stored, and what is known to be lost.")
async def read_audit(fleet: Fleet, device: Text = "") -> list[AuditView]:
    """One line for each epoch of each device."""
    return await fleet.store.read(audit_streams, device)


@get("/events", summary="What happened, newest first.")
async def list_events(
    fleet: Fleet,
    subject: Text = "",
    kind: Text = "",
    before: Annotated[int | None, QueryParameter(ge=0, le=1 << 53, description="The id of the last event of the page before.")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
) -> list[EventView]:
    """The event log, a page at a time."""
    return await fleet.store.read(page_events, subject, kind, before, limit)


ROUTES = (
    read_health,
    list_devices,
    show_device,
    label_device,
    explain_device,
    list_rollouts,
    start_rollout,
    plan_rollout,
    show_rollout,
    control_rollout,
    list_telemetry,
    read_activity,
    list_releases,
    read_audit,
    list_events,
)
