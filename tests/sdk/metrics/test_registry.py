"""Metrics by name."""

import pytest

from edgekit.errors import UnknownName
from edgekit.metrics.registry import find_metric


def test_unknown_metric_lists_the_known() -> None:
    """An unknown metric is answered with those that there are."""
    with pytest.raises(UnknownName, match="top1, top5"):
        find_metric("top2")
