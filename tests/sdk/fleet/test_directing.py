"""Claims about what devices go back to, and about directives."""

from typing import Any

import pytest

from edgekit.deployment import Deployment, State
from edgekit.desired import DesiredModel, verify_desired
from edgekit.fleet.directing import LIFETIME_MS, carry_out, find_before, sign_directives
from edgekit.fleet.store.directives import read_directive
from edgekit.fleet.store.rollouts import Assignment, Before, find_current
from edgekit.rollout import Decision
from edgekit.status import ModelStatus

ONE, TWO, THREE = (Before(release=f"digits@{number}.0.0", digest="sha256:" + str(number) * 64) for number in (1, 2, 3))


def make_assignment(deployment: str, to: Before, before: Before) -> Assignment:
    desired = DesiredModel(model="digits", deployment=deployment, release=to.release, digest=to.digest)
    return Assignment(device="a", desired=desired, rollout="r1", before=before)


def make_report(serves: Before, deployment: str = "", state: State = State.COMMITTED) -> ModelStatus:
    told = Deployment(id=deployment, model="digits", counter=1, state=state) if deployment else None
    return ModelStatus(model="digits", release=serves.release, digest=serves.digest, deployment=told)


@pytest.mark.parametrize(
    ("current", "reported", "before"),
    [
        (None, None, Before()),
        (None, make_report(ONE), ONE),
        (make_assignment("r1", TWO, ONE), make_report(TWO, "r1"), TWO),
        (make_assignment("r1", TWO, ONE), make_report(TWO, "r1", State.UNPROVEN), TWO),
        (make_assignment("r1", TWO, ONE), make_report(ONE, "r1", State.ROLLED_BACK), ONE),
        (make_assignment("r1", TWO, Before()), make_report(Before(), "r1", State.FAILED), Before()),
        (make_assignment("r1", TWO, ONE), make_report(TWO, "r1", State.TRIAL), ONE),
        (make_assignment("r1", TWO, ONE), None, ONE),
        (make_assignment("r1-back", ONE, ONE), make_report(TWO, "r1"), ONE),
        (make_assignment("r1-back", ONE, ONE), make_report(ONE, "r1-back"), ONE),
        (make_assignment("r1", TWO, ONE), make_report(THREE, "local"), ONE),
    ],
    ids=[
        "never seen",
        "installed by hand",
        "committed",
        "unproven",
        "refused it and serves the old",
        "refused it and serves nothing",
        "still on trial",
        "given and not yet heard of",
        "told to go back, and not yet there",
        "has gone back",
        "speaks of something else",
    ],
)
def test_a_device_goes_back_to_what_was_good_on_it(current: Assignment | None, reported: ModelStatus | None, before: Before) -> None:
    """What it says that it serves counts once it has done what was asked; until then the last release that was good."""
    assert find_before(current, reported) == before


def test_all_models_of_a_device_are_in_one_message(fleet: Any) -> None:
    """A directive says everything that its device should have, under one counter, and expires."""
    device = fleet.add("a")
    for name, release in (("r1", "digits@1.1.0"), ("r2", "letters@2.0.0")):
        fleet.write(carry_out, Decision(rollout=fleet.start(release, id=name), assign=("a",)), fleet.signer, fleet.now)
    directive = fleet.read(read_directive, "a")
    desired = verify_desired(directive.message, device.keys, "a", 0, fleet.now)
    assert [one.release for one in desired.models] == ["digits@1.1.0", "letters@2.0.0"]
    assert [one.floor for one in desired.models] == ["1.1.0", "2.0.0"]
    assert (desired.counter, desired.expires_ms) == (directive.counter, fleet.now + LIFETIME_MS)


def test_each_signature_has_a_higher_counter(fleet: Any) -> None:
    """Also within one millisecond, and after the clock was set back."""
    fleet.add("a")
    counters = []
    for step in (0, 0, -100_000, 5):
        fleet.now += step
        fleet.write(sign_directives, ["a"], fleet.signer, fleet.now)
        counters.append(fleet.read(read_directive, "a").counter)
    assert counters == sorted(set(counters))


def test_deciding_the_same_again_keeps_what_a_device_goes_back_to(fleet: Any) -> None:
    """An assignment that is repeated does not take the new release for the one before it."""
    fleet.add("a", release="digits@1.0.0")
    rollout = fleet.start()
    for _ in range(2):
        fleet.write(carry_out, Decision(rollout=rollout, assign=("a",)), fleet.signer, fleet.now)
    fleet.settle()
    assert fleet.read(find_current, "a", "digits").before.release == "digits@1.0.0"
