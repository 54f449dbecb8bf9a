"""Claims about one release on one device: the table, its deadlines, and what a trial's evidence says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from edgekit.deployment import (
    BAD,
    DEADLINES,
    MIN_FAILURES,
    SETTLED,
    TRANSITIONS,
    Deployment,
    Event,
    Evidence,
    State,
    TransitionError,
    TrialTerms,
    Verdict,
    explain_deployment,
    judge_trial,
)

#: A busy machine makes no claim untrue.
unhurried = settings(deadline=None)
NOW = 1_800_000_000_000
DEPLOYMENT = Deployment(id="r1", model="digits", release="digits@1.1.0", digest="sha256:" + "0" * 64, counter=1, since_ms=NOW)
TERMS = TrialTerms(min_requests=100, min_s=60, max_s=3600, max_error_rate=0.01, max_slowdown=5)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_a_deployment_goes_only_where_the_table_says(state: State, event: Event) -> None:
    """Each event leads where the table says, with time and reason, and one without a place is a fault that names both."""
    deployment = replace(DEPLOYMENT, state=state)
    if (state, event) in TRANSITIONS:
        after = deployment.after(event, NOW + 5, "because")
        assert (after.state, after.since_ms, after.reason) == (TRANSITIONS[state, event], NOW + 5, "because")
        assert replace(after, state=state, since_ms=NOW, reason="") == deployment
    else:
        with pytest.raises(TransitionError, match=f"state {state.value}: the event {event.value}"):
            deployment.after(event, NOW)


@pytest.mark.parametrize("state", [state for state in State if state not in SETTLED])
@pytest.mark.parametrize("event", [Event.BROKE, Event.TIMED_OUT, Event.NEWER_DESIRED])
def test_every_state_that_works_has_a_way_out(state: State, event: Event) -> None:
    """Breaking, being late, and something newer each end it."""
    assert TRANSITIONS[state, event] in SETTLED


@pytest.mark.parametrize("state", [State.COMMITTED, State.UNPROVEN])
@pytest.mark.parametrize("event", [Event.WITHDRAWN, Event.NEWER_DESIRED])
def test_what_serves_can_be_taken_back_and_replaced(state: State, event: Event) -> None:
    """Neither a committed nor an unproven release stays for ever."""
    assert (state, event) in TRANSITIONS


def test_what_has_gone_does_not_come_back() -> None:
    """From failed, rolled back and superseded nothing leads on."""
    assert not {state for state, _ in TRANSITIONS} & {State.FAILED, State.ROLLED_BACK, State.SUPERSEDED}


def test_every_state_can_be_reached() -> None:
    """No state is there for nothing."""
    assert set(TRANSITIONS.values()) == set(State) - {State.PENDING}


def test_nothing_goes_live_unproved() -> None:
    """On the way to serving there is no step past the golden samples and the trial."""
    assert [key for key, after in TRANSITIONS.items() if after is State.TRIAL] == [(State.PROVING, Event.PROVED)]
    assert {state for (state, _), after in TRANSITIONS.items() if after in (State.COMMITTED, State.UNPROVEN)} <= {State.TRIAL, State.UNPROVEN}


def test_bad_states_are_ends() -> None:
    """What counts against a rollout does not change its mind."""
    assert BAD <= SETTLED


def test_exactly_the_working_states_have_deadlines() -> None:
    """A device is never stuck: whatever is not settled ends by time at the latest."""
    assert set(DEADLINES) == set(State) - SETTLED


@pytest.mark.parametrize("state", State)
def test_a_state_is_late_after_its_deadline_and_not_before(state: State) -> None:
    """To the millisecond; settled states are never late, and a clock that was set back makes nothing late."""
    deployment = replace(DEPLOYMENT, state=state)
    limit = int(DEADLINES.get(state, 0) * 1000)
    assert not deployment.is_late(NOW + limit)
    assert deployment.is_late(NOW + limit + 1) is (state in DEADLINES)
    assert not deployment.is_late(NOW - 10 * limit - 1)


def test_a_long_reason_can_be_read_again() -> None:
    """A reason is cut where the record would not read it back."""
    after = DEPLOYMENT.after(Event.BROKE, NOW, "x" * 5000)
    assert Deployment.decode(after.encode()) == after


def test_a_trial_that_ends_before_it_may_is_refused() -> None:
    """max_s below min_s contradicts itself."""
    with pytest.raises(ValueError, match="max_s"):
        TrialTerms(min_s=10, max_s=9)


@pytest.mark.parametrize(
    ("requests", "failed", "elapsed_s", "verdict"),
    [
        (0, 0, 0, Verdict.WAIT),
        (99, 0, 3599, Verdict.WAIT),
        (100, 0, 59, Verdict.WAIT),
        (100, 0, 60, Verdict.GOOD),
        (100, 1, 60, Verdict.GOOD),
        (100, 2, 60, Verdict.BAD),
        (99, 0, 3600, Verdict.NO_EVIDENCE),
        (0, 0, 3600, Verdict.NO_EVIDENCE),
        (2, 2, 1, Verdict.WAIT),
        (3, 3, 1, Verdict.BAD),
        (300, 3, 1, Verdict.WAIT),
        (299, 3, 1, Verdict.BAD),
        (100_000, 1_000, 60, Verdict.GOOD),
        (100_000, 1_001, 60, Verdict.BAD),
    ],
)
def test_a_trial_is_judged_by_its_terms(requests: int, failed: int, elapsed_s: float, verdict: Verdict) -> None:
    """Enough requests and time for good, too many failures for bad at once, and neither at its end for no evidence."""
    found, reason = judge_trial(TERMS, Evidence(requests=requests, failed=failed), elapsed_s)
    assert found is verdict
    assert reason


@pytest.mark.parametrize(
    ("p95", "previous", "verdict"),
    [
        (50.0, 10.0, Verdict.GOOD),
        (50.1, 10.0, Verdict.BAD),
        (None, 10.0, Verdict.GOOD),
        (50.0, None, Verdict.GOOD),
        (50.0, 0.0, Verdict.GOOD),
    ],
)
def test_a_release_that_is_much_slower_is_bad(p95: float | None, previous: float | None, verdict: Verdict) -> None:
    """More than max_slowdown times the previous p95 is bad; where one of the two is unknown, nothing is said of speed."""
    assert judge_trial(TERMS, Evidence(requests=100, p95_ms=p95, previous_p95_ms=previous), 60)[0] is verdict


def test_a_few_slow_requests_say_nothing_of_a_release() -> None:
    """A trial that is over before a p95 means anything judges by failures alone."""
    terms = TrialTerms(min_requests=30, min_s=0, max_s=60)
    slow = {"p95_ms": 50.1, "previous_p95_ms": 10.0}
    assert judge_trial(terms, Evidence(requests=99, **slow), 1)[0] is Verdict.GOOD
    assert judge_trial(terms, Evidence(requests=100, **slow), 1)[0] is Verdict.BAD


def test_terms_without_requests_need_none() -> None:
    """A release that was good before goes back to being committed at once."""
    assert judge_trial(TrialTerms(min_requests=0, min_s=0, max_s=0), Evidence(), 0.0)[0] is Verdict.GOOD


EVIDENCE = st.builds(lambda requests, failed: Evidence(requests=requests, failed=min(requests, failed)), st.integers(0, 1000), st.integers(0, 1000))
ALL_TERMS = st.builds(
    lambda requests, least, more, rate: TrialTerms(min_requests=requests, min_s=least, max_s=least + more, max_error_rate=rate),
    st.integers(0, 500),
    st.floats(0, 100),
    st.floats(0, 1000),
    st.floats(0, 1),
)


@unhurried
@given(ALL_TERMS, EVIDENCE)
def test_every_trial_ends(terms: TrialTerms, evidence: Evidence) -> None:
    """At max_s there is always a verdict."""
    assert judge_trial(terms, evidence, terms.max_s)[0] is not Verdict.WAIT


@unhurried
@given(ALL_TERMS, EVIDENCE, st.floats(0, 2000))
def test_one_failure_more_makes_nothing_better(terms: TrialTerms, evidence: Evidence, elapsed_s: float) -> None:
    """What is bad stays bad when another request fails."""
    worse = replace(evidence, requests=evidence.requests + 1, failed=evidence.failed + 1)
    if judge_trial(terms, evidence, elapsed_s)[0] is Verdict.BAD:
        assert judge_trial(terms, worse, elapsed_s)[0] is Verdict.BAD


@unhurried
@given(ALL_TERMS, EVIDENCE, st.floats(0, 2000))
def test_good_means_within_the_terms(terms: TrialTerms, evidence: Evidence, elapsed_s: float) -> None:
    """Nothing is called good with too few requests, too early, or with too many failures."""
    if judge_trial(terms, evidence, elapsed_s)[0] is Verdict.GOOD:
        assert evidence.requests >= terms.min_requests
        assert elapsed_s >= terms.min_s
        assert evidence.failed <= terms.max_error_rate * max(1, evidence.requests)


def test_luck_is_not_a_rate() -> None:
    """Fewer than MIN_FAILURES failures end no trial early."""
    assert judge_trial(TERMS, Evidence(requests=MIN_FAILURES - 1, failed=MIN_FAILURES - 1), 0)[0] is Verdict.WAIT


@pytest.mark.parametrize("state", State)
def test_each_state_is_said_in_a_sentence(state: State) -> None:
    """Name, state and reason, or that no release is meant."""
    assert explain_deployment(replace(DEPLOYMENT, state=state, reason="so it is")).startswith("digits@1.1.0 ")
    assert explain_deployment(replace(DEPLOYMENT, state=state, reason="so it is")).endswith(": so it is.")
    assert explain_deployment(replace(DEPLOYMENT, release="", state=state)).startswith("no release ")
