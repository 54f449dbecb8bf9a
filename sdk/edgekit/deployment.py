"""One release on one device: its states, its events, and the one table that joins them.

The updater on the device and the coordinator on the server read the same table.
"""

import enum
from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from edgekit.errors import EdgekitError
from edgekit.records import Digest, Name, NonNegative, Record, Share

Seconds = Annotated[float, Meta(ge=0, le=365 * 86_400)]
Millis = Annotated[int, Meta(ge=0, le=1 << 53)]


class State(enum.Enum):
    """Where a release stands on one device."""

    PENDING = "pending"
    DOWNLOADING = "downloading"
    PROVING = "proving"
    TRIAL = "trial"
    COMMITTED = "committed"
    UNPROVEN = "unproven"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"
    SUPERSEDED = "superseded"


class Event(enum.Enum):
    """What can happen to it."""

    STARTED = "started"
    DOWNLOADED = "downloaded"
    PROVED = "proved"
    PROVED_GOOD = "proved_good"
    PROVED_BAD = "proved_bad"
    NO_EVIDENCE = "no_evidence"
    BROKE = "broke"
    TIMED_OUT = "timed_out"
    NEWER_DESIRED = "newer_desired"
    WITHDRAWN = "withdrawn"


S, E = State, Event
# Every state that does work has a way out for: it went well, it broke, its deadline passed, something newer is desired.
# fmt: off
TRANSITIONS: dict[tuple[State, Event], State] = {
    (S.PENDING,     E.STARTED):       S.DOWNLOADING,
    (S.PENDING,     E.BROKE):         S.FAILED,
    (S.PENDING,     E.TIMED_OUT):     S.FAILED,
    (S.PENDING,     E.NEWER_DESIRED): S.SUPERSEDED,

    (S.DOWNLOADING, E.DOWNLOADED):    S.PROVING,
    (S.DOWNLOADING, E.BROKE):         S.FAILED,
    (S.DOWNLOADING, E.TIMED_OUT):     S.FAILED,
    (S.DOWNLOADING, E.NEWER_DESIRED): S.SUPERSEDED,

    (S.PROVING,     E.PROVED):        S.TRIAL,
    (S.PROVING,     E.BROKE):         S.FAILED,
    (S.PROVING,     E.TIMED_OUT):     S.FAILED,
    (S.PROVING,     E.NEWER_DESIRED): S.SUPERSEDED,

    (S.TRIAL,       E.PROVED_GOOD):   S.COMMITTED,
    (S.TRIAL,       E.NO_EVIDENCE):   S.UNPROVEN,
    (S.TRIAL,       E.PROVED_BAD):    S.ROLLED_BACK,
    (S.TRIAL,       E.BROKE):         S.ROLLED_BACK,
    (S.TRIAL,       E.TIMED_OUT):     S.ROLLED_BACK,
    (S.TRIAL,       E.NEWER_DESIRED): S.SUPERSEDED,

    # An unproven release serves, and can still be taken back or be proved later.
    (S.UNPROVEN,    E.PROVED_GOOD):   S.COMMITTED,
    (S.UNPROVEN,    E.PROVED_BAD):    S.ROLLED_BACK,
    (S.UNPROVEN,    E.BROKE):         S.ROLLED_BACK,
    (S.UNPROVEN,    E.WITHDRAWN):     S.ROLLED_BACK,
    (S.UNPROVEN,    E.NEWER_DESIRED): S.SUPERSEDED,

    (S.COMMITTED,   E.WITHDRAWN):     S.ROLLED_BACK,
    (S.COMMITTED,   E.NEWER_DESIRED): S.SUPERSEDED,
}

#: How long a state may last, in seconds; its end is the event TIMED_OUT. A trial ends by its own terms, well before this.
DEADLINES: dict[State, float] = {
    S.PENDING:     7 * 86_400,
    S.DOWNLOADING: 7 * 86_400,
    S.PROVING:     1_800,
    S.TRIAL:       2 * 86_400,
}
# fmt: on

#: States in which the device has nothing more to do for this release.
SETTLED = frozenset({S.COMMITTED, S.UNPROVEN, S.ROLLED_BACK, S.FAILED, S.SUPERSEDED})
#: States that count against a rollout.
BAD = frozenset({S.ROLLED_BACK, S.FAILED})


class TransitionError(EdgekitError):
    """An event came in a state that has no place for it: a fault of ours."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"deployment in state {state.value}", f"the event {event.value} has no place in it")


class TrialTerms(Record, frozen=True, kw_only=True):
    """When a trial has seen enough: *min_requests* answered and *min_s* seconds passed, and at *max_s* at the latest.

    More than *max_error_rate* of the requests failing, or a p95 above *max_slowdown* times the previous release's, is bad; a p95
    is of MIN_TIMED requests at least.
    """

    min_requests: Annotated[int, Meta(ge=0, le=10_000_000)] = 100
    min_s: Seconds = 60.0
    max_s: Seconds = 3_600.0
    max_error_rate: Share = 0.01
    max_slowdown: NonNegative = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_s < self.min_s:
            raise ValueError("max_s must not be below min_s")


class Evidence(Record, frozen=True, kw_only=True):
    """What a trial has seen so far."""

    requests: Annotated[int, Meta(ge=0)] = 0
    failed: Annotated[int, Meta(ge=0)] = 0
    rescued: Annotated[int, Meta(ge=0)] = 0
    p95_ms: NonNegative | None = None
    previous_p95_ms: NonNegative | None = None


class Deployment(Record, frozen=True, kw_only=True):
    """A release on its way to one device's slot. *since_ms* is when its state began (unix time, the device's clock).

    Where no release is to serve the model, *release* is empty and there is no *digest*. *crashes* counts how often the device's
    agent ended without being stopped while it proved or tried the release.
    """

    id: Name
    model: Name
    release: str = ""
    digest: Digest | None = None
    counter: Annotated[int, Meta(ge=0)]
    trial: TrialTerms = TrialTerms()
    state: State = State.PENDING
    since_ms: Millis = 0
    reason: Annotated[str, Meta(max_length=2000)] = ""
    variant: str = ""
    evidence: Evidence | None = None
    crashes: Annotated[int, Meta(ge=0)] = 0

    def after(self, event: Event, now_ms: int, reason: str = "") -> "Deployment":
        """The same deployment once *event* has happened at *now_ms*; TransitionError where it cannot."""
        try:
            state = TRANSITIONS[self.state, event]
        except KeyError:
            raise TransitionError(self.state, event) from None
        return replace(self, state=state, since_ms=now_ms, reason=reason[:2000])

    @property
    def is_settled(self) -> bool:
        """Whether the device has nothing more to do for it."""
        return self.state in SETTLED

    def is_late(self, now_ms: int) -> bool:
        """Whether the state has lasted longer than its deadline. A clock that was set back makes nothing late."""
        deadline = DEADLINES.get(self.state)
        return deadline is not None and now_ms - self.since_ms > deadline * 1000


#: What is said of a release in each state, after its name.
# fmt: off
PHRASES = {
    State.PENDING:     "is asked for",
    State.DOWNLOADING: "is being fetched",
    State.PROVING:     "is being held against its golden samples",
    State.TRIAL:       "is on trial",
    State.COMMITTED:   "is committed",
    State.UNPROVEN:    "serves and is not proved yet",
    State.ROLLED_BACK: "was rolled back",
    State.FAILED:      "was not installed",
    State.SUPERSEDED:  "gave way to what is desired now",
}
# fmt: on


def explain_deployment(deployment: Deployment) -> str:
    """Where *deployment* stands and why, in one sentence."""
    because = f": {deployment.reason}" if deployment.reason else ""
    return f"{deployment.release or 'no release'} {PHRASES[deployment.state]}{because}."


class Verdict(enum.Enum):
    """What a trial's evidence says."""

    WAIT = "wait"
    GOOD = "good"
    BAD = "bad"
    NO_EVIDENCE = "no_evidence"


#: Failures before a rate says anything: a single one may be the caller's luck.
MIN_FAILURES = 3
#: Requests before a p95 says anything: of 40, two that had to wait for the processor decide it.
MIN_TIMED = 100


def judge_trial(terms: TrialTerms, evidence: Evidence, elapsed_s: float) -> tuple[Verdict, str]:
    """What *evidence* after *elapsed_s* seconds says by *terms*, and why, in words."""
    rate = evidence.failed / evidence.requests if evidence.requests else 0.0
    if evidence.failed >= MIN_FAILURES and rate > terms.max_error_rate:
        return Verdict.BAD, f"{evidence.failed} of {evidence.requests} requests failed ({rate:.1%}), and {terms.max_error_rate:.1%} is the most"
    enough = evidence.requests >= terms.min_requests and elapsed_s >= terms.min_s
    if enough and rate > terms.max_error_rate:
        return Verdict.BAD, f"{evidence.failed} of {evidence.requests} requests failed ({rate:.1%}), and {terms.max_error_rate:.1%} is the most"
    if enough and _is_slower(terms, evidence):
        return Verdict.BAD, f"its p95 is {evidence.p95_ms:.3g} ms, more than {terms.max_slowdown:g} times the previous {evidence.previous_p95_ms:.3g}"
    if enough:
        return Verdict.GOOD, f"{evidence.requests} requests in {elapsed_s:.0f} s, {evidence.failed} failed"
    if elapsed_s >= terms.max_s:
        return Verdict.NO_EVIDENCE, f"only {evidence.requests} requests in {elapsed_s:.0f} s, and {terms.min_requests} were asked for"
    return Verdict.WAIT, f"{evidence.requests} of {terms.min_requests} requests, {elapsed_s:.0f} of at least {terms.min_s:.0f} s"


def _is_slower(terms: TrialTerms, evidence: Evidence) -> bool:
    if evidence.requests < MIN_TIMED or evidence.p95_ms is None or not evidence.previous_p95_ms:
        return False
    return evidence.p95_ms > terms.max_slowdown * evidence.previous_p95_ms
