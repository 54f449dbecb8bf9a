"""How far figures can be trusted."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from edgekit.errors import DeviceError
from edgekit.metrics.base import Answers, Metric, make_mean
from edgekit.metrics.classes import F1, TOP1
from edgekit.metrics.intervals import compare_pairs, measure_interval
from edgekit.metrics.ranking import AUC


def _answer(classes: np.ndarray, count: int = 2) -> Answers:
    return Answers({"scores": np.eye(count, dtype=np.float32)[classes]})


def _right(right: int, count: int) -> tuple[Answers, np.ndarray]:
    return _answer((np.arange(count) >= right).astype(int)), np.zeros(count, int)


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    # Newcombe (1998), "Two-sided confidence intervals for the single proportion", table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_a_share_has_wilsons_interval(right: int, count: int, low: float, high: float) -> None:
    """The bounds are the published ones, also where nothing was right."""
    interval = measure_interval(TOP1, *_right(right, count))
    assert interval.bounds == pytest.approx((low, high), abs=5e-5)
    assert "Wilson" in interval.method


def test_other_metrics_have_percentiles_of_samples_drawn_again() -> None:
    """F1 is drawn again by its seed: the same seed gives the same bounds, around the figure."""
    rng = np.random.default_rng(0)
    truths = rng.integers(0, 3, 120)
    found = np.where(rng.random(120) < 0.7, truths, rng.integers(0, 3, 120))
    interval = measure_interval(F1, _answer(found, 3), truths, seed=1)
    assert interval == measure_interval(F1, _answer(found, 3), truths, seed=1)
    assert interval != measure_interval(F1, _answer(found, 3), truths, seed=2)
    assert interval.method == "bootstrap percentiles, 200 resamples"
    low, high = interval.bounds
    assert low < f1_score(truths, found, average="macro") < high
    assert 0.1 < high - low < 0.25


def test_a_mean_of_figures_is_drawn_too() -> None:
    """Where items are not right or wrong, as cosines are, the interval of their mean is near the normal one."""
    figures = np.random.default_rng(0).normal(0.5, 0.1, 400)
    interval = measure_interval(make_mean("figure", lambda _answers, _truths: figures), Answers(None), figures)
    error = 1.96 * figures.std() / 20
    assert interval.bounds == pytest.approx((figures.mean() - error, figures.mean() + error), abs=0.002)


def test_samples_that_leave_a_figure_undefined_are_not_counted() -> None:
    """Of one anomaly among three a third of the draws has none; where most have none the interval is unknown, and never made up."""
    scores = Answers(None, [{"score": np.array([value])} for value in (0.1, 0.9, 0.4)])
    assert measure_interval(AUC, scores, [0, 1, 0]).bounds is not None
    undefined = Metric("never", lambda _answers, _truths: float("nan"), resamples=10)
    assert measure_interval(undefined, scores, [0, 1, 0]).bounds is None


def test_progress_is_told() -> None:
    """Who waits is told how far it is."""
    seen = []
    measure_interval(F1, *_right(3, 5), progress=lambda what, done, total: seen.append((what, done, total)))
    assert seen[-1] == ("finding how sure f1 is", 199, 200)


@pytest.mark.parametrize(("lost", "won", "p"), [(5, 3, 0.7265625), (0, 0, 1.0), (12, 1, 0.00341796875)])
def test_flips_are_tested_exactly(lost: int, won: int, p: float) -> None:
    """The chance is the binomial one by hand: of 8 flips at most 3 on one side comes 73 times in 100."""
    truths = np.zeros(100, int)
    before, after = np.ones(100, int), np.ones(100, int)
    before[:lost] = 0
    after[lost : lost + won] = 0
    found = compare_pairs(TOP1, (_answer(before), truths), (_answer(after), truths))
    assert found.p == pytest.approx(p)
    assert found.value == pytest.approx((won - lost) / 100)
    low, high = found.interval.bounds
    assert low <= found.value <= high
    assert "McNemar" in found.p_method


def test_pairs_are_drawn_together() -> None:
    """Two models that are off by as much on the same items differ by nothing, however much the items differ."""
    rng = np.random.default_rng(0)
    items, offsets = rng.normal(0, 10, 200), rng.normal(0.1, 0.1, 200)
    metric = make_mean("figure", lambda answers, _truths: answers.outputs["y"])
    found = compare_pairs(metric, (Answers({"y": items}), items), (Answers({"y": items + offsets}), items))
    assert found.value == pytest.approx(offsets.mean())
    assert found.interval.bounds == pytest.approx((found.value - 0.014, found.value + 0.014), abs=0.003)
    assert found.p == pytest.approx(2 / 1001)
    same = compare_pairs(metric, (Answers({"y": items}), items), (Answers({"y": items}), items))
    assert (same.value, same.p) == (0.0, 1.0)


def test_each_model_has_its_own_truths() -> None:
    """Two models may number their classes differently, and so does what is true of them."""
    labels = np.array([0, 1, 1, 0])
    found = compare_pairs(TOP1, (_answer(labels), labels), (_answer(1 - labels), 1 - labels))
    assert (found.value, found.p) == (0.0, 1.0)


def test_a_missing_library_is_named_with_its_extra(lack_libraries) -> None:
    """Devices have no scikit-learn, and are told what installs it."""
    lack_libraries("scipy", "sklearn")
    with pytest.raises(DeviceError, match=r"edgekit\[evaluate\]"):
        measure_interval(TOP1, *_right(3, 5))
    with pytest.raises(DeviceError, match=r"edgekit\[evaluate\]"):
        F1.measure(*_right(3, 5))
