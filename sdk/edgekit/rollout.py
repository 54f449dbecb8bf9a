"""One release to many devices: which of them get it next, when to stop, and why. Pure: no clock, no store, no network."""

import enum
import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from edgekit.deployment import BAD, PHRASES, SETTLED, Millis, State, TrialTerms
from edgekit.errors import InputError
from edgekit.records import Digest, Name, Record, Share

#: A device that was not seen for this long is waited for by nobody.
SEEN_MS = 24 * 3_600_000
MAX_PHASES = 20
_MAX_REASON = 2000


class RolloutState(enum.Enum):
    """Where a rollout stands."""

    RUNNING = "running"
    PAUSED = "paused"
    ABORTED = "aborted"
    ROLLED_BACK = "rolled_back"
    FINISHED = "finished"


class RolloutEvent(enum.Enum):
    """What can happen to it."""

    PAUSED = "paused"
    RESUMED = "resumed"
    ABORTED = "aborted"
    ROLLED_BACK = "rolled back"
    FINISHED = "finished"


S, E = RolloutState, RolloutEvent
# fmt: off
TRANSITIONS: dict[tuple[RolloutState, RolloutEvent], RolloutState] = {
    (S.RUNNING,  E.PAUSED):      S.PAUSED,
    (S.RUNNING,  E.ABORTED):     S.ABORTED,
    (S.RUNNING,  E.ROLLED_BACK): S.ROLLED_BACK,
    (S.RUNNING,  E.FINISHED):    S.FINISHED,

    (S.PAUSED,   E.RESUMED):     S.RUNNING,
    (S.PAUSED,   E.ABORTED):     S.ABORTED,
    (S.PAUSED,   E.ROLLED_BACK): S.ROLLED_BACK,

    (S.FINISHED, E.ROLLED_BACK): S.ROLLED_BACK,
}
# fmt: on

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
        return f"{self.share * 100:g}%" if self.share is not None else f"{self.devices}"


DEFAULT_PHASES = (Phase(canary=True), Phase(share=0.05), Phase(share=0.25), Phase(share=1.0))


def parse_phases(text: str) -> tuple[Phase, ...]:
    """The phases in ``canary,5%,25%,100%`` or ``1,10,100%``; InputError where one is none, or reaches less than one before it."""
    parts = text.split(",")
    if len(parts) > MAX_PHASES:
        raise InputError(f"--phases {text[:80]}", f"there are {len(parts)} phases", f"Write at most {MAX_PHASES}.")
    phases = tuple(_parse_phase(part.strip(), text) for part in parts)
    _check_growth([phase.share for phase in phases if phase.share is not None], text)
    _check_growth([phase.devices for phase in phases if phase.devices is not None], text)
    return phases


def _check_growth(reaches: Sequence[float], text: str) -> None:
    # How a number compares with a percentage depends on the fleet, which may have changed by then.
    if list(reaches) != sorted(reaches):
        raise InputError(f"--phases {text}", "a phase reaches less than one before it", "Write them from small to large: --phases 1,10%,100%.")


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

    *error_threshold* is the share of the devices that were given the release on which it may go wrong. It is of those given,
    not of those that have ended, since failures end sooner than successes; while only one device, or one of each class, has it,
    none may. The *id* leaves room for the ending that the deployments of a rollback get.
    """

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,57}\Z")]
    model: Name
    release: str
    digest: Digest
    select: Annotated[str, Meta(max_length=500)] = ""
    phases: Annotated[tuple[Phase, ...], Meta(min_length=1, max_length=MAX_PHASES)] = DEFAULT_PHASES
    error_threshold: Share = 0.05
    trial: TrialTerms = TrialTerms()
    state: RolloutState = RolloutState.RUNNING
    phase: Annotated[int, Meta(ge=0)] = 0
    created_ms: Millis = 0
    reason: Annotated[str, Meta(max_length=_MAX_REASON)] = ""

    def after(self, event: RolloutEvent, reason: str) -> "Rollout":
        """The same rollout once *event* has happened; RolloutEnded where it cannot."""
        try:
            state = TRANSITIONS[self.state, event]
        except KeyError:
            raise RolloutEnded(self, event) from None
        return replace(self, state=state, reason=reason[:_MAX_REASON])

    @property
    def is_open(self) -> bool:
        """Whether it still decides what devices get."""
        return self.state in OPEN


class RolloutEnded(InputError):
    """A rollout was asked for something that has no place in its state."""

    def __init__(self, rollout: Rollout, event: RolloutEvent) -> None:
        possible = sorted(known.value for state, known in TRANSITIONS if state is rollout.state and known is not RolloutEvent.FINISHED)
        remedy = f"It can be {' or '.join(possible)}." if possible else "Start a new rollout: edgekit rollout start."
        super().__init__(f"rollout {rollout.id}", f"it is {rollout.state.value.replace('_', ' ')} and cannot be {event.value}", remedy)


class Standing(Record, frozen=True, kw_only=True):
    """How one device stands with one rollout. *state* is None where it was never given the release."""

    device: Name
    device_class: str
    seen_ms: Millis
    state: State | None = None
    reason: str = ""

    def is_present(self, now_ms: int) -> bool:
        """Whether it was seen in the last 24 hours. A clock that was set back makes nobody absent."""
        return now_ms - self.seen_ms <= SEEN_MS

    @property
    def has_release(self) -> bool:
        """Whether it was given the release, and nothing newer since."""
        return self.state is not None and self.state is not State.SUPERSEDED


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
        return abort(rollout, standings, fault)
    while True:
        assign = find_due(rollout, standings, now_ms)
        if assign or not is_phase_done(rollout, standings, now_ms):
            return Decision(rollout=_explain(rollout, standings, assign, now_ms), assign=assign)
        if rollout.phase + 1 == len(rollout.phases):
            return Decision(rollout=_finish(rollout, standings, now_ms))
        rollout = replace(rollout, phase=rollout.phase + 1)


def abort(rollout: Rollout, standings: Iterable[Standing], reason: str) -> Decision:
    """Stop, and take the release back from every device that was given it; RolloutEnded where it has ended already."""
    return Decision(rollout=rollout.after(RolloutEvent.ABORTED, reason), roll_back=_find_holders(standings))


def roll_back(rollout: Rollout, standings: Iterable[Standing], reason: str) -> Decision:
    """Take the release back from every device that was given it, also when the rollout has finished."""
    return Decision(rollout=rollout.after(RolloutEvent.ROLLED_BACK, reason), roll_back=_find_holders(standings))


def _find_holders(standings: Iterable[Standing]) -> tuple[str, ...]:
    # Those on which it went wrong go back too: they serve what they had, and what is desired of them should say so.
    return tuple(one.device for one in standings if one.has_release)


def find_fault(rollout: Rollout, standings: Iterable[Standing]) -> str | None:
    """Why the rollout must stop; None where it need not."""
    given = [one for one in standings if one.has_release]
    bad = [one for one in given if one.state in BAD]
    if not bad:
        return None
    share = len(bad) / len(given)
    first = f"{bad[0].device}: {bad[0].reason}" if bad[0].reason else bad[0].device
    if _is_strict(rollout):
        phase = rollout.phases[rollout.phase]
        return f"it went wrong on {len(bad)} of {len(given)} devices in the phase '{phase}', in which none may ({first})"
    if share > rollout.error_threshold:
        return f"it went wrong on {len(bad)} of {len(given)} devices ({share:.1%}), and {rollout.error_threshold:.1%} is the most ({first})"
    return f"it went wrong on every device that was given it ({first})" if share == 1 else None


def _is_strict(rollout: Rollout) -> bool:
    """Whether only canaries have it yet. After a wider phase, what went wrong there and was let pass stays so."""
    return all(phase.canary or phase.devices == 1 for phase in rollout.phases[: rollout.phase + 1])


def find_due(rollout: Rollout, standings: Sequence[Standing], now_ms: int) -> tuple[str, ...]:
    """The devices that the current phase reaches and that were not given the release yet: present ones only."""
    ready = _order_devices(rollout, [one for one in standings if one.state is None and one.is_present(now_ms)])
    counted = [one for one in standings if _counts(one, now_ms)]
    phase = rollout.phases[rollout.phase]
    if phase.canary:
        return tuple(one.device for one in _find_canaries(ready, {one.device_class for one in counted}))
    reach = phase.devices if phase.devices is not None else _take_share(phase.share or 0.0, len(ready) + len(counted))
    canaries = _find_canaries(ready, {one.device_class for one in counted})
    queue = canaries + [one for one in ready if one not in canaries]
    return tuple(one.device for one in queue[: max(0, reach - len(counted))])


def _order_devices(rollout: Rollout, standings: Iterable[Standing]) -> list[Standing]:
    """Shuffled by the rollout's id: the same at each call, and others first in the next rollout."""
    return sorted(standings, key=lambda one: hashlib.sha256(f"{rollout.id}/{one.device}".encode()).digest())


def _find_canaries(ordered: Iterable[Standing], covered: set[str]) -> list[Standing]:
    """The first of each class that is not among *covered*."""
    first: dict[str, Standing] = {}
    for one in ordered:
        first.setdefault(one.device_class, one)
    return [one for device_class, one in first.items() if device_class not in covered]


def _counts(one: Standing, now_ms: int) -> bool:
    """Whether it fills a place of the phase. Who was given the release and left before it ended leaves the place to another."""
    return one.has_release and (one.state in SETTLED or one.is_present(now_ms))


def _take_share(share: float, count: int) -> int:
    # 7 % of 100 is 7.000000000000001 in binary, and means 7.
    return math.ceil(share * count - 1e-9)


def is_phase_done(rollout: Rollout, standings: Sequence[Standing], now_ms: int) -> bool:
    """Whether every present device that was given the release has ended, and it was proved.

    Proof is one device that committed it; in a canary phase one of each class, since each class runs variants of its own. A
    class on which it only went wrong has been judged by the error threshold.
    """
    counted = [one for one in standings if _counts(one, now_ms)]
    if any(one.state not in SETTLED for one in counted):
        return False
    proved = {one.device_class for one in counted if one.state is State.COMMITTED}
    if rollout.phases[rollout.phase].canary:
        return bool(proved) and proved == {one.device_class for one in counted if one.state not in BAD}
    return bool(proved)


def is_only_waiting(rollout: Rollout, standings: Sequence[Standing], now_ms: int) -> bool:
    """Whether all that is missing of *rollout* are devices that are absent."""
    last = rollout.state is RolloutState.RUNNING and rollout.phase + 1 == len(rollout.phases)
    return last and not find_due(rollout, standings, now_ms) and is_phase_done(rollout, standings, now_ms)


def plan_phases(rollout: Rollout, standings: Sequence[Standing], now_ms: int) -> tuple[tuple[str, ...], ...]:
    """Which devices each phase would add, if the release does well on all and nobody comes or goes."""
    planned = []
    for index in range(len(rollout.phases)):
        added = find_due(replace(rollout, phase=index), standings, now_ms)
        standings = [replace(one, state=State.COMMITTED) if one.device in added else one for one in standings]
        planned.append(added)
    return tuple(planned)


def explain_standing(rollout: Rollout, one: Standing, now_ms: int) -> str:
    """Why the device of *one* is where it is with *rollout*, in one sentence."""
    because = f": {one.reason}" if one.reason else ""
    away = "" if one.is_present(now_ms) else f"; it was last seen {_say_hours(now_ms - one.seen_ms)} ago"
    if one.state is not None:
        return f"{rollout.release} {PHRASES[one.state]}{because} (rollout {rollout.id}, {_say_state(rollout)}){away}."
    if not rollout.is_open:
        return f"It was not given {rollout.release}: rollout {rollout.id} is {_say_state(rollout)} ({rollout.reason}){away}."
    if not one.is_present(now_ms):
        return f"It was last seen {_say_hours(now_ms - one.seen_ms)} ago, and gets {rollout.release} when it returns (rollout {rollout.id})."
    where = f"phase {rollout.phase + 1} of {len(rollout.phases)} ({rollout.phases[rollout.phase]})"
    return f"It waits for its turn to get {rollout.release}: rollout {rollout.id} is {_say_state(rollout)} in {where}."


def _say_state(rollout: Rollout) -> str:
    return rollout.state.value.replace("_", " ")


def _say_hours(millis: int) -> str:
    return f"{millis / 3_600_000:.0f} h"


def _finish(rollout: Rollout, standings: Sequence[Standing], now_ms: int) -> Rollout:
    waiting = _find_awaited(rollout, standings, now_ms)
    if waiting:
        named = ", ".join(waiting[:3]) + (", …" if len(waiting) > 3 else "")
        return replace(rollout, reason=f"every device present has it; {len(waiting)} absent get it when they return ({named})")
    return rollout.after(RolloutEvent.FINISHED, _count_ends(standings))


def _find_awaited(rollout: Rollout, standings: Sequence[Standing], now_ms: int) -> list[str]:
    """The absent devices that are at work on it, or that the current phase would reach if all returned now."""
    due = find_due(rollout, [replace(one, seen_ms=now_ms) for one in standings], now_ms)
    absent = [one for one in standings if not one.is_present(now_ms) and one.state not in SETTLED]
    return [one.device for one in absent if one.state is not None or one.device in due]


def _explain(rollout: Rollout, standings: Sequence[Standing], assign: Sequence[str], now_ms: int) -> Rollout:
    given = sum(one.has_release for one in standings) + len(assign)
    absent = sum(one.state not in SETTLED and not one.is_present(now_ms) for one in standings)
    where = f"phase {rollout.phase + 1} of {len(rollout.phases)} ({rollout.phases[rollout.phase]})"
    text = f"{where}, given to {given}: {_count_ends(standings)}"
    # Nobody is at work on it, and yet the phase is not done: what is missing are requests.
    ended = [one.state in SETTLED for one in standings if _counts(one, now_ms)]
    text += "; it goes on once enough have proved it there" if ended and all(ended) and not assign else ""
    return replace(rollout, reason=text + (f"; {absent} absent get it when they return" if absent else ""))


def _count_ends(standings: Sequence[Standing]) -> str:
    committed = sum(one.state is State.COMMITTED for one in standings)
    unproven = sum(one.state is State.UNPROVEN for one in standings)
    bad = sum(one.state in BAD for one in standings)
    parts = [
        f"{committed} committed it",
        f"it went wrong on {bad}" if bad else "",
        f"on {unproven} it served too few requests to tell" if unproven else "",
    ]
    return ", ".join(part for part in parts if part)
