"""The area under the ROC curve."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from edgekit.errors import InputError
from edgekit.metrics.base import Answers
from edgekit.metrics.ranking import AUC, place_items

RNG = np.random.default_rng(0)
TRUTHS = RNG.integers(0, 2, 60)
VALUES = (TRUTHS + RNG.normal(0, 1, 60)).astype(np.float32)


def scored(values: np.ndarray, classes: tuple[str, ...] = ()) -> Answers:
    return Answers(None, [{"score": np.array([value], np.float32)} for value in values], classes)


def test_anomaly_scores_are_ranked() -> None:
    """It is scikit-learn's figure of the scores that the contract reads."""
    assert AUC.measure(scored(VALUES), TRUTHS) == pytest.approx(roc_auc_score(TRUTHS, VALUES))


@pytest.mark.parametrize(
    "outputs",
    [
        {"logits": np.stack([-VALUES, VALUES], axis=1)},
        {"share": 1 / (1 + np.exp(-VALUES))[:, None]},
        {"share": VALUES},
    ],
    ids=["two classes", "one column", "one number"],
)
def test_two_classes_are_ranked_by_the_second(outputs: dict[str, np.ndarray]) -> None:
    """Logits of both classes, and a score of the second alone, rank items the same way."""
    assert AUC.measure(Answers(outputs), TRUTHS) == pytest.approx(roc_auc_score(TRUTHS, VALUES))


def test_classes_that_a_contract_reads_are_ranked() -> None:
    """Where items gave several samples, both classes stand in what was read, the likelier first."""
    shares = 1 / (1 + np.exp(-VALUES))
    readings = [{"classes": np.array([1, 0] if p > 0.5 else [0, 1]), "scores": np.array(sorted([p, 1 - p], reverse=True))} for p in shares]
    assert AUC.measure(Answers(None, readings), TRUTHS) == pytest.approx(roc_auc_score(TRUTHS, VALUES))


def test_what_is_called_normal_is_not_found() -> None:
    """Folders sort anomalies before what is normal, and kinds of defects stand beside what is good: names decide, not numbers."""
    unusual = np.where(TRUTHS == 1, 0, 1)
    assert AUC.measure(scored(VALUES, ("anomaly", "normal")), unusual) == pytest.approx(roc_auc_score(TRUTHS, VALUES))
    kinds = np.where(TRUTHS == 1, np.arange(60) % 2 * 2, 1)
    assert AUC.measure(scored(VALUES, ("crack", "Good", "scratch")), kinds) == pytest.approx(roc_auc_score(TRUTHS, VALUES))


def test_infinite_scores_are_ranked_and_nan_is_the_highest() -> None:
    """A score that nobody can read is an anomaly, as the contract reads it too."""
    assert AUC.measure(scored(np.array([-np.inf, 0.0, np.inf, np.nan])), [0, 0, 1, 1]) == 1.0
    assert AUC.measure(scored(np.array([np.nan, 0.0, 1.0])), [0, 1, 1]) == 0.0


@pytest.mark.parametrize(("truths", "problem"), [([0, 0, 0], "all of one class"), ([1, 1, 1], "all of one class"), ([0, 1, 2], "class 2")])
def test_truths_that_are_not_of_two_kinds_are_refused(truths: list[int], problem: str) -> None:
    """Where nothing is to be told apart there is no area."""
    with pytest.raises(InputError, match=problem):
        AUC.measure(scored(np.arange(3.0)), truths)


def test_answers_without_a_score_are_refused() -> None:
    """Three classes have no one score to rank by, and the message says what would."""
    with pytest.raises(InputError, match=r"no score of an anomaly.*Let the contract read"):
        AUC.measure(Answers({"logits": np.zeros((3, 3))}), [0, 1, 1])


def test_items_drawn_again_may_be_of_one_kind() -> None:
    """Of them alone there is no figure, which is no error: others are drawn."""
    tell = AUC.prepare_figure(scored(np.array([0.0, 1.0])), [0, 1])
    assert np.isnan(tell(np.array([1, 1])))
    assert tell(np.array([0, 1, 1])) == 1.0


def test_the_area_is_the_mean_of_what_items_are_placed_above() -> None:
    """Items of either kind alone have the area as their mean, equal scores counting half."""
    values = VALUES.round(0)
    placed = place_items(scored(values), TRUTHS)
    assert placed[TRUTHS == 1].mean() == pytest.approx(roc_auc_score(TRUTHS, values))
    assert placed[TRUTHS == 0].mean() == pytest.approx(roc_auc_score(TRUTHS, values))
