"""Claims about rollouts: who gets the release next, when it stops, and why. Plain values; no clock and no store."""

from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from edgekit.deployment import BAD, SETTLED, State
from edgekit.errors import InputError
from edgekit.rollout import (
    DEFAULT_PHASES,
    SEEN_MS,
    TRANSITIONS,
    Decision,
    Phase,
    Rollout,
    RolloutEnded,
    RolloutEvent,
    RolloutState,
    Standing,
    abort,
    explain_standing,
    find_due,
    find_fault,
    is_only_waiting,
    is_phase_done,
    next_decision,
    parse_phases,
    plan_phases,
    roll_back,
)

#: A busy machine makes no claim untrue.
unhurried = settings(deadline=None)
NOW = 1_800_000_000_000
LONG_AGO = NOW - SEEN_MS - 1
DIGEST = "sha256:" + "0" * 64


def make_rollout(phases: str = "1,100%", **fields: object) -> Rollout:
    return Rollout(**{"id": "r1", "model": "digits", "release": "digits@1.1.0", "digest": DIGEST, "phases": parse_phases(phases), **fields})


def make_standings(*states: State | None, device_class: str = "x86-64", seen_ms: int = NOW) -> list[Standing]:
    return [Standing(device=f"d{index}", device_class=device_class, seen_ms=seen_ms, state=state) for index, state in enumerate(states)]


def put(standings: Iterable[Standing], devices: Iterable[str], state: State) -> list[Standing]:
    chosen = set(devices)
    return [replace(one, state=state) if one.device in chosen else one for one in standings]


def follow(
    rollout: Rollout, standings: Sequence[Standing], ends: dict[str, State] | None = None, now_ms: int = NOW
) -> tuple[Rollout, list[set[str]]]:
    """Let every device end as *ends* says (committed by default) until nothing more is decided; who was given it, step by step."""
    steps, known = [], list(standings)
    while True:
        decision = next_decision(rollout, known, now_ms)
        rollout = decision.rollout
        if not decision.assign:
            return rollout, steps
        steps.append(set(decision.assign))
        for device in decision.assign:
            known = put(known, [device], (ends or {}).get(device, State.COMMITTED))


# --- phases as text ---------------------------------------------------------------------------------------------------


def test_phases_are_read_as_they_are_written() -> None:
    """Numbers, percentages and the word canary make phases, and each is shown as it was written."""
    phases = parse_phases("canary, 3,0.5%,7%,100%")
    assert phases == (Phase(canary=True), Phase(devices=3), Phase(share=0.005), Phase(share=0.07), Phase(share=1.0))
    assert [str(phase) for phase in phases] == ["one of each class", "3", "0.5%", "7%", "100%"]


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "0%", "101%", "nan%", "inf%", "1e999%", "half", "1,,2", "%", "1.5", "50%,10%", "10,1", ",".join(["1"] * 21)]
)
def test_what_is_no_phase_is_refused_by_name(text: str) -> None:
    """A phase that reaches nobody, or less than one before it, or is no number, is an error that says what to write."""
    with pytest.raises(InputError, match="--phases"):
        parse_phases(text)


@pytest.mark.parametrize("fields", [{}, {"devices": 1, "share": 0.5}, {"devices": 1, "canary": True}])
def test_a_phase_says_one_thing(fields: dict[str, object]) -> None:
    """A phase that says nothing, or two things, cannot be made."""
    with pytest.raises(ValueError, match="a phase has"):
        Phase(**fields)


# --- states -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", RolloutState)
@pytest.mark.parametrize("event", RolloutEvent)
def test_a_rollout_goes_on_only_as_the_table_says(state: RolloutState, event: RolloutEvent) -> None:
    """Each event leads where the table says, and one without a place is refused with what is possible instead."""
    rollout = make_rollout(state=state)
    if (state, event) in TRANSITIONS:
        assert rollout.after(event, "because") == replace(rollout, state=TRANSITIONS[state, event], reason="because")
    else:
        with pytest.raises(RolloutEnded, match=f"rollout r1: it is {state.value.replace('_', ' ')}"):
            rollout.after(event, "")


def test_every_open_rollout_can_be_ended() -> None:
    """From every open state an abort and a rollback lead out, and what was aborted or rolled back stays so."""
    assert {
        (state, event) for state in (RolloutState.RUNNING, RolloutState.PAUSED) for event in (RolloutEvent.ABORTED, RolloutEvent.ROLLED_BACK)
    } <= set(TRANSITIONS)
    assert not [key for key in TRANSITIONS if key[0] in (RolloutState.ABORTED, RolloutState.ROLLED_BACK)]


def test_a_long_reason_can_be_stored_and_read_again() -> None:
    """What devices say may be long: the reason is cut, so that the record stays readable."""
    standing = replace(make_standings(State.FAILED)[0], reason="x" * 5000)
    rollout = next_decision(make_rollout(), [standing], NOW).rollout
    assert Rollout.decode(rollout.encode()) == rollout


# --- who gets it ------------------------------------------------------------------------------------------------------


def test_the_first_phase_takes_one_and_the_next_the_rest() -> None:
    """Of three devices one gets it, and the others once that one has committed; then the rollout is finished."""
    rollout, steps = follow(make_rollout("1,100%"), make_standings(None, None, None))
    assert [len(step) for step in steps] == [1, 2]
    assert rollout.state is RolloutState.FINISHED


def test_two_classes_have_two_canaries() -> None:
    """The default's first phase takes one device of each class."""
    standings = make_standings(*[None] * 5) + [
        replace(one, device=f"p{one.device}", device_class="raspberry-pi-4") for one in make_standings(*[None] * 5)
    ]
    decision = next_decision(make_rollout("canary,100%"), standings, NOW)
    assert len(decision.assign) == 2
    assert {device.startswith("p") for device in decision.assign} == {True, False}


def test_each_class_must_be_proved_by_its_own_canary() -> None:
    """One class' success says nothing of another's, whose variants differ."""
    standings = [
        *make_standings(State.COMMITTED, None),
        *(replace(one, device=f"p{one.device}", device_class="pi") for one in make_standings(State.UNPROVEN, None)),
    ]
    decision = next_decision(make_rollout("canary,100%"), standings, NOW)
    assert (decision.assign, decision.rollout.phase) == ((), 0)
    assert decision.rollout.reason.endswith("on 1 it served too few requests to tell; it goes on once enough have proved it there")


def test_a_rollout_to_absent_devices_waits_for_no_requests() -> None:
    """Where nobody has it yet there is nothing to be proved."""
    away = [replace(one, seen_ms=LONG_AGO) for one in make_standings(None)]
    assert "proved" not in next_decision(make_rollout("1,100%"), away, NOW).rollout.reason


def test_a_class_that_appears_late_gets_its_canary_and_no_other() -> None:
    """A new device whose class has a canary waits; one of a new class is that class' canary, whatever its place in the order."""
    for number in range(20):
        late = [
            Standing(device=f"same{number}", device_class="x86-64", seen_ms=NOW),
            Standing(device=f"new{number}", device_class="pi", seen_ms=NOW),
        ]
        assert find_due(make_rollout("canary,100%"), [*make_standings(State.TRIAL), *late], NOW) == (f"new{number}",)


def test_a_share_is_of_the_devices_and_rounded_up() -> None:
    """7 % of 100 devices are 7 and not 8, and 1 % of 3 are one."""
    assert len(find_due(make_rollout("7%"), make_standings(*[None] * 100), NOW)) == 7
    assert len(find_due(make_rollout("1%"), make_standings(*[None] * 3), NOW)) == 1


def test_a_number_above_the_fleet_reaches_all() -> None:
    """A phase of more devices than there are reaches those that there are."""
    assert len(find_due(make_rollout("50"), make_standings(None, None), NOW)) == 2


def test_another_rollout_begins_with_other_devices() -> None:
    """The order is shuffled by the rollout's id, so that not the same devices bear every risk."""
    standings = make_standings(*[None] * 10)
    assert len({find_due(make_rollout("1", id=f"r{number}"), standings, NOW) for number in range(50)}) > 5


def test_phases_already_reached_are_passed_at_once() -> None:
    """With one device, four phases need one assignment."""
    rollout, steps = follow(make_rollout("canary,5%,25%,100%"), make_standings(None))
    assert (len(steps), rollout.state) == (1, RolloutState.FINISHED)


# --- absent devices ---------------------------------------------------------------------------------------------------


def test_absent_devices_block_nothing_and_are_waited_for() -> None:
    """When every present device has it the rollout stays open for the absent ones, and says so by name."""
    standings = [*make_standings(None, None), Standing(device="away", device_class="x86-64", seen_ms=LONG_AGO)]
    rollout, steps = follow(make_rollout("1,100%"), standings)
    assert set().union(*steps) == {"d0", "d1"}
    assert rollout.state is RolloutState.RUNNING
    assert "1 absent get it when they return (away)" in rollout.reason


def test_a_device_that_returns_gets_it_and_then_the_rollout_is_finished() -> None:
    """A device seen again is given the release, and only then the rollout ends."""
    standings = [*make_standings(State.COMMITTED), Standing(device="away", device_class="x86-64", seen_ms=NOW)]
    rollout, steps = follow(make_rollout("1,100%", phase=1), standings)
    assert (steps, rollout.state) == ([{"away"}], RolloutState.FINISHED)


def test_a_device_that_returns_early_waits_for_its_phase() -> None:
    """The same rules hold on return: in the first phase it is not its turn."""
    standings = [*make_standings(State.TRIAL), Standing(device="back", device_class="x86-64", seen_ms=NOW)]
    assert next_decision(make_rollout("1,100%"), standings, NOW).assign == ()


@pytest.mark.parametrize("phases", ["1,100%", "canary,100%"])
def test_a_canary_that_leaves_before_it_ended_is_replaced(phases: str) -> None:
    """The phase goes on with another device, and the one that left counts again when it returns."""
    left = Standing(device="left", device_class="x86-64", seen_ms=LONG_AGO, state=State.DOWNLOADING)
    decision = next_decision(make_rollout(phases), [left, *make_standings(None)], NOW)
    assert decision.assign == ("d0",)
    back = replace(left, seen_ms=NOW)
    assert next_decision(make_rollout(phases), [back, *make_standings(State.COMMITTED)], NOW).rollout.phase == 0


def test_a_canary_that_leaves_after_it_committed_has_done_its_work() -> None:
    """Its proof stays, so the next phase begins."""
    gone = Standing(device="gone", device_class="x86-64", seen_ms=LONG_AGO, state=State.COMMITTED)
    assert next_decision(make_rollout("1,100%"), [gone, *make_standings(None)], NOW).assign == ("d0",)


def test_a_fleet_of_absent_devices_waits_in_its_first_phase() -> None:
    """With nobody present nothing is assigned, nothing is passed, and nothing is finished."""
    rollout, steps = follow(make_rollout("1,100%"), make_standings(None, None, seen_ms=LONG_AGO))
    assert (steps, rollout.state, rollout.phase) == ([], RolloutState.RUNNING, 0)
    assert "2 absent get it when they return" in rollout.reason


def test_a_clock_that_was_set_back_makes_nobody_absent() -> None:
    """A device seen in what is now the future is present."""
    assert make_standings(None, seen_ms=NOW + 10 * SEEN_MS)[0].is_present(NOW)


def test_only_waiting_is_told_from_working() -> None:
    """A rollout that lacks absent devices alone is only waiting; with a device on trial, or one to come, it is not."""
    away = Standing(device="away", device_class="x86-64", seen_ms=LONG_AGO)
    last = make_rollout("1,100%", phase=1)
    assert is_only_waiting(last, [*make_standings(State.COMMITTED), away], NOW)
    assert not is_only_waiting(last, [*make_standings(State.COMMITTED, State.TRIAL), away], NOW)
    assert not is_only_waiting(last, [*make_standings(State.COMMITTED, None), away], NOW)
    assert not is_only_waiting(replace(last, phase=0), [*make_standings(State.COMMITTED), away], NOW)
    assert not is_only_waiting(replace(last, state=RolloutState.PAUSED), [*make_standings(State.COMMITTED), away], NOW)


def test_absent_devices_beyond_the_last_phase_are_not_waited_for() -> None:
    """A rollout to one device is finished with one, however many others are away."""
    away = Standing(device="away", device_class="x86-64", seen_ms=LONG_AGO)
    assert follow(make_rollout("1"), [*make_standings(None), away])[0].state is RolloutState.FINISHED


def test_a_device_that_left_while_it_installed_keeps_the_rollout_open() -> None:
    """How it ends there is still to be seen, and counts."""
    left = Standing(device="left", device_class="x86-64", seen_ms=LONG_AGO, state=State.TRIAL)
    rollout = make_rollout("1,100%", phase=1)
    assert next_decision(rollout, [*make_standings(State.COMMITTED), left], NOW).rollout.state is RolloutState.RUNNING
    assert next_decision(rollout, [*make_standings(State.COMMITTED), replace(left, state=State.FAILED)], NOW).rollout.state is RolloutState.ABORTED


# --- proof and failure ------------------------------------------------------------------------------------------------


def test_unproven_is_neither_success_nor_failure() -> None:
    """A phase in which nobody proved it is not done, and nothing is aborted; a later proof goes on."""
    rollout = make_rollout("1,100%")
    decision = next_decision(rollout, make_standings(State.UNPROVEN, None), NOW)
    assert (decision.rollout.state, decision.rollout.phase, decision.assign) == (RolloutState.RUNNING, 0, ())
    assert next_decision(rollout, make_standings(State.COMMITTED, None), NOW).assign == ("d1",)


def test_a_rollout_that_ends_with_unproven_devices_says_so() -> None:
    """Finished counts the committed, and beside them those that served too little to tell."""
    rollout = next_decision(make_rollout("1,100%", phase=1), make_standings(State.COMMITTED, State.UNPROVEN), NOW).rollout
    assert rollout.state is RolloutState.FINISHED
    assert rollout.reason == "1 committed it, on 1 it served too few requests to tell"


@pytest.mark.parametrize("state", sorted(BAD, key=str))
def test_a_canary_that_fails_aborts_and_goes_back(state: State) -> None:
    """In a phase of one device none may fail: the rollout stops with the device's reason, and nobody else gets it."""
    standings = [replace(make_standings(state)[0], reason="its answers are wrong"), *make_standings(None, None)[1:]]
    decision = next_decision(make_rollout("1,100%", error_threshold=1.0), standings, NOW)
    assert (decision.rollout.state, decision.assign, decision.roll_back) == (RolloutState.ABORTED, (), ("d0",))
    assert "d0: its answers are wrong" in decision.rollout.reason


@pytest.mark.parametrize(
    ("good", "bad", "working", "threshold", "stops"),
    [
        (19, 1, 0, 0.05, False),  # 5 % is the most, and 5 % is not more
        (18, 1, 0, 0.05, True),
        (0, 1, 19, 0.05, False),  # of those given, so the first to end does not decide alone
        (0, 2, 18, 0.05, True),
        (100, 1, 0, 0.0, True),
        (1, 3, 0, 0.75, False),
        (0, 4, 0, 1.0, True),  # nobody has it, whatever is allowed
        (0, 3, 1, 1.0, False),
        (20, 0, 0, 0.0, False),
    ],
)
def test_the_error_threshold_is_the_most_that_may_go_wrong(good: int, bad: int, working: int, threshold: float, stops: bool) -> None:
    """The rollout stops once more than the threshold of the devices that were given it have failed."""
    states = [*[State.COMMITTED] * good, *[State.FAILED] * bad, *[State.TRIAL] * working]
    fault = find_fault(make_rollout("1,100%", phase=1, error_threshold=threshold), make_standings(*states))
    assert (fault is not None) is stops


def test_a_failure_that_was_let_pass_stays_so_in_a_narrow_phase_after_it() -> None:
    """Entering a canary phase late neither aborts for it nor waits for a class on which it only went wrong."""
    other = Standing(device="p0", device_class="pi", seen_ms=NOW, state=State.FAILED)
    rollout = make_rollout("4,canary,100%", error_threshold=0.3)
    decision = next_decision(rollout, [*make_standings(State.COMMITTED, State.COMMITTED, State.COMMITTED), other], NOW)
    assert decision.rollout.state is RolloutState.FINISHED


def test_superseded_devices_neither_block_nor_count() -> None:
    """A device that something newer was given is nobody's proof and nobody's failure, and its place goes to another."""
    assert find_due(make_rollout("1,100%"), make_standings(State.SUPERSEDED, None), NOW) == ("d1",)
    assert not is_phase_done(make_rollout("1"), make_standings(State.SUPERSEDED), NOW)
    assert is_phase_done(make_rollout("1"), make_standings(State.SUPERSEDED, State.COMMITTED), NOW)
    assert find_fault(make_rollout("1,100%", phase=1, error_threshold=0.5), make_standings(State.SUPERSEDED, State.FAILED, State.COMMITTED)) is None


# --- what people ask for ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [one for one in RolloutState if one is not RolloutState.RUNNING])
def test_only_a_running_rollout_decides_anything(state: RolloutState) -> None:
    """Paused or ended it assigns nothing and takes nothing back, whatever its devices report."""
    rollout = make_rollout(state=state)
    assert next_decision(rollout, make_standings(None, State.FAILED, State.COMMITTED), NOW) == Decision(rollout=rollout)


@pytest.mark.parametrize("stop", [abort, roll_back])
def test_taking_it_back_reaches_exactly_those_who_were_given_it(stop: object) -> None:
    """Every device that was given it goes back, in whatever state it is, but those with something newer."""
    standings = make_standings(None, *State)
    decision = stop(make_rollout(), standings, "because")
    assert set(decision.roll_back) == {one.device for one in standings if one.state not in (None, State.SUPERSEDED)}


def test_a_finished_rollout_can_be_rolled_back_and_not_aborted() -> None:
    """Abort stops what runs; rollback also takes back what has finished."""
    finished = make_rollout(state=RolloutState.FINISHED)
    assert roll_back(finished, make_standings(State.COMMITTED), "").rollout.state is RolloutState.ROLLED_BACK
    with pytest.raises(RolloutEnded, match="It can be rolled back"):
        abort(finished, make_standings(State.COMMITTED), "")


def test_a_plan_is_what_then_happens() -> None:
    """If all goes well, each phase gives the release to those that the plan named for it."""
    standings = make_standings(*[None] * 40) + [replace(one, device=f"p{one.device}", device_class="pi") for one in make_standings(None, None)]
    rollout = Rollout(id="r1", model="digits", release="digits@1.1.0", digest=DIGEST, phases=DEFAULT_PHASES)
    planned = plan_phases(rollout, standings, NOW)
    assert [len(phase) for phase in planned] == [2, 1, 8, 31]
    assert [set(phase) for phase in planned] == follow(rollout, standings)[1]


@pytest.mark.parametrize(
    ("rollout", "standing", "said"),
    [
        ({}, {"state": State.TRIAL, "reason": "3 of 100 requests"}, "digits@1.1.0 is on trial: 3 of 100 requests (rollout r1, running)."),
        ({}, {"seen_ms": NOW - 2 * SEEN_MS}, "It was last seen 48 h ago, and gets digits@1.1.0 when it returns (rollout r1)."),
        ({"state": RolloutState.PAUSED}, {}, "It waits for its turn to get digits@1.1.0: rollout r1 is paused in phase 1 of 2 (1)."),
        ({"state": RolloutState.ABORTED, "reason": "d9 failed"}, {}, "It was not given digits@1.1.0: rollout r1 is aborted (d9 failed)."),
    ],
)
def test_a_device_is_told_why_it_is_where_it_is(rollout: dict[str, object], standing: dict[str, object], said: str) -> None:
    """One sentence names the release, the rollout and the reason."""
    assert explain_standing(make_rollout(**rollout), Standing(**{"device": "d0", "device_class": "x86-64", "seen_ms": NOW, **standing}), NOW) == said


# --- whatever happens -------------------------------------------------------------------------------------------------

FLEETS = st.lists(
    st.builds(
        Standing,
        device=st.uuids().map(str),
        device_class=st.sampled_from(["x86-64", "raspberry-pi-4", "jetson-orin"]),
        seen_ms=st.sampled_from([NOW, NOW - SEEN_MS, LONG_AGO, 0, NOW + 5_000]),
        state=st.one_of(st.none(), st.sampled_from(State)),
    ),
    max_size=12,
    unique_by=lambda one: one.device,
)
PHASES = st.lists(
    st.one_of(st.just(Phase(canary=True)), st.builds(Phase, devices=st.integers(1, 15)), st.builds(Phase, share=st.floats(0.01, 1.0))),
    min_size=1,
    max_size=4,
)
ROLLOUTS = st.builds(
    lambda phases, index, threshold, state: replace(
        make_rollout("1", error_threshold=threshold, state=state), phases=tuple(phases), phase=index % len(phases)
    ),
    PHASES,
    st.integers(0, 3),
    st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    st.sampled_from([RolloutState.RUNNING, RolloutState.RUNNING, RolloutState.PAUSED]),
)


@unhurried
@given(ROLLOUTS, FLEETS)
def test_only_present_devices_that_lack_it_are_given_it(rollout: Rollout, fleet: list[Standing]) -> None:
    """Never an absent device, never one that was given it before, never one twice."""
    assign = next_decision(rollout, fleet, NOW).assign
    fresh = {one.device for one in fleet if one.state is None and one.is_present(NOW)}
    assert set(assign) <= fresh
    assert len(set(assign)) == len(assign)


@unhurried
@given(ROLLOUTS, FLEETS)
def test_no_phase_is_exceeded(rollout: Rollout, fleet: list[Standing]) -> None:
    """Whoever is newly given it fits into the phase beside those that hold its places already."""
    decision = next_decision(rollout, fleet, NOW)
    if not decision.assign:
        return
    phase = decision.rollout.phases[decision.rollout.phase]
    held = [one for one in fleet if one.has_release and (one.state in SETTLED or one.is_present(NOW))]
    there = len(held) + sum(one.state is None and one.is_present(NOW) for one in fleet)
    if phase.canary:
        classes = [one.device_class for one in fleet if one.device in decision.assign]
        assert len(set(classes)) == len(classes)
        assert not set(classes) & {one.device_class for one in held}
    else:
        reach = phase.devices if phase.devices is not None else phase.share * there + 1
        assert len(held) + len(decision.assign) <= reach


@unhurried
@given(ROLLOUTS, FLEETS)
def test_deciding_again_asks_for_nothing_more(rollout: Rollout, fleet: list[Standing]) -> None:
    """Once its decision was carried out, the same question has the answer that nothing is to be done."""
    first = next_decision(rollout, fleet, NOW)
    second = next_decision(first.rollout, put(fleet, first.assign, State.PENDING), NOW)
    assert (second.assign, second.roll_back, second.rollout.state, second.rollout.phase) == ((), (), first.rollout.state, first.rollout.phase)


@unhurried
@given(ROLLOUTS, FLEETS)
def test_what_was_decided_can_be_stored(rollout: Rollout, fleet: list[Standing]) -> None:
    """The rollout after any decision is a record that reads back as itself, and its phase never goes down."""
    decided = next_decision(rollout, fleet, NOW).rollout
    assert Rollout.decode(decided.encode()) == decided
    assert decided.phase >= rollout.phase


@unhurried
@given(PHASES, FLEETS, st.data())
def test_every_rollout_among_present_devices_ends(phases: list[Phase], fleet: list[Standing], data: st.DataObject) -> None:
    """If each device commits or fails, a rollout to devices that are all present is finished or aborted, and gives nobody it twice."""
    standings = [replace(one, seen_ms=NOW, state=None) for one in fleet] or make_standings(None)
    ends = {one.device: data.draw(st.sampled_from([State.COMMITTED, State.FAILED])) for one in standings}
    rollout, steps = follow(replace(make_rollout("1"), phases=tuple(phases), error_threshold=0.3), standings, ends)
    assert rollout.state in (RolloutState.FINISHED, RolloutState.ABORTED)
    assert sum(map(len, steps)) == len(set().union(*steps))


@unhurried
@given(ROLLOUTS, FLEETS)
def test_whoever_fails_is_never_given_it_again(rollout: Rollout, fleet: list[Standing]) -> None:
    """A device on which it went wrong is not asked to try once more by the same rollout."""
    bad = {one.device for one in fleet if one.state in BAD}
    assert not bad & set(next_decision(rollout, fleet, NOW).assign)


def test_records_from_a_newer_server_are_read() -> None:
    """Fields that this version does not know are ignored."""
    fields = msgspec.json.decode(make_rollout().encode())
    assert Rollout.decode(msgspec.json.encode({**fields, "window": "02:00-04:00"})) == make_rollout()
