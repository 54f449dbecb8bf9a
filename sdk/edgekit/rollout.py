"""One release to many devices: which of them get it next, when to stop, and why. Pure: no clock, no store, no network."""

import enum
import hashlib
import math
from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from edgekit.deployment import BAD, Millis, State, TrialTerms
from edgekit.errors import InputError
from edgekit.records import Digest, Name, Record, Share

#: A device that was not seen for this long is waited for by nobody.
SEEN_MS = 24 * 3_600_000


class RolloutState(enum.Enum):
    """Where a rollout stands."""

    RUNNING = "running"
    PAUSED = "paused"
    ABORTED = "aborted"
    ROLLED_BACK = "rolled_back"
    FINISHED = "finished"


#: States in which a rollout still decides what devices get.
OPEN = frozenset({RolloutState.RUNNING, RolloutState.PAUSED})


class Phase(Record, frozen=True, kw_only=True):
    """How far a phase reaches: *devices* in all, or *share* of all; *canary* takes one device of each class."""

    devices: Annotated[int, Meta(ge=1)] | None = None
    share: Share | None = None
    canary: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if sum((self.devices is not None, self.share is not None, self.canary)) != 1:
            raise ValueError("a phase has a number of devices, a share, or is the canary")

    def __str__(self) -> str:
        if self.canary:
            return "one of each class"
        return f"{self.share:.0%}" if self.share is not None else f"{self.devices}"


DEFAULT_PHASES = (Phase(canary=True), Phase(share=0.05), Phase(share=0.25), Phase(share=1.0))


def parse_phases(text: str) -> tuple[Phase, ...]:
    """The phases in ``canary,5%,25%,100%`` or ``1,10,100%``; InputError where one is none."""
    return tuple(_parse_phase(part.strip(), text) for part in text.split(","))


def _parse_phase(part: str, text: str) -> Phase:
    try:
        if part == "canary":
            return Phase(canary=True)
        if part.endswith("%"):
            return Phase(share=float(part[:-1]) / 100) if 0 < float(part[:-1]) <= 100 else _refuse_phase(part, text)
        return Phase(devices=int(part)) if int(part) >= 1 else _refuse_phase(part, text)
    except ValueError:
        return _refuse_phase(part, text)


def _refuse_phase(part: str, text: str) -> Phase:
    raise InputError(f"--phases {text}", f"{part!r} is no phase", "Write numbers of devices, percentages above 0%, or 'canary': --phases 1,10%,100%.")


class Rollout(Record, frozen=True, kw_only=True):
    """One release on its way to the devices that *select* names. *phase* is the index of the one it is in.

    *error_threshold* is the share of ended deployments in the cohort that may go wrong; in a phase of one device of each
    class, or of one device, none may. *previous* is what a rollback goes to on a device that had nothing else.
    """

    id: Name
    model: Name
    release: str
    digest: Digest
    select: Annotated[str, Meta(max_length=500)] = ""
    phases: Annotated[tuple[Phase, ...], Meta(min_length=1, max_length=20)] = DEFAULT_PHASES
    error_threshold: Share = 0.05
    trial: TrialTerms = TrialTerms()
    state: RolloutState = RolloutState.RUNNING
    phase: Annotated[int, Meta(ge=0)] = 0
    created_ms: Millis = 0
    reason: Annotated[str, Meta(max_length=2000)] = ""


class Standing(Record, frozen=True, kw_only=True):
    """How one selected device stands with one rollout. *state* is None where it was never given the release."""

    device: Name
    device_class: str
    seen_ms: Millis
    state: State | None = None
    reason: str = ""

    def is_present(self, now_ms: int) -> bool:
        """Whether it was seen in the last 24 hours."""
        return now_ms - self.seen_ms <= SEEN_MS


class Decision(Record, frozen=True, kw_only=True):
    """What is to be done: the rollout as it is now, the devices that get the release, and those that go back."""

    rollout: Rollout
    assign: tuple[Name, ...] = ()
    roll_back: tuple[Name, ...] = ()


def next_decision(rollout: Rollout, standings: Sequence[Standing], now_ms: int) -> Decision:
    """What follows for *rollout* from how its devices stand. Calling it again with nothing changed asks for nothing more.

    A device that is absent never blocks a phase, and when it returns it gets the release under the same rules.
    """
    if rollout.state is not RolloutState.RUNNING:
        return Decision(rollout=rollout)
    fault = find_fault(rollout, standings)
    if fault is not None:
        return _abort(rollout, standings, fault)
    while True:
        assign = _find_due(rollout, standings, now_ms)
        if assign or not _is_phase_done(rollout, standings, now_ms):
            return Decision(rollout=replace(rollout, reason=_explain(rollout, standings, now_ms)), assign=assign)
        if rollout.phase + 1 == len(rollout.phases):
            return Decision(rollout=_finish(rollout, standings, now_ms))
        rollout = replace(rollout, phase=rollout.phase + 1)


def abort(rollout: Rollout, standings: Sequence[Standing], reason: str) -> Decision:
    """Stop, and take the release back from every device that has it and was good before."""
    return _abort(rollout, standings, reason)


def find_fault(rollout: Rollout, standings: Sequence[Standing]) -> str | None:
    """Why the rollout must stop; None where it need not."""
    ended = [one for one in standings if one.state is not None and (one.state in BAD or one.state in (State.COMMITTED, State.UNPROVEN))]
    bad = [one for one in ended if one.state in BAD]
    if not bad:
        return None
    share = len(bad) / len(ended)
    first = f"{bad[0].device}: {bad[0].reason}" if bad[0].reason else bad[0].device
    if rollout.phase == 0 and _is_small(rollout.phases[0]):
        return f"the first phase failed on {len(bad)} of {len(ended)} devices ({first})"
    if share > rollout.error_threshold:
        return f"{len(bad)} of {len(ended)} devices failed ({share:.0%}), and {rollout.error_threshold:.0%} is the most ({first})"
    return None


def _is_small(phase: Phase) -> bool:
    return phase.canary or phase.devices == 1


def order_devices(rollout: Rollout, standings: Sequence[Standing]) -> list[Standing]:
    """The devices in the order in which they get the release: shuffled by the rollout's id, the same at each call.

    The canaries, one of each class, come first, so that later phases contain the earlier ones.
    """
    shuffled = sorted(standings, key=lambda one: hashlib.sha256(f"{rollout.id}/{one.device}".encode()).digest())
    first: dict[str, Standing] = {}
    for one in shuffled:
        first.setdefault(one.device_class, one)
    canaries = list(first.values())
    return canaries + [one for one in shuffled if one not in canaries]


def find_cohort(rollout: Rollout, standings: Sequence[Standing], now_ms: int) -> list[Standing]:
    """The devices that the current phase reaches: those present, and those that were given the release before they left."""
    present = [one for one in standings if one.is_present(now_ms) or one.state is not None]
    ordered = order_devices(rollout, present)
    # Whoever has it stays in the cohort, whatever was present when the phase began.
    ordered.sort(key=lambda one: one.state is None)
    reach = _reach(rollout.phases[rollout.phase], ordered)
    given = sum(one.state is not None for one in ordered)
    return ordered[: max(reach, given)]


def _reach(phase: Phase, present: Sequence[Standing]) -> int:
    if phase.canary:
        return len({one.device_class for one in present})
    if phase.devices is not None:
        return min(phase.devices, len(present))
    return math.ceil((phase.share or 0) * len(present))


def _find_due(rollout: Rollout, standings: Sequence[Standing], now_ms: int) -> tuple[str, ...]:
    return tuple(one.device for one in find_cohort(rollout, standings, now_ms) if one.state is None and one.is_present(now_ms))


def _is_phase_done(rollout: Rollout, standings: Sequence[Standing], now_ms: int) -> bool:
    """Whether every present device of the cohort has ended, and at least one with proof."""
    cohort = [one for one in find_cohort(rollout, standings, now_ms) if one.is_present(now_ms)]
    working = [one for one in cohort if one.state not in BAD and one.state not in (State.COMMITTED, State.UNPROVEN)]
    return not working and any(one.state is State.COMMITTED for one in cohort)


def _finish(rollout: Rollout, standings: Sequence[Standing], now_ms: int) -> Rollout:
    waiting = [one for one in standings if one.state is None and not one.is_present(now_ms)]
    if waiting:
        return replace(rollout, reason=f"every device present has it; {len(waiting)} absent ones get it when they return")
    return replace(rollout, state=RolloutState.FINISHED, reason=f"{sum(one.state is State.COMMITTED for one in standings)} devices have it")


def _abort(rollout: Rollout, standings: Sequence[Standing], reason: str) -> Decision:
    holders = tuple(one.device for one in standings if one.state is not None and one.state not in BAD and one.state is not State.SUPERSEDED)
    return Decision(rollout=replace(rollout, state=RolloutState.ABORTED, reason=reason), roll_back=holders)


def _explain(rollout: Rollout, standings: Sequence[Standing], now_ms: int) -> str:
    cohort = find_cohort(rollout, standings, now_ms)
    committed = sum(one.state is State.COMMITTED for one in cohort)
    unproven = sum(one.state is State.UNPROVEN for one in cohort)
    absent = sum(not one.is_present(now_ms) for one in standings)
    text = f"phase {rollout.phase + 1} of {len(rollout.phases)} ({rollout.phases[rollout.phase]}): {committed} of {len(cohort)} devices committed"
    text += f", {unproven} unproven: they served too few requests to tell" if unproven else ""
    return text + (f", {absent} waiting to be seen again" if absent else "")
