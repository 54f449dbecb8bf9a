"""How far a figure that was measured on some samples can be trusted, and the difference of two that were measured on the same ones."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from edgekit.arrays import Array
from edgekit.metrics.base import Answers, Figure, Metric, Truths
from edgekit.processing.libraries import load_library
from edgekit.records import Record, Share

#: The share of sets of samples whose interval holds the figure that all samples there are would give.
CONFIDENCE = 0.95
_PERCENTILES = (50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE))
#: A model's answers, and what is true of each item.
Told: TypeAlias = tuple[Answers, Truths]
#: Called with what is being done, how many steps are done, and how many there are.
Progress = Callable[[str, int, int], None]


class Interval(Record, frozen=True, kw_only=True):
    """Where a figure lies with 95 % confidence, had other samples been taken; None where these do not tell. *method* says how it was found."""

    bounds: tuple[float, float] | None
    method: str


class Difference(Record, frozen=True, kw_only=True):
    """By how much the second of two models' figures is above the first's on the same samples, where that lies, and the chance *p* of it by luck.

    *p_method* says how it was found.
    """

    value: float
    interval: Interval
    p: Share
    p_method: str


def measure_interval(metric: Metric, answers: Answers, truths: Truths, *, seed: int = 0, progress: Progress | None = None) -> Interval:
    """Where *metric* lies with 95 % confidence.

    For a share of items it is the score interval of Wilson (1927), which Brown, Cai and DasGupta (2001) recommend; for all else the
    percentiles of the metric over samples drawn again from these (bootstrap; Efron and Tibshirani 1993, chapter 13), by *seed*.

    Raises:
        InputError: answers and truths do not fit the metric.
        DeviceError: scikit-learn, with which scipy comes, is not installed.
    """
    if metric.each is not None:
        figures = metric.each(answers, truths)
        if is_share(figures):
            return _find_wilson(int(figures.sum()), len(figures))
    drawn = _draw([metric.prepare_figure(answers, truths)], len(truths), metric, seed, progress)
    return _find_percentiles(drawn[:, 0], len(drawn))


def compare_pairs(metric: Metric, first: Told, second: Told, *, seed: int = 0, progress: Progress | None = None) -> Difference:
    """The difference of *metric* between two models' answers to the same items, in the same order.

    Where each item is right or wrong *p* is that of McNemar's exact test (1947): only items on which the two differ tell. Else it
    is the share of samples, drawn again in pairs, in which the difference is not on its side of zero, twice.

    Raises:
        InputError: answers and truths do not fit the metric.
        DeviceError: scikit-learn, with which scipy comes, is not installed.
    """
    count = len(first[1])
    figures = [metric.prepare_figure(*told) for told in (first, second)]
    before, after = (figure(np.arange(count)) for figure in figures)
    drawn = _draw(figures, count, metric, seed, progress)
    differences = drawn[:, 1] - drawn[:, 0]
    interval = _find_percentiles(differences, len(drawn))
    flips = _count_flips(metric, first, second)
    p, method = (_find_luck(differences), interval.method) if flips is None else (_test_flips(*flips), "McNemar's exact test")
    return Difference(value=after - before, interval=interval, p=p, p_method=method)


def _count_flips(metric: Metric, first: Told, second: Told) -> tuple[int, int] | None:
    """How many items were right and are wrong, and the other way round; None where items are not right or wrong."""
    if metric.each is None:
        return None
    before, after = (metric.each(*told) for told in (first, second))
    return (int((before > after).sum()), int((before < after).sum())) if is_share(before) and is_share(after) else None


def is_share(figures: Array) -> bool:
    """Whether each item is right or wrong."""
    return bool(np.isin(figures, (0.0, 1.0)).all())


def _find_wilson(right: int, count: int) -> Interval:
    bounds = _load_stats().binomtest(right, count).proportion_ci(CONFIDENCE, "wilson")
    return Interval(bounds=(float(bounds.low), float(bounds.high)), method="Wilson's score interval")


def _test_flips(lost: int, won: int) -> float:
    """The chance of as uneven a split or a more uneven one where each is as likely; 1 where nothing flipped."""
    return float(_load_stats().binomtest(min(lost, won), lost + won).pvalue) if lost + won else 1.0


def _draw(figures: list[Figure], count: int, metric: Metric, seed: int, progress: Progress | None) -> Array:
    """Each of *figures* on *count* items drawn again, as often as *metric* says, the same ones for all: (times, figures)."""
    rng = np.random.default_rng(seed)
    drawn = np.empty((metric.resamples, len(figures)))
    for time in range(metric.resamples):
        if progress is not None:
            progress(f"finding how sure {metric.name} is", time, metric.resamples)
        rows = rng.integers(0, count, count)
        drawn[time] = [figure(rows) for figure in figures]
    return drawn


def _find_percentiles(drawn: Array, times: int) -> Interval:
    """The percentiles of what is a number; None where it is so in fewer than half."""
    found = drawn[np.isfinite(drawn)]
    method = f"bootstrap percentiles, {times} resamples"
    if len(found) <= times // 2:
        return Interval(bounds=None, method=method)
    low, high = np.percentile(found, _PERCENTILES).tolist()
    return Interval(bounds=(low, high), method=method)


def _find_luck(differences: Array) -> float:
    """Twice the smaller share of *differences* on one side of zero, zero with both; the sample itself counts as one that was drawn."""
    found = differences[np.isfinite(differences)]
    smaller = min((found <= 0).sum(), (found >= 0).sum())
    return float(min(1.0, 2 * (smaller + 1) / (len(found) + 1)))


def _load_stats() -> Any:
    return load_library("scipy.stats", "evaluate")
