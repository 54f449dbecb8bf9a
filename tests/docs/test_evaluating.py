"""The function in the guide to evaluating is a metric as it stands."""

import re
from pathlib import Path

import numpy as np
import pytest

from edgekit.metrics.base import Answers
from edgekit.metrics.registry import METRICS, find_metric

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "evaluating.md").read_text()


def test_the_example_is_a_metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found in the current directory, less of it is better, and it measures what it says."""
    (block,) = re.findall(r"^```python\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    (tmp_path / "guided_metric.py").write_text(block)
    monkeypatch.chdir(tmp_path)
    metric = find_metric("guided_metric:mean_error")
    answers = Answers(None, [{"score": np.array([value])} for value in (1.0, 4.0)])
    assert (metric.better, metric.measure(answers, [0.5, 2.5])) == ("lower", 1.0)


def test_every_metric_is_in_the_table() -> None:
    """A metric that the guide does not have would not be found by those who need it."""
    rows = "".join(line for line in GUIDE.splitlines() if line.startswith("| `"))
    assert [name for name in METRICS if f"`{name}`" not in rows] == []
