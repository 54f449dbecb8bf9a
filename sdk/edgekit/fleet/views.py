"""What the fleet's HTTP API takes and gives, as both the server and its clients read it. Times are unix milliseconds."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from edgekit.deployment import Millis, State, TrialTerms
from edgekit.desired import DesiredModel
from edgekit.records import Digest, Name, Record, Share
from edgekit.releases.versions import Release
from edgekit.rollout import DEFAULT_PHASES, Phase, Rollout, Standing
from edgekit.status import DeviceInventory, DeviceStatus

#: What can be done to a rollout that was started.
Act: TypeAlias = Literal["pause", "resume", "abort", "rollback"]


class Refusal(Record, frozen=True, kw_only=True):
    """Why a request was refused: *error* is the whole message, and the others are what an edgekit error is made of."""

    error: str
    kind: str = "InputError"
    subject: str = ""
    problem: str = ""
    remedy: str = ""


class Health(Record, frozen=True, kw_only=True):
    """That the server is up: its version, since when, and where devices reach it. *broker_up* is what it sees of the broker."""

    version: str
    started_ms: Millis
    now_ms: Millis
    mqtt: str
    shards: int
    broker_up: bool
    devices: int = 0
    online: int = 0
    open_rollouts: int = 0


class DeviceView(Record, frozen=True, kw_only=True):
    """A device as the fleet knows it. *labels* are those that it declares with those set on the server over them."""

    id: str
    device_class: str
    labels: dict[str, str] = {}
    accelerators: tuple[str, ...] = ()
    simulated: bool = False
    online: bool = False
    first_seen_ms: Millis = 0
    last_seen_ms: Millis = 0
    inventory_digest: Digest | None = None


class DeviceSummary(Record, frozen=True, kw_only=True):
    """A device and what it said last of where it stands; None where it has said nothing yet."""

    device: DeviceView
    status: DeviceStatus | None = None


class AssignmentView(Record, frozen=True, kw_only=True):
    """That a device should have *desired*, because of *rollout*, and what it reported of it last."""

    device: str
    desired: DesiredModel
    rollout: str = ""
    assigned_ms: Millis = 0
    state: State | None = None
    reason: str = ""


class DeviceDetail(Record, frozen=True, kw_only=True):
    """Everything about one device: what it is, says and should have, and what it was given before, newest first."""

    device: DeviceView
    status: DeviceStatus | None = None
    inventory: DeviceInventory | None = None
    desired: tuple[DesiredModel, ...] = ()
    history: tuple[AssignmentView, ...] = ()


class LabelChange(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Labels to set, by name; an empty value takes the label away."""

    labels: Annotated[dict[str, str], Meta(max_length=64)]


class RolloutRequest(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person asks for when planning or starting a rollout. *release* is its name and version, ``digits@1.1.0``."""

    release: Annotated[str, Meta(max_length=160)]
    select: Annotated[str, Meta(max_length=500)] = ""
    phases: Annotated[tuple[Phase, ...], Meta(min_length=1, max_length=20)] = DEFAULT_PHASES
    error_threshold: Share = 0.05
    trial: TrialTerms = TrialTerms()


class PlannedPhase(Record, frozen=True, kw_only=True):
    """One phase in words, and the devices that it would reach and the phases before it do not."""

    phase: str
    devices: tuple[Name, ...] = ()


class RolloutPlan(Record, frozen=True, kw_only=True):
    """What a rollout would do now. *absent* devices get the release when they return; *downloads* are a variant's bytes, by its id.

    *conflicts* are the ids of rollouts that are on their way to some of the same devices: while there is one, it cannot be started.
    """

    release: str
    model: Name
    digest: Digest
    phases: tuple[PlannedPhase, ...]
    absent: tuple[Name, ...] = ()
    conflicts: tuple[str, ...] = ()
    downloads: dict[str, int] = {}


class RolloutView(Record, frozen=True, kw_only=True):
    """A rollout, and how each device that it selects stands with it."""

    rollout: Rollout
    standings: tuple[Standing, ...] = ()


class Explanation(Record, frozen=True, kw_only=True):
    """Why a device is where it is: one sentence for each model."""

    device: Name
    sentences: tuple[str, ...]


class TelemetryStep(Record, frozen=True, kw_only=True):
    """What happened in the *step_ms* from *start_ms* on.

    Percentiles are of the merged histograms, None where nothing was answered; *variants* and *releases* count requests.
    Memory, CPU and temperature are the highest that a device reported; what nobody could measure is None.
    """

    start_ms: Millis
    step_ms: Millis
    devices: int
    requests: int
    refused: int
    failed: int
    rescued: int
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    variants: dict[str, int] = {}
    releases: dict[str, int] = {}
    non_finite_inputs: int = 0
    non_finite_outputs: int = 0
    memory_mb: float | None = None
    cpu_share: float | None = None
    temperature_c: float | None = None
    energy_mj: float | None = None


class Activity(Record, frozen=True, kw_only=True):
    """One model on one device, over its newest intervals: *span_ms* in all, up to *until_ms*.

    *interval_ms* is the length of the longest. The release, the variant and the machine's own figures are those of the newest.
    What could not be measured is None.
    """

    device: str
    model: str
    release: str
    variant: str
    runtime: str
    until_ms: int
    span_ms: int
    interval_ms: int
    requests: int
    refused: int
    failed: int
    rescued: int
    per_second: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    memory_mb: float | None = None
    cpu_share: float | None = None
    temperature_c: float | None = None
    energy_mj: float | None = None


class FleetActivity(Record, frozen=True, kw_only=True):
    """The newest intervals of all devices together, with percentiles of their merged histograms, and each of *models* by itself."""

    requests: int
    refused: int
    failed: int
    rescued: int
    per_second: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    models: tuple[Activity, ...] = ()


class AuditView(Record, frozen=True, kw_only=True):
    """One stream of records: of *made*, *stored* were stored, *lost* are known to be lost, and of *missing* nobody knows yet.

    Of the stored, *pruned* are past retention and were removed.
    """

    device: str
    epoch: str
    made: int
    stored: int
    lost: int
    missing: int
    pruned: int = 0


class EventView(Record, frozen=True, kw_only=True):
    """Something that happened to *subject* (a device, a rollout, ``server``): its kind, and a sentence."""

    id: int
    at_ms: Millis
    kind: str
    subject: str
    text: str = ""


class ReleaseList(Record, frozen=True, kw_only=True):
    """The releases that the server's repository offers, by name and from old to new; *root* is the digest of its first root."""

    root: Digest
    releases: tuple[Release, ...]
