"""What could not be used, told to people without flooding them: a line for each sender and time, with how often."""

import logging
from collections.abc import Callable

from edgekit.errors import WireError
from edgekit.fleet.store.events import LoggedEvent

log = logging.getLogger(__name__)

#: The most senders that are named at once.
MOST = 20


class Complaints:
    """Collects complaints by sender until they are taken. *clock* gives unix milliseconds."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._first: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self.total = 0

    def add(self, subject: str, error: WireError) -> None:
        """Count it; the first of its *subject*, and of those only MOST, is kept in words."""
        self.total += 1
        name = subject if subject in self._first or len(self._first) < MOST else "others"
        self._first.setdefault(name, str(error))
        self._counts[name] = self._counts.get(name, 0) + 1

    def take(self) -> list[LoggedEvent]:
        """What was collected since the last time, one event for each sender; it is logged too."""
        first, counts = self._first, self._counts
        self._first, self._counts = {}, {}
        now_ms = self._clock()
        events = [LoggedEvent(at_ms=now_ms, kind="refused", subject=subject, text=_say(text, counts[subject])) for subject, text in first.items()]
        for event in events:
            log.warning("refused from %s: %s", event.subject, event.text)
        return events


def _say(text: str, count: int) -> str:
    return text if count == 1 else f"{text} (the first of {count})"
