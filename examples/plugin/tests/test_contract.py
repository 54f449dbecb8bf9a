"""The plug-ins keep edgekit's contracts: the same checks that edgekit's own sources, targets and passes pass."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from edgekit_scorecard.dropouts import DropDropouts
from edgekit_scorecard.source import ScorecardSource
from edgekit_scorecard.target import PlainTarget
from onnx import TensorProto, helper

from edgekit.conversion import SourceOptions
from edgekit.errors import InputError
from edgekit_converters.contracts import check_pass, check_source, check_target


@pytest.fixture
def scorecard(tmp_path: Path) -> Path:
    """A linear model of four features and three classes."""
    path = tmp_path / "iris.npz"
    rng = np.random.default_rng(1)
    np.savez(path, weights=rng.normal(size=(3, 4)).astype(np.float32), bias=np.zeros(3, np.float32))
    return path


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Where a source leaves its files."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    return workspace


def test_source_keeps_the_contract(scorecard: Path, workspace: Path) -> None:
    """A linear model is read as a source with its features in and its scores out."""
    source = check_source(ScorecardSource(), scorecard, workspace)
    assert [str(spec) for spec in (*source.inputs, *source.outputs)] == ["features: float32[batch, 4]", "scores: float32[batch, 3]"]


def test_target_keeps_the_contract(scorecard: Path, workspace: Path) -> None:
    """What the target makes runs as the source does."""
    assert list(check_target(PlainTarget(), check_source(ScorecardSource(), scorecard, workspace))) == ["fp32"]


@pytest.mark.parametrize("count", [0, 2])
def test_pass_keeps_the_contract(count: int) -> None:
    """With and without Dropout in the graph the answers stay, and the pass says which it was."""
    names = ["x", *(f"d{index}" for index in range(count))]
    nodes = [helper.make_node("Dropout", [given], [made]) for given, made in itertools.pairwise(names)]
    borders = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in ("x", "y")]
    graph = helper.make_graph([*nodes, helper.make_node("Neg", [names[-1]], ["y"])], "graph", borders[:1], borders[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    left = check_pass(DropDropouts(), model, {"x": np.ones((2, 4), np.float32)})
    assert [node.op_type for node in left.graph.node] == ["Neg"]


def test_arrays_that_are_no_linear_model_are_refused(tmp_path: Path) -> None:
    """Arrays that do not fit each other are the caller's fault, and are told with what is expected."""
    path = tmp_path / "odd.npz"
    np.savez(path, weights=np.zeros((3, 4), np.float32), bias=np.zeros(2, np.float32))
    with pytest.raises(InputError, match=r"odd\.npz.*float32\[2\].*float32\[classes\]"):
        ScorecardSource().load(path, tmp_path, SourceOptions())


def test_a_damaged_archive_is_nobodys(scorecard: Path) -> None:
    """Every source is asked about every file, so an archive whose table of contents is damaged is not taken, and nothing is raised."""
    data = bytearray(scorecard.read_bytes())
    data[data.rindex(b"PK\x01\x02")] ^= 1
    scorecard.write_bytes(data)
    assert not ScorecardSource().accepts(scorecard)
