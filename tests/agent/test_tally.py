"""Requests are added up exactly, and looking at their tensors is bounded."""

import numpy as np
import pytest

from edgekit.telemetry import Interval
from edgekit.tensors import TensorSpec
from edgekit_agent.observing import Outcome
from edgekit_agent.tally import MAX_CLASSES, MAX_VALUES, Moments, Sampler, Seen, Tally, is_finite
from edgekit_agent.vitals import Vital

UNKNOWN = Vital(None, None, None)
EMPTY = Interval(sequence=1, start_ms=5, duration_ms=10, model="m", release="m@1.0.0", variant="v", runtime="r")
SPECS = (TensorSpec(name="logits", dtype="float32", shape=("n", 3)),)
FINE = Seen(True, True, None, ())


def look(inputs: object, outputs: object = None, specs: tuple[TensorSpec, ...] = SPECS) -> Seen:
    arrays = {"x": np.asarray(inputs)}
    return Sampler().look(arrays, None if outputs is None else {"logits": np.asarray(outputs, np.float32)}, specs)


def test_outcomes_are_counted_as_the_record_says():
    """All requests count; those rescued are among the failed; and the time of a refused one is no latency."""
    tally = Tally()
    for outcome, count in ((Outcome.ANSWERED, 7), (Outcome.REFUSED, 3), (Outcome.FAILED, 2), (Outcome.RESCUED, 4)):
        for _ in range(count):
            tally.add(2.0, outcome, FINE)
    interval = tally.fill(EMPTY, UNKNOWN)
    assert (interval.requests, interval.refused, interval.failed, interval.rescued) == (16, 3, 6, 4)
    assert (interval.latency_ms.count, interval.latency_ms.mean) == (13, 2.0)
    assert (interval.model, interval.start_ms, interval.duration_ms) == ("m", 5, 10)


def test_an_empty_tally_knows_nothing():
    """Without requests there are zeros to count and nothing to measure; energy that nobody measured is unknown."""
    interval = Tally().fill(EMPTY, Vital(80.0, 0.5, None))
    assert (interval.requests, interval.latency_ms.count, interval.input_mean, interval.input_std, interval.top1) == (0, 0, None, None, ())
    assert (interval.memory_mb, interval.cpu_share, interval.temperature_c, interval.energy_mj) == (80.0, 0.5, None, None)


def test_a_clock_that_stood_still_is_counted():
    """A latency of zero has no logarithm, and is counted all the same."""
    tally = Tally()
    tally.add(0.0, Outcome.ANSWERED, FINE)
    assert tally.fill(EMPTY, UNKNOWN).latency_ms.zeros == 1


def test_mean_and_spread_are_those_of_all_values():
    """Samples of several requests give the mean and standard deviation of all their values together."""
    random = np.random.default_rng(1)
    parts = [random.normal(3.0, 2.0, size).astype(np.float32) for size in (100, 5_000, 7)]
    tally = Tally()
    for part in parts:
        tally.add(1.0, Outcome.ANSWERED, look(part))
    interval = tally.fill(EMPTY, UNKNOWN)
    whole = np.concatenate(parts)
    assert interval.input_mean == pytest.approx(whole.mean(dtype=np.float64), rel=1e-6)
    assert interval.input_std == pytest.approx(whole.std(dtype=np.float64), rel=1e-6)


@pytest.mark.parametrize("value", [1e308, 1e150])
def test_values_too_large_to_be_added_up_give_no_mean(value):
    """What overflows, or would where a fleet's are added up, is unknown: a record has no room for it."""
    tally = Tally()
    tally.add(1.0, Outcome.ANSWERED, look(np.full(10, value)))
    interval = tally.fill(EMPTY, UNKNOWN)
    assert (interval.input_mean, interval.input_std) == (None, None)
    assert Moments(2, 2e300, 1e308).std is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_bad_value_is_seen(bad):
    """A NaN or an infinity anywhere in an input or an output is seen, and its mean and class are not taken."""
    seen = look([[0.0, bad, 1.0]], [[0.0, 1.0, bad]])
    assert seen == Seen(False, False, None, ())


def test_large_finite_values_are_not_taken_for_bad():
    """Values whose sum overflows their own dtype are finite."""
    assert is_finite(np.full(100, 60_000, np.float16))
    assert is_finite(np.full(100, 3e38, np.float32))
    assert not is_finite(np.array([3e38, np.inf], np.float32))


def test_an_output_that_may_be_infinite_is_not_counted():
    """Where the tensor's spec allows what is not finite, it is none of the model's faults."""
    specs = (TensorSpec(name="logits", dtype="float32", shape=("n", 3), finite=False),)
    assert look([1.0], [[1.0, np.inf, 0.0]], specs).is_output_finite


def test_classes_are_counted_for_rows_of_scores():
    """The class of each row counts, and outputs that are no rows of scores have none."""
    assert look([1.0], [[0, 2, 1], [5, 0, 0]]).classes == (1, 0)
    assert look([1.0], [1.0, 2.0, 3.0]).classes == ()
    tally = Tally()
    for index in range(MAX_CLASSES + 100):
        tally.add(1.0, Outcome.ANSWERED, Seen(True, True, None, (index,)))
    for _ in range(5):
        tally.add(1.0, Outcome.ANSWERED, Seen(True, True, None, (7, MAX_CLASSES + 50)))
    top = dict(tally.fill(EMPTY, UNKNOWN).top1)
    assert (len(top), top[7]) == (32, 6)
    assert MAX_CLASSES + 50 not in top


def test_strings_and_empty_tensors_are_passed_over():
    """What holds no numbers is no reason to fail."""
    assert look(np.array([b"a", b"b"])).moments == Moments()
    assert look(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32)).classes == ()
    assert Sampler().look(None, None, SPECS) == Seen(True, True, Moments(), ())


def test_a_large_input_is_sampled_evenly():
    """Of a large tensor a bounded number of values is looked at, from its beginning to its end."""
    values = np.linspace(0.0, 1.0, 10 * MAX_VALUES, dtype=np.float32)
    moments = look(values).moments
    assert MAX_VALUES // 2 < moments.size <= MAX_VALUES
    assert moments.mean == pytest.approx(0.5, abs=1e-3)


def test_a_burst_of_requests_is_sampled_once():
    """Means are taken of a few requests a second, however many there are."""
    sampler = Sampler()
    taken = [sampler.look({"x": np.ones(4, np.float32)}, None, SPECS).moments for _ in range(50)]
    assert taken[0] is not None
    assert taken.count(None) >= 45
