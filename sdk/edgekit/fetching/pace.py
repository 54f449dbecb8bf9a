"""When to give up on a source that is slow or breaks off."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from edgekit.errors import TransferError


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a source is waited for. Times are in seconds.

    *retries* counts failures in a row, without a byte between them. A transfer is too slow when, *grace* after its
    start, it has had fewer than *min_speed* bytes for each second: without such a bound, a source that sends one byte
    now and then would hold a device for ever (TUF, "slow retrieval attack").
    """

    connect: float = 10.0
    read: float = 30.0
    retries: int = 3
    back_off: float = 0.25
    max_back_off: float = 30.0
    redirects: int = 3
    grace: float = 60.0
    min_speed: float = 1024.0

    def wait_after(self, failures: int, asked: float, rng: random.Random) -> float:
        """Seconds to wait after so many *failures* in a row.

        It doubles each time, and half of it is chance, so that a fleet does not come back in one moment. A source
        that *asked* for more gets it, up to the bound.
        """
        base = min(self.back_off * 2.0 ** (failures - 1), self.max_back_off)
        return min(max(base * rng.uniform(0.5, 1.0), asked), self.max_back_off)


class Pace:
    """How fast one transfer goes."""

    def __init__(self, url: str, patience: Patience, clock: Callable[[], float]) -> None:
        self._url = url
        self._patience = patience
        self._clock = clock
        self._began = clock()
        self._received = 0

    def add(self, count: int) -> None:
        """Book *count* more bytes; TransferError where the transfer has become too slow."""
        self._received += count
        spent = self._clock() - self._began - self._patience.grace
        if spent * self._patience.min_speed > self._received:
            raise TransferError(
                self._url,
                f"it sends fewer than {self._patience.min_speed:.0f} bytes in a second",
                "Try again when the network is better, or fetch from another mirror.",
            )
