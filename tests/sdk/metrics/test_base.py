"""What a metric is."""

import pytest

from edgekit.metrics.base import Metric


@pytest.mark.parametrize(("better", "drop"), [("higher", 0.25), ("lower", -0.25)])
def test_a_drop_is_what_is_worse(better: str, drop: float) -> None:
    """Of a share that is right less is worse, and of a share that is wrong more."""
    assert Metric("share", lambda _answers, _truths: 0.0, better=better).find_drop(1.0, 0.75) == drop
