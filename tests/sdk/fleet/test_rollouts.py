"""Claims about what people ask of rollouts: with the real store, a real release repository, and simulated devices."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from edgekit.bundles import VerifiedBundle
from edgekit.deployment import State
from edgekit.errors import InputError, UnknownName
from edgekit.fleet.release_reader import ReleaseReader
from edgekit.fleet.rollouts import NobodySelected, RolloutConflict, RolloutDesk, make_rollout
from edgekit.fleet.store.events import list_events
from edgekit.fleet.store.rollouts import list_rollouts
from edgekit.fleet.store.uploads import store_uploads
from edgekit.fleet.views import RolloutRequest, RolloutView
from edgekit.releases.publishing import publish_release
from edgekit.releases.versions import Release
from edgekit.rollout import SEEN_MS, Phase, Rollout, RolloutEnded, RolloutState, parse_phases
from edgekit.status import DeviceStatus

OLD, NEW, NEWER = "digits@1.0.0", "digits@1.1.0", "digits@1.5.0"


class Desk:
    """The desk with its words said at once, and the fleet that it works for; *woken* counts how often it woke the coordinator."""

    def __init__(self, fleet: Any, releases: ReleaseReader) -> None:
        self.fleet, self.woken = fleet, 0
        self.desk = RolloutDesk(fleet.store, releases, fleet.signer, lambda: fleet.now, self._wake)

    def _wake(self) -> None:
        self.woken += 1

    def say(self, verb: str, *args: Any) -> Any:
        return asyncio.run(getattr(self.desk, verb)(*args))

    def start(self, release: str = NEW, phases: str = "1,100%", **fields: Any) -> RolloutView:
        return self.say("start", RolloutRequest(release=release, phases=parse_phases(phases), **fields))


@pytest.fixture
def repository(tmp_path: Path, keys: Path, make_small_bundle: Callable[..., VerifiedBundle]) -> Path:
    """Releases of digits, 1.1.0 to 1.5.0, whose models nobody here loads."""
    root = tmp_path / "repository"
    for minor in (1, 3, 5):
        publish_release(make_small_bundle(f"model {minor}".encode()), f"1.{minor}.0", root, keys, datetime.now(timezone.utc))
    return root


@pytest.fixture
def desk(fleet: Any, repository: Path, tmp_path: Path) -> Desk:
    releases = ReleaseReader(repository, tmp_path / "trust")
    asyncio.run(releases.pin())
    for name in ("a", "b", "c"):
        fleet.add(name, release=OLD)
    return Desk(fleet, ReleaseReader(repository, tmp_path / "trust"))


def test_a_plan_says_who_gets_it_when_and_changes_nothing(desk: Desk) -> None:
    """Phases with their devices, what each variant takes to download, who is absent; and no rollout exists after it."""
    desk.fleet.add("p", device_class="raspberry-pi-4")
    desk.fleet.now += SEEN_MS + 1
    desk.fleet.report("a", "b", "p")
    planned = desk.say("plan", RolloutRequest(release=NEW, phases=parse_phases("canary,100%")))
    assert (planned.release, planned.model, planned.absent, planned.conflicts) == (NEW, "digits", ("c",), ())
    assert [phase.phase for phase in planned.phases] == ["one of each class", "100%"]
    assert [len(phase.devices) for phase in planned.phases] == [2, 1]
    assert set().union(*(phase.devices for phase in planned.phases)) == {"a", "b", "p"}
    assert set(planned.downloads) == {"onnx-fp32", "openvino-int8"}
    assert planned.downloads["onnx-fp32"] > planned.downloads["openvino-int8"] > 0
    assert desk.fleet.read(list_rollouts) == []
    assert desk.woken == 0


def test_a_rollout_is_of_the_release_as_it_was_signed(desk: Desk) -> None:
    """Its digest is that of the repository, its id says of which release it is, and the coordinator is woken."""
    view = desk.start(select="device=a")
    planned = desk.say("plan", RolloutRequest(release=NEW))
    assert view.rollout.digest == planned.digest
    assert view.rollout.id.startswith("digits-1-1-0-")
    assert [one.device for one in view.standings] == ["a"]
    assert desk.woken == 1


@pytest.mark.parametrize("release", ["digits@9.9.9", "letters@1.1.0"])
def test_a_release_that_does_not_exist_is_refused_with_those_that_do(desk: Desk, release: str) -> None:
    """Nothing begins, and the message names what there is."""
    with pytest.raises(UnknownName, match=r"digits@1\.1\.0"):
        desk.start(release)
    assert desk.fleet.read(list_rollouts) == []


@pytest.mark.parametrize("release", ["digits", "digits@", "@1.0.0", "../x@1.0.0", "digits@1.0", "digits@1.0.0\n"])
def test_what_names_no_release_is_refused(desk: Desk, release: str) -> None:
    """Whatever is not name@version is an error of the caller."""
    with pytest.raises(InputError):
        desk.start(release)


@pytest.mark.parametrize("select", ["class=toaster", "device=zzz"])
def test_a_rollout_to_nobody_is_refused(desk: Desk, select: str) -> None:
    """A selection that no device is in is said by name, in the plan too."""
    with pytest.raises(NobodySelected, match=select):
        desk.start(select=select)
    with pytest.raises(NobodySelected):
        desk.say("plan", RolloutRequest(release=NEW, select=select))


def test_a_selection_that_cannot_be_read_is_refused(desk: Desk) -> None:
    """The part that is no condition is named."""
    with pytest.raises(InputError, match="'roof'"):
        desk.start(select="roof")


def test_two_rollouts_at_once_for_one_device_are_refused(desk: Desk) -> None:
    """The second is told which rollout is in the way and on which devices; with other devices it may begin."""
    first = desk.start(select="device=a")
    with pytest.raises(RolloutConflict, match=f"rollout {first.rollout.id} of {NEW} is running and reaches a too"):
        desk.start(NEWER)
    assert desk.say("plan", RolloutRequest(release=NEWER)).conflicts == (first.rollout.id,)
    desk.start(NEWER, select="device=b")


def test_a_paused_rollout_is_in_the_way_too(desk: Desk) -> None:
    """It may be resumed."""
    first = desk.start()
    desk.say("pause", first.rollout.id)
    with pytest.raises(RolloutConflict, match="is paused"):
        desk.start(NEWER)


def test_a_rollout_that_only_waits_for_absent_devices_gives_way(desk: Desk) -> None:
    """The newer release takes its place: the older one is finished, says why, and the absent device gets the newer on return."""
    fleet = desk.fleet
    fleet.now += SEEN_MS + 1
    fleet.report("a", "b")
    away = fleet.devices.pop("c")
    first = desk.start()
    fleet.settle()
    second = desk.start(NEWER)
    ended = desk.say("view", first.rollout.id).rollout
    assert (ended.state, ended.reason) == (RolloutState.FINISHED, f"rollout {second.rollout.id} of {NEWER} has taken its place")
    fleet.devices["c"] = away
    fleet.report("c")
    fleet.settle()
    assert set(fleet.serves().values()) == {NEWER}


def test_paused_it_gives_to_nobody_and_resumed_it_goes_on(desk: Desk) -> None:
    """A pause stops further devices, not those at work; resuming ends as if nothing had been."""
    fleet = desk.fleet
    rollout = desk.start().rollout.id
    fleet.deliver(fleet.step())
    desk.say("pause", rollout)
    fleet.settle()
    assert sorted(fleet.serves().values()) == [OLD, OLD, NEW]
    assert desk.say("resume", rollout).rollout.state is RolloutState.RUNNING
    fleet.settle()
    assert set(fleet.serves().values()) == {NEW}


def test_aborted_by_hand_it_takes_the_release_back_from_its_holders_alone(desk: Desk) -> None:
    """Who has it, or is getting it, goes back; who never got it hears nothing."""
    fleet = desk.fleet
    rollout = desk.start().rollout.id
    fleet.deliver(fleet.step())
    view = desk.say("abort", rollout)
    assert view.rollout.state is RolloutState.ABORTED
    fleet.settle()
    assert set(fleet.serves().values()) == {OLD}
    assert sorted(len(device.heard) for device in fleet.devices.values()) == [0, 0, 2]


def test_a_finished_rollout_is_taken_back_from_everybody(desk: Desk) -> None:
    """Rollback of the cohort: all serve again what they had."""
    fleet = desk.fleet
    rollout = desk.start().rollout.id
    fleet.settle()
    view = desk.say("roll_back", rollout)
    assert view.rollout.state is RolloutState.ROLLED_BACK
    assert {one.state for one in view.standings} == {State.ROLLED_BACK}
    fleet.settle()
    assert set(fleet.serves().values()) == {OLD}


def test_taking_an_old_rollout_back_leaves_what_is_newer(desk: Desk) -> None:
    """Devices that a later rollout has reached keep the later release."""
    fleet = desk.fleet
    first = desk.start().rollout.id
    fleet.settle()
    desk.start(NEWER, select="device=a")
    fleet.settle()
    desk.say("roll_back", first)
    fleet.settle()
    assert fleet.serves() == {"a": NEWER, "b": OLD, "c": OLD}


def test_a_release_can_be_tried_again_after_it_was_taken_back(desk: Desk) -> None:
    """A second rollout of the same release is another deployment, and devices take it."""
    fleet = desk.fleet
    first = desk.start().rollout.id
    fleet.settle()
    desk.say("roll_back", first)
    fleet.settle()
    desk.start()
    fleet.settle()
    assert set(fleet.serves().values()) == {NEW}


@pytest.mark.parametrize("verb", ["pause", "resume", "abort", "roll_back"])
def test_what_has_no_place_in_its_state_is_refused(desk: Desk, verb: str) -> None:
    """A rollout that was taken back can be asked for nothing more, and an unknown one is said by name."""
    rollout = desk.start().rollout.id
    desk.say("roll_back", rollout)
    with pytest.raises(RolloutEnded, match=rollout):
        desk.say(verb, rollout)
    with pytest.raises(UnknownName, match="'nosuch'"):
        desk.say(verb, "nosuch")


def test_orders_are_in_the_event_log(desk: Desk) -> None:
    """Who reads the log sees each order, newest first."""
    rollout = desk.start(select="device=a").rollout.id
    for verb in ("pause", "resume", "abort"):
        desk.say(verb, rollout)
    texts = [one.text.partition(":")[0] for one in desk.fleet.read(list_events, subject=rollout)]
    assert texts == ["aborted", "running", "paused", "running"]


def test_a_device_is_explained_at_each_step(desk: Desk) -> None:
    """Before, during and after a rollout there is one sentence that names release, rollout and reason."""
    fleet = desk.fleet
    assert desk.say("explain", "a").sentences == (
        "digits: it serves digits@1.0.0. No rollout has asked for another: it was installed on the device itself.",
    )
    rollout = desk.start("digits@1.3.0").rollout.id
    fleet.deliver(fleet.step())
    canary = next(name for name, device in fleet.devices.items() if device.heard)
    other = next(name for name in fleet.devices if name != canary)
    fleet.report()
    assert f"digits@1.3.0 is asked for (rollout {rollout}, running)." in desk.say("explain", canary).sentences[0]
    assert f"It waits for its turn to get digits@1.3.0: rollout {rollout} is running in phase 1 of 2 (1)." in desk.say("explain", other).sentences[0]
    fleet.settle()
    (sentence,) = desk.say("explain", canary).sentences
    assert sentence.startswith(f"digits: it serves digits@1.0.0. It goes back to digits@1.0.0, since rollout {rollout} of digits@1.3.0 is aborted (")
    assert sentence.endswith("; it says committed.")
    with pytest.raises(UnknownName):
        desk.say("explain", "nosuch")


def test_what_a_device_refused_is_explained(desk: Desk) -> None:
    """Its own sentences are given, and end once."""
    status = DeviceStatus(device="a", epoch="f" * 16, revision=1, refused="releases: they have expired. Check the clock.")
    desk.fleet.write(store_uploads, (), [("a", status)], desk.fleet.now)
    assert desk.say("explain", "a").sentences[0] == "It refused what it should have: releases: they have expired. Check the clock."


def test_a_device_without_models_is_explained(desk: Desk) -> None:
    """Where there is nothing to say, that is said."""
    desk.fleet.add("bare")
    assert desk.say("explain", "bare").sentences == ("It has no model, and no rollout selects it.",)


@pytest.mark.parametrize("version", ["1.0.0", "1.0.0-rc.1", "999999999.999999999.999999999-" + "a" * 30])
def test_every_release_makes_a_rollout_that_can_be_read_again(version: str) -> None:
    """Whatever a release is called, the id is one, with room for the ending of a rollback."""
    release = Release(name="a" * 64, version=version, digest="sha256:" + "0" * 64, length=1)
    rollout = make_rollout(RolloutRequest(release=str(release.reference)), release, "3f9a2c", 1)
    assert Rollout.decode(rollout.encode()) == rollout
    assert rollout.phases[0] == Phase(canary=True)
