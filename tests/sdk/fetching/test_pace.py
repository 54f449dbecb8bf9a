"""When a source is given up."""

import random

import pytest

from edgekit.errors import TransferError
from edgekit.fetching.pace import Pace, Patience


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_waits_double_and_are_bounded():
    """Each failure in a row doubles the wait, up to the bound, and at most half of it is left to chance."""
    patience = Patience(back_off=1.0, max_back_off=5.0)
    for failures, most in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 5.0), (50, 5.0)):
        waits = {patience.wait_after(failures, 0.0, random.Random(seed)) for seed in range(50)}
        assert most / 2 <= min(waits) < max(waits) <= most


def test_a_source_may_ask_for_a_longer_wait():
    """What the source asks for is kept, but not beyond the bound."""
    patience = Patience(back_off=1.0, max_back_off=5.0)
    assert patience.wait_after(1, 3.0, random.Random(0)) == 3.0
    assert patience.wait_after(1, 1e9, random.Random(0)) == 5.0


def test_a_fast_transfer_goes_on():
    """At the least speed, a transfer of any length is let run."""
    clock = Clock()
    pace = Pace("url", Patience(grace=10.0, min_speed=100.0), clock)
    for _ in range(100):
        clock.now += 100.0
        pace.add(10_000)


def test_a_slow_transfer_is_given_up():
    """After the grace, a transfer below the least speed ends with an error that names it."""
    clock = Clock()
    pace = Pace("url", Patience(grace=10.0, min_speed=100.0), clock)
    clock.now = 10.0
    pace.add(0)
    clock.now = 11.1
    with pytest.raises(TransferError, match="url"):
        pace.add(100)
