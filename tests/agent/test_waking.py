"""A wait ends when another thread says so, and what is said before it is not lost."""

import threading
import time

import pytest

from edgekit_agent.waking import Waker


def test_a_wait_is_ended_by_another_thread():
    """Long before its time."""
    with Waker() as waker:
        threading.Timer(0.05, waker.wake).start()
        began_s = time.monotonic()
        waker.wait(30)
        assert time.monotonic() - began_s < 10


def test_a_wake_before_the_wait_ends_it():
    """And once it is cleared, a wait lasts as long as it may."""
    with Waker() as waker:
        for _ in range(100_000):
            waker.wake()
        began_s = time.monotonic()
        waker.wait(30)
        assert time.monotonic() - began_s < 10
        waker.clear()
        waker.clear()
        began_s = time.monotonic()
        waker.wait(0.05)
        assert time.monotonic() - began_s >= 0.04


def test_waking_nobody_is_harmless():
    """Before it is opened and after it was closed there is nobody to wake, and nothing to wait for."""
    waker = Waker()
    waker.wake()
    with waker:
        waker.clear()
    waker.wake()
    with pytest.raises(RuntimeError):
        waker.wait(0)
