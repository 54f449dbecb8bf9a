"""Latencies as an exponential histogram: small, mergeable, and right about percentiles to within 2.2 %.

A fleet's percentile is that of the merged histograms; an average of percentiles is no percentile. Buckets follow the
OpenTelemetry data model (metrics, "ExponentialHistogram") at a fixed scale, so that any two histograms can be merged.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

#: Bucket i holds the values in (BASE**i, BASE**(i + 1)]; a value is told as the bucket's geometric middle.
SCALE = 4
BASE = 2 ** (2**-SCALE)
#: 2**-20 to 2**32: in milliseconds, from a nanosecond to 50 days.
LOWEST, HIGHEST = -20 << SCALE, (32 << SCALE) - 1

Count = Annotated[int, Meta(ge=0, le=1 << 53)]
Bucket = tuple[Annotated[int, Meta(ge=LOWEST, le=HIGHEST)], Annotated[int, Meta(ge=1, le=1 << 53)]]


class Histogram(msgspec.Struct, frozen=True, array_like=True):
    """Counts by bucket, sparse and ascending; *zeros* counts values of zero and below. *total* is the sum of all values."""

    buckets: Annotated[tuple[Bucket, ...], Meta(max_length=HIGHEST - LOWEST + 1)] = ()
    zeros: Count = 0
    total: float = 0.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.total):
            raise ValueError("total is not a finite number")
        indices = [index for index, _ in self.buckets]
        if indices != sorted(set(indices)):
            raise ValueError("buckets must ascend")

    @property
    def count(self) -> int:
        """How many values were recorded."""
        return self.zeros + sum(count for _, count in self.buckets)

    @property
    def mean(self) -> float | None:
        """The mean of the values, exactly; None where there are none."""
        return self.total / self.count if self.count else None

    def quantile(self, share: float) -> float | None:
        """The value below or at which *share* (0 to 1) of the values lie, to within 2.2 %; None where there are none."""
        if not self.count:
            return None
        rank = max(1, math.ceil(share * self.count)) - self.zeros
        if rank <= 0:
            return 0.0
        seen = itertools.accumulate(count for _, count in self.buckets)
        index = next(index for (index, _), so_far in zip(self.buckets, seen, strict=True) if rank <= so_far)
        return float(BASE ** (index + 0.5))


def record_values(values: Iterable[float]) -> Histogram:
    """The histogram of *values*; what lies outside the buckets is counted in the nearest."""
    given = list(values)
    counts = Counter(find_bucket(value) for value in given if value > 0)
    return Histogram(tuple(sorted(counts.items())), sum(value <= 0 for value in given), math.fsum(given))


def merge_histograms(histograms: Iterable[Histogram]) -> Histogram:
    """The histogram of all values that any of *histograms* recorded."""
    counts: Counter[int] = Counter()
    zeros, totals = 0, []
    for one in histograms:
        counts.update(dict(one.buckets))
        zeros += one.zeros
        totals.append(one.total)
    return Histogram(tuple(sorted(counts.items())), zeros, math.fsum(totals))


def find_bucket(value: float) -> int:
    """The bucket of a *value* above zero."""
    return min(max(math.ceil(math.log2(value) * (1 << SCALE)) - 1, LOWEST), HIGHEST)
