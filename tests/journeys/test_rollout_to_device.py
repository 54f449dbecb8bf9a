"""The third journey, whole and with real processes: a release goes from the command line to devices, and back where it is bad."""

from collections import Counter
from contextlib import contextmanager

import pytest

from edgekit.deployment import State
from edgekit.rollout import RolloutState

#: A trial that a few dozen requests decide.
TRIAL = ("--min-requests", "30", "--min-s", "0.5", "--max-s", "60")
ONE_FIRST = ("--phases", "1,100%", *TRIAL)


class Site:
    """Three devices, and which good release they have now."""

    def __init__(self, fleet, name, devices):
        self.fleet, self.name, self.devices = fleet, name, devices

    @property
    def release(self):
        (release,) = {self.fleet.find_served(device.name) for device in self.devices}
        return release

    @property
    def next_release(self):
        return self.fleet.releases.follow(self.release)

    def begin(self, release, *options):
        return self.fleet.begin(release, self.name, *options)

    def find_states(self, rollout):
        """How many of the devices are in which state of *rollout*; None for those that were never given it."""
        return Counter(one.state for one in self.fleet.client.find_rollout(rollout).standings)

    def wait_served(self, release):
        self.fleet.wait_served(self.devices, release)


@pytest.fixture(scope="module")
def trio(shared_fleet):
    shared_fleet.keep_up()
    with shared_fleet.adding(3) as (name, devices):
        yield Site(shared_fleet, name, devices)


@pytest.fixture
def site(fleet, trio, wait_until):
    """Three devices that run and serve a good release."""
    for device in trio.devices:
        if not device.is_running:
            device.start()
        wait_until(lambda: fleet.find_served(device.name), "a device does not report")  # noqa: B023
    return trio


@pytest.fixture
def asking(site, loading):
    """Asks all three while a block lasts: no request may fail, and nearly all get the right digit."""

    @contextmanager
    def ask():
        with loading(site.devices) as running:
            assert running.wait_for(5, 30)
            yield running
        for tally in running.tallies.values():
            assert tally.failed == 0, tally.first_failure
            assert tally.right / tally.answered > 0.9

    return ask


@pytest.fixture
def load(asking):
    """Requests to all three while a test lasts."""
    with asking() as running:
        yield running


def find_versions(load):
    """The releases that answered, of any device."""
    return {f"digits@{version}" for tally in load.tallies.values() for version in tally.versions}


def test_a_good_release_reaches_all(site, load):
    """One device, then all: each commits the release after its trial, and no request notices."""
    old, new = site.release, site.next_release
    told = site.fleet.ask("rollout", "start", new, "--select", f"site={site.name}", *ONE_FIRST, "--watch", "--json")
    assert '"finished"' in told
    site.wait_served(new)
    assert find_versions(load) == {old, new}
    assert {device.deployment.state for device in site.devices} == {State.COMMITTED}


def test_a_permuted_release_is_refused_by_the_first(site, load):
    """Its golden samples betray it before it answers anybody, the rollout aborts, and the other devices never hear of it."""
    old, bad = site.release, site.fleet.releases.PERMUTED
    told = site.fleet.ask("rollout", "start", bad, "--select", f"site={site.name}", *ONE_FIRST, "--watch", code=3)
    assert "golden samples" in told
    (rollout,) = [one for one in site.fleet.client.list_rollouts() if one.release == bad]
    assert site.find_states(rollout.id) == {State.FAILED: 1, None: 2}
    site.wait_served(old)
    assert find_versions(load) == {old}


def test_a_poisoned_release_is_taken_back_on_trial(site, load):
    """It is right on its golden samples and gives NaN to real digits: the trial sees it, and the old release answers in its place."""
    old, bad = site.release, site.fleet.releases.POISONED
    rollout = site.begin(bad, "--phases", "1,100%", "--min-requests", "200", "--min-s", "0.5", "--max-s", "60")
    ended = site.fleet.wait_rollout(rollout, RolloutState.ABORTED, RolloutState.FINISHED)
    assert ended.rollout.state is RolloutState.ABORTED
    assert "requests failed" in ended.rollout.reason
    assert site.find_states(rollout) == {State.ROLLED_BACK: 1, None: 2}
    site.wait_served(old)
    assert find_versions(load) == {old, bad}
    counted = Counter()
    for device in site.devices:
        counted.update(site.fleet.count(device.name))
    assert counted["failed"] == counted["rescued"] > 0


def test_a_person_pauses_resumes_takes_back_and_aborts(site, asking, wait_until):
    """A paused rollout gives the release to nobody else, nor lets another begin; taken back or aborted, all have what they had."""
    fleet, old, new = site.fleet, site.release, site.next_release
    # Nobody asks the first device anything yet, so its trial goes on.
    rollout = site.begin(new, *ONE_FIRST)
    fleet.control(rollout, "pause")
    with asking() as load:
        wait_until(lambda: site.find_states(rollout)[State.COMMITTED] == 1, lambda: site.find_states(rollout))
        assert load.wait_for(60, 30)
        assert site.find_states(rollout) == {State.COMMITTED: 1, None: 2}
        refusal = fleet.ask("rollout", "start", old, "--select", f"site={site.name}", *ONE_FIRST, code=2)
        assert rollout in refusal
        fleet.control(rollout, "resume")
        fleet.wait_rollout(rollout, RolloutState.FINISHED)
        site.wait_served(new)
        fleet.control(rollout, "rollback")
        site.wait_served(old)
        again = site.begin(new, "--phases", "1,100%", "--min-requests", "1000000")
        wait_until(lambda: any(device.deployment.state is State.TRIAL for device in site.devices), "nobody tries it")
        fleet.control(again, "abort")
        assert fleet.wait_rollout(again, RolloutState.ABORTED).rollout.state is RolloutState.ABORTED
        site.wait_served(old)


def test_a_server_that_is_killed_in_between_ends_the_rollout_all_the_same(site, load, wait_until):
    """Killed when it has just begun, when the first device tries the release, and when that has committed it: it goes on each time."""
    fleet, new = site.fleet, site.next_release
    rollout = site.begin(new, "--phases", "1,2,100%", *TRIAL)
    for state in (None, State.TRIAL, State.COMMITTED):
        wait_until(lambda: state is None or is_anywhere(site, new, state), state)  # noqa: B023
        fleet.kill()
        fleet.start()
    assert fleet.wait_rollout(rollout, RolloutState.FINISHED, RolloutState.ABORTED).rollout.state is RolloutState.FINISHED
    assert site.find_states(rollout) == {State.COMMITTED: 3}
    site.wait_served(new)


def is_anywhere(site, release, state):
    """Whether *release* has come as far as *state* on a device, or further."""
    order = list(State)
    return any(one.release == release and order.index(one.state) >= order.index(state) for one in (device.deployment for device in site.devices))


def test_a_device_that_is_off_gets_the_release_when_it_returns(site, wait_until):
    """The rollout waits for it, and ends when it has returned and proved the release."""
    new = site.next_release
    absent, *others = site.devices
    absent.stop()
    rollout = site.begin(new, "--phases", "100%", "--min-requests", "0", "--min-s", "0")
    site.fleet.wait_served(others, new)
    wait_until(lambda: site.find_states(rollout)[State.COMMITTED] == 2, lambda: site.find_states(rollout))
    assert site.fleet.client.find_rollout(rollout).rollout.state is RolloutState.RUNNING
    absent.start()
    assert site.fleet.wait_rollout(rollout, RolloutState.FINISHED, RolloutState.ABORTED).rollout.state is RolloutState.FINISHED
    site.wait_served(new)
