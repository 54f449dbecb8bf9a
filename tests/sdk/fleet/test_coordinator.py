"""Claims about the coordinator, with the real store, and with devices that obey nobody but the director."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekit.deployment import State
from edgekit.errors import TransferError
from edgekit.fleet.coordinator import Coordinator, find_pause
from edgekit.fleet.directing import LIFETIME_MS
from edgekit.fleet.store.database import Store, open_store
from edgekit.fleet.store.directives import read_directive
from edgekit.fleet.store.events import list_events
from edgekit.fleet.store.leases import LeaseLost, list_leases
from edgekit.fleet.store.rollouts import find_rollout, list_assignments, save_rollout
from edgekit.fleet.store.uploads import store_uploads
from edgekit.rollout import SEEN_MS, RolloutEvent, RolloutState
from edgekit.status import DeviceStatus

OLD, NEW = "digits@1.0.0", "digits@1.1.0"
HOUR_MS = 3_600_000


def add_three(fleet: Any) -> None:
    for name in ("a", "b", "c"):
        fleet.add(name, release=OLD)


# --- rollouts ---------------------------------------------------------------------------------------------------------


def test_a_good_release_reaches_one_device_and_then_all(fleet: Any) -> None:
    """The canary gets it first, the others only once it has committed, and then the rollout is finished."""
    add_three(fleet)
    fleet.start()
    canary = fleet.step()
    assert len(canary) == 1
    fleet.deliver(canary)
    fleet.settle()
    assert fleet.find().state is RolloutState.FINISHED
    assert set(fleet.serves().values()) == {NEW}
    first = min(fleet.devices.values(), key=lambda device: device.heard[0].counter)
    assert all(other.heard[0].issued_ms > first.heard[0].issued_ms for other in fleet.devices.values() if other is not first)


@pytest.mark.parametrize("release", ["digits@1.2.0", "digits@1.3.0"])
def test_a_bad_release_stops_at_the_canary_which_goes_back(fleet: Any, release: str) -> None:
    """Refused before it went live or on trial: the rollout aborts, the canary serves what it had, and nobody else hears of it."""
    add_three(fleet)
    fleet.start(release)
    fleet.settle()
    assert fleet.find().state is RolloutState.ABORTED
    assert "as simulated" in fleet.find().reason
    assert set(fleet.serves().values()) == {OLD}
    heard = [device for device in fleet.devices.values() if device.heard]
    assert len(heard) == 1
    returned = heard[0].heard[-1].find_model("digits")
    assert (returned.deployment, returned.release) == ("r1-back", OLD)
    assert heard[0].models["digits"].deployment.state is State.COMMITTED


def test_a_device_that_had_nothing_goes_back_to_nothing(fleet: Any) -> None:
    """Where no release was installed before, taking it back leaves none."""
    fleet.add("a")
    fleet.start("digits@1.3.0")
    fleet.settle()
    assert fleet.serves() == {"a": None}
    assert fleet.devices["a"].heard[-1].find_model("digits").release is None


def test_devices_go_back_to_what_the_last_good_rollout_brought(fleet: Any) -> None:
    """After a finished rollout and an aborted one, a further bad one leads back to the finished one's release."""
    add_three(fleet)
    for number, release in enumerate((NEW, "digits@1.2.0", "digits@1.3.0")):
        fleet.start(release, id=f"r{number}")
        fleet.settle()
    assert set(fleet.serves().values()) == {NEW}
    assert {device.desired["digits"].release for device in fleet.devices.values()} == {NEW}


def test_unproven_devices_hold_a_rollout(fleet: Any) -> None:
    """Too few requests to tell is no success: the second device is not given it, and nothing is taken back."""
    add_three(fleet)
    fleet.start("digits@1.4.0")
    fleet.settle()
    assert fleet.find().state is RolloutState.RUNNING
    assert "too few requests" in fleet.find().reason
    assert sorted(fleet.serves().values()) == [OLD, OLD, "digits@1.4.0"]


def test_an_absent_device_gets_it_when_it_returns(fleet: Any) -> None:
    """It blocks nothing while it is away, and the rollout ends after it was served too."""
    add_three(fleet)
    fleet.now += SEEN_MS + 1
    fleet.report("a", "b")
    fleet.start()
    away = fleet.devices.pop("c")
    fleet.settle()
    assert fleet.find().state is RolloutState.RUNNING
    assert "1 absent get it when they return (c)" in fleet.find().reason
    fleet.devices["c"] = away
    fleet.report("c")
    fleet.settle()
    assert fleet.find().state is RolloutState.FINISHED
    assert away.models["digits"].release == NEW


def test_a_device_that_was_made_anew_gets_it_again(fleet: Any) -> None:
    """A device that lost everything says that it knows nothing, and is told at once what it should have."""
    fleet.add("a", release=OLD)
    fleet.start()
    fleet.settle()
    fleet.add("a")
    assert len(fleet.step()) == 1


def test_a_large_phase_is_given_in_parts(fleet: Any) -> None:
    """More devices than one transaction should hold up all get it, each once, one part after another."""
    fleet.add_bare(*(f"d{number}" for number in range(450)))
    fleet.start(phases="100%")
    sent = []
    while parts := fleet.step():
        sent += parts
    assert len({topic for topic, _ in sent}) == len(sent) == 450


def test_what_happened_is_in_the_event_log(fleet: Any) -> None:
    """Each step of a rollout that did something, and its end, can be read afterwards."""
    fleet.add("a", release=OLD)
    fleet.start("digits@1.2.0")
    fleet.settle()
    texts = [one.text for one in fleet.read(list_events, subject="r1")]
    assert any(text.startswith("running: digits@1.2.0 is given to 1, taken back from 0.") for text in texts)
    assert texts[0].startswith("aborted: digits@1.2.0 is given to 0, taken back from 1.")


# --- telling devices --------------------------------------------------------------------------------------------------


def test_a_device_is_told_until_it_says_that_it_knows(fleet: Any) -> None:
    """What is lost on the way is sent again after 2, 4, 8 seconds, and no more once the device has said the counter."""
    device = fleet.add("a", release=OLD)
    fleet.start()
    times = []
    for second in range(16):
        times += [second] * len(fleet.step())
        fleet.now += 1_000
    assert times == [0, 2, 6, 14]
    device.receive(fleet.read(read_directive, "a").message, fleet.now)
    fleet.report("a")
    fleet.now += HOUR_MS
    assert fleet.step() == []


def test_who_reports_is_answered_at_once(fleet: Any) -> None:
    """A status with an older counter, also one that says nothing new, is answered in the next step whatever the pause was."""
    device = fleet.add("a", release=OLD)
    fleet.start()
    for _ in range(30):
        fleet.step()
        fleet.now += 2_000
    assert fleet.step() == []
    again = DeviceStatus(device="a", epoch=device.epoch, revision=device.revision, models=tuple(device.models.values()))
    fleet.write(store_uploads, (), [("a", again)], fleet.now)
    assert len(fleet.step()) == 1


def test_who_refuses_is_left_alone_for_a_while(fleet: Any) -> None:
    """A device that says that it refused what it should have is not sent it in a circle."""
    device = fleet.add("a", release=OLD)
    fleet.start()
    sent = 0
    for _ in range(60):
        sent += len(fleet.step())
        device.revision += 1
        status = DeviceStatus(device="a", epoch=device.epoch, revision=device.revision, refused="it is not signed by the fleet's director")
        fleet.write(store_uploads, (), [("a", status)], fleet.now)
        fleet.now += 1_000
    assert sent <= 6


def test_pauses_double_up_to_a_minute_and_are_an_hour_for_who_is_offline() -> None:
    """The broker keeps what is sent to a device that is offline, so that it is not repeated into a growing queue."""
    assert [find_pause(attempts, is_online=True) // 1000 for attempts in (0, 1, 2, 3, 4, 5, 6, 1000)] == [2, 4, 8, 16, 32, 60, 60, 60]
    assert find_pause(0, is_online=False) == HOUR_MS


def test_an_offline_device_is_sent_it_once_and_again_when_it_connects(fleet: Any) -> None:
    """After its last will nothing is repeated; its first word after that is answered at once."""
    fleet.add("a", release=OLD)
    fleet.write(store_uploads, (), [("a", DeviceStatus(device="a", online=False))], fleet.now)
    fleet.start()
    sent = 0
    for _ in range(60):
        sent += len(fleet.step())
        fleet.now += 10_000
    assert sent == 1
    fleet.report("a")
    assert len(fleet.step()) == 1


def test_a_directive_is_signed_anew_before_it_expires(fleet: Any) -> None:
    """Half of its life is left at least when it is sent, under a higher counter."""
    fleet.add("a", release=OLD)
    fleet.start()
    fleet.step()
    first = fleet.read(read_directive, "a")
    fleet.now += LIFETIME_MS // 2 + 1
    fleet.report("a")
    sent = fleet.step()
    second = fleet.read(read_directive, "a")
    assert second.counter > first.counter
    assert second.expires_ms == fleet.now + LIFETIME_MS
    assert [message for _, message in sent] == [second.message]


def test_a_server_restored_from_an_older_copy_is_believed_again(fleet: Any) -> None:
    """A device that knows a newer counter than its server gets what the server wants under one that is higher still."""
    device = fleet.add("a", release=OLD)
    fleet.start()
    fleet.settle()
    device.counter += 1_000_000
    fleet.report("a")
    sent = fleet.step()
    fleet.deliver(sent)
    assert device.counter == fleet.read(read_directive, "a").counter
    fleet.report("a")
    assert fleet.step() == []


def test_a_clock_that_is_set_back_stops_nothing(fleet: Any) -> None:
    """Counters go on growing, what waits is sent, and the lease is kept."""
    add_three(fleet)
    fleet.start()
    fleet.step()
    fleet.now -= 400 * 24 * HOUR_MS
    fleet.settle()
    assert fleet.find().state is RolloutState.FINISHED
    assert set(fleet.serves().values()) == {NEW}
    for device in fleet.devices.values():
        counters = [desired.counter for desired in device.heard]
        assert counters == sorted(counters)


def test_nothing_is_lost_while_the_broker_is_away(fleet: Any) -> None:
    """What could not be handed over is sent when the broker is back, and the rollout goes on."""
    add_three(fleet)
    fleet.start()
    fleet.publisher.is_away = True
    assert fleet.step() == []
    assert fleet.read(read_directive, next(iter(fleet.read(list_assignments))).device).sent_ms is None
    fleet.publisher.is_away = False
    fleet.settle()
    assert fleet.find().state is RolloutState.FINISHED


def test_each_device_hears_only_what_is_for_it(fleet: Any) -> None:
    """The message that one device accepts, another refuses."""
    fleet.add("a", release=OLD)
    other = fleet.add("b", release=OLD)
    fleet.start(select="device=a")
    ((_, message),) = fleet.step()
    with pytest.raises(Exception, match="it is for the device 'a'"):
        other.receive(message, fleet.now)


# --- one at a time, and dying -----------------------------------------------------------------------------------------


def test_who_lost_the_lease_writes_and_sends_nothing(fleet: Any) -> None:
    """The older coordinator, awake again, changes neither rollouts nor devices."""
    add_three(fleet)
    older = fleet.lease
    fleet.start()
    fleet.now += 60_000
    fleet.take_lease("second")
    with pytest.raises(LeaseLost):
        fleet.step(lease=older)
    assert fleet.read(list_assignments) == []
    assert fleet.sent == []


class Killed(BaseException):
    """What stands for SIGKILL: nothing catches it, and nothing runs after it."""


class MortalStore:
    """The store of a process that dies at its *last*-th word to it: before it is said when *before*, else after it was done."""

    def __init__(self, store: Store, last: int, *, before: bool) -> None:
        self.store, self.left, self.before = store, last, before

    async def read(self, work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return await self._say(self.store.read, work, *args, **options)

    async def write(self, work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return await self._say(self.store.write, work, *args, **options)

    async def _say(self, say: Callable[..., Any], *args: Any, **options: Any) -> Any:
        self.left -= 1
        if self.left == 0 and self.before:
            raise Killed
        answer = await say(*args, **options)
        if self.left == 0:
            raise Killed
        return answer


@pytest.mark.parametrize("release", [NEW, "digits@1.3.0"])
@pytest.mark.parametrize("before", [True, False])
def test_a_coordinator_may_die_at_any_word_to_the_store(fleet: Any, release: str, before: bool) -> None:
    """Each dies a little later than the one before it, and the next goes on: the end is the same, and nobody is given it twice."""
    add_three(fleet)
    fleet.start(release)
    for last in range(1, 40):
        mortal = fleet.make_coordinator(MortalStore(fleet.store, last, before=before))
        try:
            fleet.deliver(fleet.step(mortal))
        except Killed:
            fleet.deliver(fleet.sent)
        for device in fleet.devices.values():
            device.advance(fleet.now)
        fleet.report()
        fleet.now += 1_000
    fleet.settle()
    good = release == NEW
    assert fleet.find().state is (RolloutState.FINISHED if good else RolloutState.ABORTED)
    assert set(fleet.serves().values()) == {NEW if good else OLD}
    given = [one.device for one in fleet.read(list_assignments, rollout="r1") if one.desired.deployment == "r1"]
    assert sorted(given) == (["a", "b", "c"] if good else given[:1])


def test_a_database_restored_from_an_older_copy_goes_on(fleet: Any, tmp_path: Path) -> None:
    """The server forgets a whole step of the rollout, devices know more than it does, and still both agree in the end."""
    add_three(fleet)
    fleet.start()
    fleet.step()
    with sqlite3.connect(tmp_path / "store.db") as source, sqlite3.connect(tmp_path / "copy.db") as copy:
        source.backup(copy)
    fleet.settle()
    with open_store(tmp_path / "copy.db") as older:
        fleet.store = older
        fleet.report()
        fleet.settle(fleet.make_coordinator())
        assert fleet.find().state is RolloutState.FINISHED
        assert {device.counter for device in fleet.devices.values()} == {fleet.read(read_directive, name).counter for name in fleet.devices}


async def until(is_so: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def cancel(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_it_works_when_woken_and_gives_its_lease_back(fleet: Any) -> None:
    """Running, it sends within a moment of being woken; cancelled, it leaves the lease to the next at once."""
    fleet.add("a", release=OLD)

    async def run() -> None:
        coordinator = Coordinator(fleet.store, fleet.publisher, fleet.signer, lambda: fleet.now, "first")
        task = asyncio.create_task(coordinator.run())
        await until(lambda: fleet.read(list_leases)[0].expires_ms > fleet.now)
        fleet.start()
        coordinator.wake()
        await until(lambda: len(fleet.sent) == 1)
        await cancel(task)

    asyncio.run(run())
    assert fleet.read(list_leases)[0].owner == ""


def test_another_takes_over_when_the_first_has_gone(fleet: Any) -> None:
    """Of two coordinators one works; when it ends, the other goes on with what is open."""
    add_three(fleet)
    fleet.start()

    async def run() -> None:
        first, second = (Coordinator(fleet.store, fleet.publisher, fleet.signer, lambda: fleet.now, name) for name in ("first", "second"))
        working = asyncio.create_task(first.run())
        await until(lambda: len(fleet.sent) == 1)
        waiting = asyncio.create_task(second.run())
        await cancel(working)
        await until(lambda: fleet.read(list_leases)[0].owner == "second")
        fleet.deliver(fleet.sent)
        for _ in range(4):
            for device in fleet.devices.values():
                device.advance(fleet.now)
        fleet.report()
        await until(lambda: len({topic for topic, _ in fleet.sent}) == 3)
        await cancel(waiting)

    asyncio.run(run())


def test_a_rollout_that_is_paused_meanwhile_is_not_gone_on_with(fleet: Any) -> None:
    """What a person has said since the coordinator looked counts: it decides again once nobody else can write."""
    add_three(fleet)
    rollout = fleet.start()

    class Meddled:
        """The store of a coordinator between whose look and write somebody pauses the rollout."""

        async def read(self, work: Any, *args: Any, **options: Any) -> Any:
            answer = await fleet.store.read(work, *args, **options)
            await fleet.store.write(save_rollout, rollout.after(RolloutEvent.PAUSED, "by hand"), fleet.now)
            return answer

        async def write(self, work: Any, *args: Any, **options: Any) -> Any:
            return await fleet.store.write(work, *args, **options)

    fleet.step(fleet.make_coordinator(Meddled()))
    assert fleet.read(find_rollout, "r1").state is RolloutState.PAUSED
    assert fleet.read(list_assignments) == []


def test_trouble_with_the_broker_is_said_once(fleet: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The log has one line for an outage, however long it lasts."""
    fleet.add("a", release=OLD)
    fleet.start()
    fleet.publisher.is_away = True
    for _ in range(5):
        fleet.step()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    with pytest.raises(TransferError):
        asyncio.run(fleet.publisher.publish("topic", b""))
