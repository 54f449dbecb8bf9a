"""Agents of a whole fleet, killed again and again while releases come to them: what each serves is always a release that it holds."""

import os
import random
import time
from collections import Counter

import pytest

from edgekit.deployment import State
from edgekit.rollout import RolloutState

#: Over after a moment and without a request, yet long enough to be killed in.
TRIAL = ("--phases", "100%", "--min-requests", "0", "--min-s", "0.3")
#: A release is given up at the third crash, and of each deployment there are fewer here.
KILLS_OF_EACH = 2
RATE = 30


class Storm:
    """Kills agents at moments that a seed decides, and holds what they have against their slots each time."""

    def __init__(self, fleet, devices, seed):
        self.fleet, self.devices = fleet, devices
        self.kills = 0
        self.states = Counter()
        self._rng = random.Random(seed)

    def strike(self, wait_until, release):
        """Kill each agent once, from when *release* was asked for on, and start it again."""
        for device in self.devices:
            wait_until(lambda: device.deployment.release == release, "it was not asked for")  # noqa: B023
            time.sleep(self._rng.uniform(0, 0.35))
            device.kill()
            self.kills += 1
            self.states[device.deployment.state] += 1
            assert device.check() in self.fleet.releases.GOOD
            device.launch()
        for device in self.devices:
            device.wait_ready()

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
        storm = Storm(fleet, devices, os.environ.get("EDGEKIT_SEED", "storm"))
        release = fleet.releases.GOOD[0]
        for _ in range(rounds):
            release = fleet.releases.other_than(release)
            rollout = fleet.begin(release, site, *TRIAL)
            for _ in range(KILLS_OF_EACH):
                storm.strike(wait_until, release)
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
    """Sixteen kills of two agents, and a few of the server, in four rollouts: each ends well, and no record is lost."""
    storm = weather(fleet, loading, wait_until, 4)
    assert storm.kills == 16
    # Not all at the same point, or this shows little.
    assert len(storm.states) >= 2


@pytest.mark.heavy
def test_killed_a_hundred_times_a_fleet_converges(fleet, loading, wait_until):
    """The same with a hundred kills, which meet the agent in nearly every state."""
    storm = weather(fleet, loading, wait_until, 25)
    assert storm.kills == 100
    assert {State.DOWNLOADING, State.TRIAL, State.COMMITTED} <= storm.states.keys()
