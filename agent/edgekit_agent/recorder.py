"""Makes telemetry of what serving does: one record an interval and model, and events, into the outbox.

Serving goes on whatever happens here: what cannot be kept is counted, said once in the log, and told to the fleet when it can be.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from edgekit.arrays import Array
from edgekit.errors import DeviceError, WireError
from edgekit.telemetry import Event, Interval
from edgekit_agent.clock import Clock
from edgekit_agent.observing import Outcome
from edgekit_agent.outbox import Outbox
from edgekit_agent.serving import ModelInfo
from edgekit_agent.tally import Sampler, Tally
from edgekit_agent.vitals import Vitals

log = logging.getLogger(__name__)

#: A model that nobody asks is reported once in so many intervals, for the machine's own figures.
IDLE_EVERY = 10
#: The longest kind, name or sentence that a record holds, in characters (telemetry.Text).
MAX_TEXT = 200

#: What is told of a release beside its counts: model, release, variant, runtime.
_Key = tuple[str, str, str, str]


class Recorder:
    """Observer and journal of an agent in a fleet. Any thread may tell it something; run() makes the records."""

    def __init__(self, outbox: Outbox, interval_s: float, vitals: Vitals, clock: Clock | None = None) -> None:
        self._outbox = outbox
        self._interval_s = interval_s
        self._vitals = vitals
        self._clock = clock or Clock()
        self._lock = threading.Lock()
        self._tallies: defaultdict[_Key, Tally] = defaultdict(Tally)
        # One for each release and interval, so that a busy model leaves none without a sample.
        self._samplers: defaultdict[_Key, Sampler] = defaultdict(Sampler)
        self._dropped = 0
        self._has_failed = False
        self._made = 0
        self._began_s, self._began_ms = self._clock.monotonic(), self._clock.read_ms()

    def on_request(
        self,
        info: ModelInfo,
        latency_ms: float,
        outcome: Outcome,
        inputs: Mapping[str, Array] | None,
        outputs: Mapping[str, Array] | None,
    ) -> None:
        """Count a request, in a few microseconds."""
        try:
            key = _key_of(info)
            seen = self._samplers[key].look(inputs, outputs, info.outputs)
            with self._lock:
                self._tallies[key].add(latency_ms, outcome, seen)
        except Exception:
            # The caller has its answer, and must get it; one line tells as much as a thousand.
            if not self._has_failed:
                log.exception("a request to %s was not recorded, and others may not be", info.name)
            self._has_failed = True

    def on_event(self, kind: str, model: str, text: str) -> None:
        """Keep an event, on the disk for good once this returns, unless the disk is full."""
        self._keep(Event(sequence=1, at_ms=self._clock.read_ms(), kind=kind[:MAX_TEXT], model=model[:MAX_TEXT], text=text[:MAX_TEXT]))

    def run(self, stop: threading.Event, list_live: Callable[[], Sequence[ModelInfo]]) -> None:
        """Make the records of each interval until *stop* is set, and those of the last, which is shorter. *list_live* tells what is served."""
        while not stop.wait(self._interval_s):
            self._flush_safely(list_live)
        self._flush_safely(list_live)

    def _flush_safely(self, list_live: Callable[[], Sequence[ModelInfo]]) -> None:
        try:
            self.flush(list_live())
        except Exception:
            # A fault in one interval must not end all telemetry.
            log.exception("the records of one interval were not made")

    def flush(self, live: Sequence[ModelInfo] = ()) -> None:
        """Make a record of each release that was asked since the last call, and now and then one of those that are *live* and were not."""
        with self._lock:
            asked, self._tallies, self._samplers = self._tallies, defaultdict(Tally), defaultdict(Sampler)
        idle = {_key_of(info): Tally() for info in live} if self._made % IDLE_EVERY == 0 else {}
        tallies = {**idle, **asked}
        self._made += 1
        began_s, began_ms = self._began_s, self._began_ms
        self._began_s, self._began_ms = self._clock.monotonic(), self._clock.read_ms()
        vital = self._vitals.read()
        duration_ms = round((self._began_s - began_s) * 1000)
        empty = [_make_interval(key, began_ms, duration_ms) for key in tallies]
        self._keep(*(tally.fill(interval, vital) for interval, tally in zip(empty, tallies.values(), strict=True)))

    def _keep(self, *records: Interval | Event) -> None:
        if not records:
            return
        try:
            self._outbox.append(*records)
        except (DeviceError, WireError) as error:
            self._miss(len(records), error)
        else:
            self._tell_missed()

    def _miss(self, count: int, error: Exception) -> None:
        with self._lock:
            self._dropped += count
            is_first = self._dropped == count
        if is_first:
            log.warning("telemetry is not kept, and serving goes on: %s", error)

    def _tell_missed(self) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        if dropped:
            log.info("telemetry is kept again; %d records were not", dropped)
            self.on_event("telemetry", "", f"{dropped} records could not be kept on this device's disk, and were never numbered")


def _key_of(info: ModelInfo) -> _Key:
    return info.name, info.release or "", info.variant, info.runtime


def _make_interval(key: _Key, start_ms: int, duration_ms: int) -> Interval:
    model, release, variant, runtime = (text[:MAX_TEXT] for text in key)
    return Interval(sequence=1, start_ms=start_ms, duration_ms=duration_ms, model=model, release=release, variant=variant, runtime=runtime)
