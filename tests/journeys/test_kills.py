"""Agents of a whole fleet, killed again and again while releases come to them: what each serves is always a release that it holds."""

import os
import random
import time
from collections import Counter

import pytest

from edgekit.deployment import State
from edgekit.rollout import RolloutState

RATE = 30


class Storm:
    """Kills agents at moments that a seed decides, and holds what they have against their slots each time."""

    def __init__(self, fleet, devices, load, seed):
        self.fleet, self.devices, self.load = fleet, devices, load
        self.kills = 0
        self.states = Counter()
        self._rng = random.Random(seed)

    def strike(self, longest_s):
        """Kill each agent once within *longest_s* seconds, look at what it has left behind, and start it again."""
        began = time.monotonic()
        for moment_s, device in sorted(((self._rng.uniform(0, longest_s), device) for device in self.devices), key=lambda pair: pair[0]):
            time.sleep(max(0.0, began + moment_s - time.monotonic()))
            device.kill()
        for device in self.devices:
            self.kills += 1
            self.states[device.deployment.state] += 1
            assert device.check() in self.fleet.releases.GOOD
            device.launch()

    def pass_over(self):
        """Strike while a release arrives, and again: when all answer, or while they are still starting.

        At the third crash a release would be given up.
        """
        self.strike(0.15)
        if self._rng.random() < 0.5:
            self.see_answers()
        self.strike(1.0)
        self.see_answers()

    def see_answers(self):
        for device in self.devices:
            device.wait_ready()
        assert self.load.wait_for(1, 30)

    def strike_server(self):
        """Kill the server now and then, with its broker."""
        if self._rng.random() < 0.3:
            self.fleet.kill()
            self.fleet.start()

    def describe(self):
        """How many kills met an agent in which state."""
        return ", ".join(f"{count} {state.value}" for state, count in self.states.most_common())


def weather(fleet, loading, wait_until, rounds):
    """Rollouts of one good release and the other, through *rounds* of kills; the storm when it is over."""
    with fleet.adding(2) as (site, devices), loading(devices, RATE) as load:
        storm = Storm(fleet, devices, load, os.environ.get("EDGEKIT_SEED", "storm"))
        release = fleet.releases.GOOD[0]
        for _ in range(rounds):
            release = fleet.releases.follow(release)
            rollout = fleet.begin_at_once(release, site)
            wait_until(lambda: all(device.deployment.release == release for device in devices), "it is not asked for")  # noqa: B023
            storm.pass_over()
            storm.strike_server()
            assert fleet.wait_rollout(rollout, RolloutState.FINISHED, RolloutState.ABORTED).rollout.state is RolloutState.FINISHED
            fleet.wait_served(devices, release)
        assert load.wait_for(10, 30)
        for device in devices:
            check_end(fleet, device, release, load.tallies[device.name])
    print(f"{storm.kills} kills: {storm.describe()}")
    return storm


def check_end(fleet, device, release, tally):
    """The device has what is desired of it, answered nothing wrong, and every record that it wrote down has arrived once."""
    detail = fleet.client.find_device(device.name)
    (desired,), (serving,) = detail.desired, detail.status.models
    assert (desired.release, desired.digest) == (serving.release, serving.digest)
    assert serving.deployment.state is State.COMMITTED
    assert tally.right / tally.answered > 0.9
    assert "not finite" not in tally.first_failure
    device.stop()
    assert device.check() == release
    books = fleet.audit(device.name)
    made, stored, lost = (sum(getattr(book, name) for book in books) for name in ("made", "stored", "lost"))
    print(f"{device.name}: {tally.answered} answered, {made} records made, {stored} stored, {lost} lost in {len(books)} streams")
    assert (made, lost) == (stored, 0)


def test_killed_in_the_middle_of_rollouts_a_fleet_converges(fleet, loading, wait_until):
    """Twenty kills of two agents, and a few of the server, in five rollouts: each ends well, and no record is lost."""
    storm = weather(fleet, loading, wait_until, 5)
    assert storm.kills == 20


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_killed_a_hundred_times_a_fleet_converges(fleet, loading, wait_until):
    """The same with a hundred kills, which meet the agent while it fetches and while it tries."""
    storm = weather(fleet, loading, wait_until, 25)
    assert storm.kills == 100
    # Not all at the same point, or this shows little.
    assert {State.DOWNLOADING, State.TRIAL} <= storm.states.keys()
