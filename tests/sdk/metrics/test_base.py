"""What a metric is."""

import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.metrics.base import Answers, Metric, make_mean, make_whole, take_truths

ANSWERS = Answers({"y": np.array([1.0, 2.0, 4.0])}, [{"score": np.array([value])} for value in (1.0, 2.0, 4.0)], ("a", "b"))


@pytest.mark.parametrize(("better", "drop"), [("higher", 0.25), ("lower", -0.25)])
def test_a_drop_is_what_is_worse(better: str, drop: float) -> None:
    """Of a share that is right less is worse, and of a share that is wrong more."""
    assert Metric("share", lambda _answers, _truths: 0.0, better=better).find_drop(1.0, 0.75) == drop


def test_answers_are_taken_by_item() -> None:
    """Outputs and readings of chosen items stay together, also where an item is chosen twice."""
    taken = ANSWERS.take(np.array([2, 0, 2]))
    assert taken.outputs is not None
    assert taken.outputs["y"].tolist() == [4, 1, 4]
    assert [reading["score"][0] for reading in taken.readings] == [4, 1, 4]
    assert taken.classes == ("a", "b")
    assert Answers(None).take(np.array([0])) == Answers(None)


def test_a_reading_is_listed_where_all_items_have_it() -> None:
    """What one item lacks is not there: a metric would hold answers against the wrong items."""
    assert [score.tolist() for score in ANSWERS.list_read("score") or ()] == [[1], [2], [4]]
    assert Answers(None, [{"score": np.ones(1)}, {}]).list_read("score") is None
    assert Answers(None).list_read("score") is None


@pytest.mark.parametrize("truths", [np.arange(4), (0, 1, 2, 3)])
def test_truths_are_taken_as_they_are_kept(truths: object) -> None:
    """Truths in an array and in a sequence are taken alike."""
    assert list(take_truths(truths, np.array([3, 3, 1]))) == [3, 3, 1]


def _distances(answers: Answers, truths: object) -> np.ndarray:
    return answers.outputs["y"] - np.asarray(truths)


@pytest.mark.parametrize(
    "metric",
    [
        make_mean("offset", _distances),
        make_whole("offset", lambda answers, truths: lambda rows: float(_distances(answers, truths)[rows].mean()), _distances),
        Metric("offset", lambda answers, truths: float(_distances(answers, truths).mean())),
    ],
    ids=["mean", "whole", "plain"],
)
def test_any_of_the_items_have_the_same_figure_however_it_is_told(metric: Metric) -> None:
    """A mean, a metric that was prepared and one that knows only how to measure all give the same for the same items."""
    truths = [0, 1, 1]
    assert metric.measure(ANSWERS, truths) == pytest.approx(5 / 3)
    assert metric.prepare_figure(ANSWERS, truths)(np.array([2, 2, 1])) == pytest.approx(7 / 3)


def test_a_metric_of_all_items_may_say_nothing_of_one() -> None:
    """Without a way to judge single items there is none, and no figure is made up."""
    assert Metric("plain", lambda _answers, _truths: 0.0).judge_items(ANSWERS, [0, 0, 0]) is None


def test_a_figure_that_is_no_number_is_refused() -> None:
    """Data that leave a metric undefined are the caller's to correct."""
    metric = make_whole("ratio", lambda _answers, _truths: lambda _rows: float("nan"), _distances)
    with pytest.raises(InputError, match="ratio without a value"):
        metric.measure(ANSWERS, [0, 0, 0])
