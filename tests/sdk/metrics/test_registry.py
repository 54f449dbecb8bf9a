"""Metrics by name."""

import pytest

from edgekit.contract import Anomaly, Classify, Detect, Embed, Processing, Reading, Segment, Transcribe
from edgekit.errors import UnknownName
from edgekit.metrics.registry import METRICS, choose_metric, find_metric


def test_unknown_metric_lists_the_known() -> None:
    """An unknown metric is answered with those that there are."""
    with pytest.raises(UnknownName, match=r"map50-95, package.module:function, top1, top5"):
        find_metric("top2")


def test_every_metric_is_found_by_its_name() -> None:
    """The names are those that users know, and each leads to its metric."""
    assert set(METRICS) == {"top1", "top5", "f1", "map50", "map50-95", "iou", "auc", "cosine", "wer"}
    assert all(find_metric(name).name == name for name in METRICS)


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (Classify(output="y"), "top1"),
        (Detect(boxes="y", layout="yolo"), "map50"),
        (Segment(output="y"), "iou"),
        (Embed(output="y"), "cosine"),
        (Anomaly(output="y"), "auc"),
        (Transcribe(output="y"), "wer"),
        (None, "top1"),
    ],
)
def test_what_is_measured_depends_on_what_is_read(answer: Reading | None, name: str) -> None:
    """Where nobody names a metric it is the usual one for the contract's answer."""
    assert choose_metric(Processing(answer=answer)) == name


def test_without_a_contract_classes_are_counted() -> None:
    """A bundle without a contract is taken for a classifier's, as it always was."""
    assert choose_metric(None) == "top1"
