"""The two clocks of a device: one that says when, for records, and one that says how long."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """*wall* (seconds since 1970) may be set back or forward at any time; *monotonic* may not, and begins anew with each boot."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic

    def read_ms(self) -> int:
        """Unix time in milliseconds."""
        return max(0, int(self.wall() * 1000))
