"""A contract that is not the one that a model was trained with is named, by labelled data alone."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgekit.build import build_bundle
from edgekit.build_request import BuildRequest
from edgekit.contract_check import TRIED_S, Trial, check_contract
from edgekit.errors import InputError
from edgekit.metrics.registry import find_metric
from edgekit.reference import find_source, gather, open_source

pytestmark = pytest.mark.workstation

SCALE, RESIZE = "factor = 0.00392156862745098", "width = 12, height = 9"


def quiet(what: str, done: int, total: int) -> None:
    """No progress is shown."""


@pytest.fixture
def request_colours(colours: Any, tmp_path: Path) -> BuildRequest:
    """The classifier of colours to ONNX alone, in floats."""
    only = {"formats": ("onnx",), "precisions": ("fp32",)}
    return BuildRequest(source=colours.model, destination=tmp_path / "bundle", processing=colours.contract, **only, **colours.data)


@pytest.fixture
def try_contract(request_colours: BuildRequest, tmp_path: Path) -> Iterator[Any]:
    """Makes a trial of the contract at a path, as a build makes it."""
    model = find_source(request_colours.source).load(request_colours.source, tmp_path, request_colours.options)
    numbers = itertools.count()
    with open_source(model) as session:

        def make(contract: Path, metric: str = "top1") -> Trial:
            workspace = tmp_path / str(next(numbers))
            workspace.mkdir()
            choice, sets = gather(replace(request_colours, processing=contract), model, workspace, quiet)
            return Trial(choice, model, session, sets["evaluation"], find_metric(metric))

        yield make


def test_the_right_contract_is_not_doubted(request_colours: BuildRequest) -> None:
    """Of the contract that the model was trained with nothing is said, and all answers are right."""
    manifest = build_bundle(request_colours, quiet)
    assert manifest.warnings == ()
    assert manifest.variants[0].metric is not None
    assert manifest.variants[0].metric.source_value == 1.0


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        (RESIZE, f'{RESIZE} }}, {{ step = "color", order = "BGR"', "looks like RGB: 100 % of answers are right instead of [56]. %"),
        (RESIZE, f'{RESIZE}, interpolation = "nearest", antialias = false', "looks like .*: 100 % of answers are right instead of [78]. %"),
    ],
)
def test_a_wrong_contract_is_named(try_contract: Any, colours: Any, tmp_path: Path, old: str, new: str, named: str) -> None:
    """Channels in the wrong order, and a resize that looks at single pixels, are named with what they cost."""
    trial = try_contract(colours.change_contract(tmp_path / "wrong.toml", old, new))
    assert any(re.search(named, sentence) for sentence in check_contract(trial, quiet))


def test_a_build_warns_of_a_wrong_contract(request_colours: BuildRequest, colours: Any, tmp_path: Path) -> None:
    """What the contract looks like stands in the manifest, and so on the model card; the bundle is made nevertheless."""
    wrong = colours.change_contract(tmp_path / "wrong.toml", RESIZE, f'{RESIZE} }}, {{ step = "color", order = "BGR"')
    manifest = build_bundle(replace(request_colours, processing=wrong), quiet)
    assert manifest.warnings[0].startswith("the contract looks like RGB")
    assert "looks like RGB" in (request_colours.destination / "MODEL_CARD.md").read_text()


@pytest.mark.parametrize(
    ("unit", "why"),
    [
        ("factor = 1.0", "the source model gives 2 different answers"),
        ("factor = -0.00392156862745098, offset = 1.0", "the source model answers by chance"),
    ],
)
def test_a_contract_that_leaves_nothing_to_measure_is_refused(
    request_colours: BuildRequest, colours: Any, tmp_path: Path, unit: str, why: str
) -> None:
    """Values from 0 to 255 or from 1 to 0 for a model of 0 to 1 end the build with the mistake's name, and nothing is written."""
    wrong = colours.change_contract(tmp_path / "wrong.toml", SCALE, unit)
    with pytest.raises(InputError, match=rf"wrong\.toml: {why} .* looks like values from 0 to 1: 100 %.*--processing FILE"):
        build_bundle(replace(request_colours, processing=wrong), quiet)
    assert not request_colours.destination.exists()


def test_trying_ends_in_time(try_contract: Any, colours: Any, tmp_path: Path) -> None:
    """Once the time is over no further contract is tried, so that a model that takes seconds for a sample is not asked for hours."""
    trial = try_contract(colours.change_contract(tmp_path / "wrong.toml", RESIZE, f'{RESIZE} }}, {{ step = "color", order = "BGR"'))
    late = itertools.chain([0.0], itertools.repeat(TRIED_S + 1))
    assert check_contract(trial, quiet, clock=lambda: next(late)) == ()


def test_what_is_no_share_tells_no_contract(try_contract: Any, colours: Any) -> None:
    """By a metric without bounds contracts cannot be held against each other, so nothing is tried."""
    trial = try_contract(colours.contract)
    assert check_contract(replace(trial, metric=replace(trial.metric, name="shop.metrics:profit")), quiet) == ()
