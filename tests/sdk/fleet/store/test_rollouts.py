"""Rollouts in the store, and how each device stands with them."""

from collections.abc import Callable
from typing import Any

import pytest

from edgekit.deployment import Deployment, State
from edgekit.desired import DesiredModel
from edgekit.errors import UnknownName
from edgekit.fleet.store.devices import see_devices, set_labels
from edgekit.fleet.store.leases import Lease
from edgekit.fleet.store.rollouts import (
    Assignment,
    Before,
    assign,
    find_current,
    find_rollout,
    list_assignments,
    list_desired,
    list_rollouts,
    list_standings,
    name_return,
    save_rollout,
)
from edgekit.fleet.store.uploads import store_uploads
from edgekit.rollout import Rollout, RolloutState
from edgekit.status import DeviceStatus, ModelStatus

Run = Callable[..., Any]
DIGEST = "sha256:" + "0" * 64


def make_rollout(id: str = "r1", **fields: Any) -> Rollout:
    return Rollout(**{"id": id, "model": "digits", "release": "digits@1.1.0", "digest": DIGEST, **fields})


def make_assignment(device: str, deployment: str = "r1", release: str = "digits@1.1.0", **fields: Any) -> Assignment:
    wanted = DesiredModel(model="digits", deployment=deployment, release=release, digest=DIGEST)
    return Assignment(device=device, desired=wanted, rollout=deployment.removesuffix("-back"), **fields)


@pytest.fixture(autouse=True)
def fleet(write: Run) -> None:
    """Two devices on the roof and one in the cellar."""
    write(see_devices, ["a", "b", "c"], 10)
    for device, site in (("a", "roof"), ("b", "roof"), ("c", "cellar")):
        write(set_labels, device, {"site": site})


@pytest.fixture
def report(write: Run, lease: Lease) -> Callable[..., None]:
    """Lets a device say where a deployment stands."""
    revisions = iter(range(1, 100))

    def say(device: str, deployment: str, state: State, reason: str = "") -> None:
        found = Deployment(id=deployment, model="digits", release="digits@1.1.0", digest=DIGEST, counter=1, state=state, reason=reason)
        status = DeviceStatus(device=device, epoch="a" * 16, revision=next(revisions), models=(ModelStatus(model="digits", deployment=found),))
        write(store_uploads, [lease], [(device, status)], 20)

    return say


def list_states(read: Run, rollout: Rollout) -> dict[str, State | None]:
    return {standing.device: standing.state for standing in read(list_standings, rollout)}


def test_a_rollout_is_kept_and_replaced(write: Run, read: Run) -> None:
    """What was saved last is what is found."""
    write(save_rollout, make_rollout(), 1)
    paused = make_rollout(state=RolloutState.PAUSED)
    write(save_rollout, paused, 2)
    assert read(find_rollout, "r1") == paused


def test_rollouts_are_listed_newest_first(write: Run, read: Run) -> None:
    """Of one model, or only those that still decide, where that is asked."""
    for number, (model, state) in enumerate([("digits", RolloutState.FINISHED), ("faces", RolloutState.RUNNING), ("digits", RolloutState.PAUSED)]):
        write(save_rollout, make_rollout(f"r{number}", model=model, state=state, created_ms=number), 1)
    assert [one.id for one in read(list_rollouts)] == ["r2", "r1", "r0"]
    assert [one.id for one in read(list_rollouts, model="digits")] == ["r2", "r0"]
    assert [one.id for one in read(list_rollouts, only_open=True)] == ["r2", "r1"]
    assert [one.id for one in read(list_rollouts, limit=1)] == ["r2"]


def test_an_unknown_rollout_is_named_with_the_known_ones(write: Run, read: Run) -> None:
    """So that a slip is seen at once."""
    write(save_rollout, make_rollout(), 1)
    with pytest.raises(UnknownName, match="Known here: r1"):
        read(find_rollout, "r2")


def test_who_was_never_given_it_has_no_state(read: Run) -> None:
    """A rollout's devices are those that it selects, and before it begins none has a state."""
    assert list_states(read, make_rollout(select="site=roof")) == {"a": None, "b": None}


def test_a_device_stands_as_it_says(write: Run, read: Run, report: Run) -> None:
    """Pending until it has reported, then in the state that it reports under the rollout's id, with its reason."""
    write(assign, [make_assignment("a"), make_assignment("b")], 1)
    assert list_states(read, make_rollout()) == {"a": State.PENDING, "b": State.PENDING, "c": None}
    report("a", "r1", State.FAILED, "no room")
    report("b", "r1", State.TRIAL)
    assert list_states(read, make_rollout()) == {"a": State.FAILED, "b": State.TRIAL, "c": None}
    assert read(list_standings, make_rollout())[0].reason == "no room"


def test_a_report_on_what_was_not_asked_for_changes_nothing(write: Run, read: Run, report: Run) -> None:
    """Nor does one about a deployment that came before."""
    write(assign, [make_assignment("a")], 1)
    report("a", "other", State.COMMITTED)
    report("c", "r1", State.COMMITTED)
    assert list_states(read, make_rollout()) == {"a": State.PENDING, "b": None, "c": None}


def test_a_device_whose_labels_changed_stays_in_its_rollout(write: Run, read: Run) -> None:
    """It has the release, and must be taken back with the others."""
    write(assign, [make_assignment("a")], 1)
    write(set_labels, "a", {"site": "garden"})
    assert list_states(read, make_rollout(select="site=roof")) == {"a": State.PENDING, "b": None}


def test_something_newer_supersedes(write: Run, read: Run, report: Run) -> None:
    """A device from which something else is wanted by now no longer counts as holding it; one that failed has failed."""
    write(assign, [make_assignment("a"), make_assignment("b")], 1)
    report("b", "r1", State.FAILED)
    write(assign, [make_assignment("a", "r2"), make_assignment("b", "r2")], 2)
    assert list_states(read, make_rollout()) == {"a": State.SUPERSEDED, "b": State.FAILED, "c": None}


def test_going_back_is_being_rolled_back(write: Run, read: Run, report: Run) -> None:
    """A device that is sent back from a release stands as rolled back with it."""
    write(assign, [make_assignment("a")], 1)
    report("a", "r1", State.COMMITTED)
    write(assign, [make_assignment("a", name_return("r1"), "digits@1.0.0")], 2)
    assert list_states(read, make_rollout())["a"] is State.ROLLED_BACK
    assert [one.release for one in read(list_desired, "a")] == ["digits@1.0.0"]


def test_what_was_wanted_before_is_remembered(write: Run, read: Run) -> None:
    """The newest first, with what a device goes back to; and the same again changes nothing of it."""
    first = make_assignment("a", before=Before(release="digits@1.0.0", digest=DIGEST))
    write(assign, [first], 1)
    write(assign, [make_assignment("a", "r2", "digits@1.2.0")], 2)
    write(assign, [make_assignment("a")], 3)
    history = read(list_assignments, device="a")
    assert [(one.desired.deployment, one.assigned_ms) for one in history] == [("r2", 2), ("r1", 1)]
    assert history[1].before.release == "digits@1.0.0"
    assert read(list_assignments, rollout="r2")[0].desired.release == "digits@1.2.0"
    assert read(list_assignments, model="faces") == []


def test_what_is_wanted_now_is_found_with_its_reason(write: Run, read: Run) -> None:
    """One of each model; None where nothing was ever asked for."""
    write(assign, [make_assignment("a"), make_assignment("a", "r2")], 1)
    assert read(find_current, "a", "digits").rollout == "r2"
    assert read(find_current, "b", "digits") is None
    assert len(read(list_desired, "a")) == 1
