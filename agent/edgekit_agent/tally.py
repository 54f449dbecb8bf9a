"""What one release did since the last record was made, added up request by request at a cost of microseconds."""

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from edgekit.arrays import Array
from edgekit.golden import is_class_row
from edgekit.histogram import Histogram, find_bucket
from edgekit.telemetry import Interval, is_figure
from edgekit.tensors import TensorSpec
from edgekit_agent.observing import Outcome
from edgekit_agent.vitals import Vital

#: The most values of one tensor that are looked at, spread evenly over it.
MAX_VALUES = 16_384
#: Seconds between two requests whose inputs' mean and spread are taken: these change slowly, and cost more than the rest.
SAMPLE_S = 0.05
#: The most rows of an answer, and the most different classes, that are counted.
MAX_ROWS, MAX_CLASSES = 64, 4096
#: The most classes that a record has room for (telemetry.Interval).
TOP_CLASSES = 32


class Moments(NamedTuple):
    """How many values there are, their sum, and the sum of their squares."""

    size: int = 0
    total: float = 0.0
    squares: float = 0.0

    def plus(self, other: "Moments") -> "Moments":
        """Those of the values of both."""
        return Moments(self.size + other.size, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float | None:
        """Their mean; None where there are none, or they are too large to be added up."""
        mean = self.total / self.size if self.size else math.nan
        return mean if is_figure(mean) else None

    @property
    def std(self) -> float | None:
        """Their standard deviation; None as for the mean."""
        mean = self.mean
        variance = self.squares / self.size - mean * mean if mean is not None else math.nan
        return math.sqrt(max(0.0, variance)) if is_figure(variance) else None


class Seen(NamedTuple):
    """What the tensors of one request show."""

    is_input_finite: bool
    is_output_finite: bool
    moments: Moments | None
    classes: tuple[int, ...]


class Tally:
    """Adds up the requests of one release. Its owner sees to it that one thread at a time adds."""

    def __init__(self) -> None:
        self._outcomes: Counter[Outcome] = Counter()
        self._buckets: Counter[int] = Counter()
        self._latencies = 0.0
        self._zeros = 0
        self._broken_inputs = self._broken_outputs = 0
        self._moments = Moments()
        self._classes: Counter[int] = Counter()

    def add(self, latency_ms: float, outcome: Outcome, seen: Seen) -> None:
        """Count one request that took *latency_ms*. One that was refused counts, and its time does not: nothing was inferred."""
        self._outcomes[outcome] += 1
        self._broken_inputs += not seen.is_input_finite
        self._broken_outputs += not seen.is_output_finite
        if seen.moments is not None:
            self._moments = self._moments.plus(seen.moments)
        for index in seen.classes:
            if index in self._classes or len(self._classes) < MAX_CLASSES:
                self._classes[index] += 1
        if outcome is not Outcome.REFUSED:
            self._add_latency(latency_ms)

    def _add_latency(self, latency_ms: float) -> None:
        self._latencies += latency_ms
        if latency_ms > 0:
            self._buckets[find_bucket(latency_ms)] += 1
        else:
            self._zeros += 1

    def fill(self, interval: Interval, vital: Vital) -> Interval:
        """*interval* with what was added up, and with the machine's own figures."""
        rescued = self._outcomes[Outcome.RESCUED]
        return Interval(
            sequence=interval.sequence,
            start_ms=interval.start_ms,
            duration_ms=interval.duration_ms,
            model=interval.model,
            release=interval.release,
            variant=interval.variant,
            runtime=interval.runtime,
            requests=self._outcomes.total(),
            refused=self._outcomes[Outcome.REFUSED],
            failed=self._outcomes[Outcome.FAILED] + rescued,
            rescued=rescued,
            latency_ms=Histogram(tuple(sorted(self._buckets.items())), self._zeros, self._latencies),
            non_finite_inputs=self._broken_inputs,
            non_finite_outputs=self._broken_outputs,
            input_mean=self._moments.mean,
            input_std=self._moments.std,
            top1=tuple(sorted(self._classes.most_common(TOP_CLASSES))),
            memory_mb=vital.memory_mb,
            cpu_share=vital.cpu_share,
            temperature_c=vital.temperature_c,
        )


class Sampler:
    """Looks at the tensors of requests: at all of them for what is not finite, and at some for the rest."""

    def __init__(self) -> None:
        self._due_s = 0.0

    def look(self, inputs: Mapping[str, Array] | None, outputs: Mapping[str, Array] | None, specs: tuple[TensorSpec, ...]) -> Seen:
        """What *inputs* and *outputs* show. *specs* say which outputs must be finite."""
        given = [_thin(array) for array in inputs.values() if array.dtype.kind in "fiu"] if inputs else []
        answered = [outputs[spec.name] for spec in specs if spec.finite and spec.name in outputs] if outputs else []
        is_input_finite = all(map(is_finite, given))
        is_output_finite = all(is_finite(_thin(array)) for array in answered)
        moments = _measure(given) if is_input_finite and self._is_due() else None
        classes = _find_classes(outputs.values()) if outputs and is_output_finite else ()
        return Seen(is_input_finite, is_output_finite, moments, classes)

    def _is_due(self) -> bool:
        # Two threads may both find it due, which costs one sample more.
        now_s = time.monotonic()
        if now_s < self._due_s:
            return False
        self._due_s = now_s + SAMPLE_S
        return True


def is_finite(values: Array) -> bool:
    """Whether none of *values* is NaN or infinite."""
    return values.dtype.kind != "f" or bool(np.isfinite(values).all())


def _thin(array: Array) -> Array:
    """At most MAX_VALUES of *array*, evenly spread."""
    flat = array.reshape(-1)
    return flat if flat.size <= MAX_VALUES else flat[:: -(-flat.size // MAX_VALUES)]


def _measure(arrays: Iterable[Array]) -> Moments:
    total = Moments()
    for array in arrays:
        values = array.astype(np.float64)
        with np.errstate(over="ignore"):
            total = total.plus(Moments(values.size, float(np.add.reduce(values)), float(np.dot(values, values))))
    return total


def _find_classes(outputs: Iterable[Array]) -> tuple[int, ...]:
    """The class of each row of the first output that has rows of scores."""
    scores = next((array for array in outputs if is_class_row(array)), None)
    return tuple(scores[:MAX_ROWS].argmax(axis=1).tolist()) if scores is not None else ()
