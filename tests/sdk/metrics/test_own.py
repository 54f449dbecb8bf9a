"""Metrics of one's own."""

from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.metrics.base import Answers
from edgekit.metrics.registry import find_metric

ANSWERS = Answers({"y": np.array([1.0, 5.0])})


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes a module of the test's own into the current directory; gives the name by which its function is asked for."""

    def make(name: str, text: str, attribute: str = "measure") -> str:
        (tmp_path / f"{name}.py").write_text(text)
        return f"{name}:{attribute}"

    monkeypatch.chdir(tmp_path)
    return make


def test_a_function_in_the_current_directory_is_a_metric(write) -> None:
    """It gets answers and truths, and what it returns is the figure; it says itself whether less is better."""
    text = "def measure(answers, truths):\n    return abs(answers.outputs['y'] - truths).mean()\nmeasure.better = 'lower'\n"
    metric = find_metric(write("own_distance", text))
    assert (metric.name, metric.better) == ("own_distance:measure", "lower")
    assert metric.measure(ANSWERS, np.array([1, 2])) == 1.5
    assert metric.prepare_figure(ANSWERS, np.array([1, 2]))(np.array([1, 1])) == 3.0


def test_a_whole_metric_may_be_named(write) -> None:
    """Who wants items to be judged one by one makes the record itself."""
    text = "from edgekit.metrics.base import make_mean\nmeasure = make_mean('near', lambda answers, truths: answers.outputs['y'] * 0 + 1)\n"
    metric = find_metric(write("own_record", text))
    assert metric.name == "near"
    assert metric.judge_items(ANSWERS, [0, 0]).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("own_syntax", "def measure(", "importing own_syntax failed: SyntaxError"),
        ("own_import", "import nowhere_at_all", "No module named 'nowhere_at_all'"),
        ("own_exit", "import sys; sys.exit(3)", "importing own_exit failed: SystemExit: 3"),
        ("own_none", "", "has no 'measure'"),
        ("own_number", "measure = 3", "it is a int"),
        ("own_better", "def measure(a, b): return 1.0\nmeasure.better = 'more'", "better is 'more'"),
    ],
)
def test_a_module_that_is_none_is_named(write, name: str, text: str, problem: str) -> None:
    """Whatever the code does, the answer is one sentence with its last line."""
    with pytest.raises(InputError, match=problem):
        find_metric(write(name, text))


@pytest.mark.parametrize(
    ("name", "body", "problem"),
    [
        ("own_raise", "raise KeyError('scores')", r"calling it failed: KeyError: 'scores' \(own_raise.py, line 2\)"),
        ("own_quit", "raise SystemExit(1)", "calling it failed: SystemExit"),
        ("own_nan", "return float('nan')", "it returned nan"),
        ("own_text", "return 'good'", "could not convert string"),
        ("own_empty", "pass", "calling it failed: TypeError"),
    ],
)
def test_a_function_that_fails_is_named(write, name: str, body: str, problem: str) -> None:
    """An error, an exit, and what is no finite number are answers of the user's own code, told with its last line."""
    metric = find_metric(write(name, f"def measure(answers, truths):\n    {body}\n"))
    with pytest.raises(InputError, match=problem):
        metric.measure(ANSWERS, [0, 1])


@pytest.mark.parametrize("name", ["nowhere_at_all:measure", "nowhere_at_all.inside:measure", ":measure", "..up:measure", "os.nothing:measure"])
def test_a_module_that_is_not_there_is_named(name: str) -> None:
    """What cannot be imported is the caller's to correct, however strange its name."""
    with pytest.raises(InputError, match="metric"):
        find_metric(name)
