"""Histograms: exact counts, percentiles within their error, and merging as if all had been recorded in one place."""

import math
import statistics

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.histogram import BASE, HIGHEST, LOWEST, Histogram, find_bucket, merge_histograms, record_values

VALUES = st.lists(st.floats(1e-5, 1e8), max_size=40)


@given(VALUES)
def test_every_value_is_counted_and_the_mean_is_exact(values: list[float]) -> None:
    """The count is that of the values, and the mean has no error of the buckets."""
    histogram = record_values(values)
    assert histogram.count == len(values)
    assert histogram.mean == (pytest.approx(statistics.fmean(values)) if values else None)


@given(VALUES.filter(bool), st.floats(0, 1))
def test_a_quantile_is_within_its_error_of_the_true_one(values: list[float], share: float) -> None:
    """It lies within 2.2 % of the value with that rank, for any values and any share."""
    true = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    assert record_values(values).quantile(share) == pytest.approx(true, rel=0.0221)


@given(st.lists(VALUES, max_size=5))
def test_merging_is_recording_together(parts: list[list[float]]) -> None:
    """A merge has the counts of one histogram that saw everything, so a fleet's percentile is no average of percentiles."""
    merged = merge_histograms(map(record_values, parts))
    together = record_values([value for part in parts for value in part])
    assert (merged.buckets, merged.zeros) == (together.buckets, together.zeros)
    assert merged.total == pytest.approx(together.total)


def test_the_merged_p95_differs_from_the_mean_of_p95s() -> None:
    """One slow answer among a hundred does not move the p95, as it would move an average of two devices' p95s."""
    fast, slow = record_values([1.0] * 99), record_values([100.0])
    assert merge_histograms([fast, slow]).quantile(0.95) == pytest.approx(1.0, rel=0.03)
    assert merge_histograms([fast, slow]).quantile(1.0) == pytest.approx(100.0, rel=0.03)


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_a_value_lies_in_its_bucket(value: float) -> None:
    """A bucket is open below and closed above, and what lies outside all of them is counted in the nearest."""
    index = find_bucket(value)
    assert LOWEST <= index <= HIGHEST
    if LOWEST < index < HIGHEST:
        assert BASE**index * (1 - 1e-9) < value <= BASE ** (index + 1) * (1 + 1e-9)


def test_values_of_zero_and_below_are_counted_as_zeros() -> None:
    """They lie in no bucket, and are the lowest when a quantile is asked for."""
    histogram = record_values([0.0, -1.0, 5.0])
    assert (histogram.zeros, histogram.quantile(0.5)) == (2, 0.0)


def test_nothing_recorded_is_unknown_and_not_zero() -> None:
    """An empty histogram has no mean and no quantile."""
    assert (Histogram().mean, Histogram().quantile(0.99)) == (None, None)


@given(VALUES)
def test_it_survives_the_wire(values: list[float]) -> None:
    """Encoded as msgpack and read again it is the same."""
    histogram = record_values(values)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(histogram), type=Histogram) == histogram


@pytest.mark.parametrize(
    "fields",
    [
        [[[2, 1], [1, 1]], 0, 1.0],
        [[[1, 1], [1, 1]], 0, 1.0],
        [[[HIGHEST + 1, 1]], 0, 1.0],
        [[[LOWEST - 1, 1]], 0, 1.0],
        [[[1, 0]], 0, 1.0],
        [[], -1, 1.0],
        [[], 0, math.inf],
    ],
)
def test_what_no_recorder_makes_is_refused(fields: list[object]) -> None:
    """Buckets that do not ascend or do not exist, empty ones, negative counts and infinite sums are no histogram."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode(fields), type=Histogram)
