from collections import namedtuple

import pytest

from edgekit import diagnosis
from edgekit.diagnosis import diagnose


def find_problem(subject):
    return next((problem.text for problem in diagnose().problems if problem.subject == subject), None)


def test_a_target_that_cannot_be_imported_is_a_problem(tmp_path, monkeypatch):
    """A converter whose package is missing is told, and the other formats are not hidden by it."""
    (tmp_path / "ghost-1.0.dist-info").mkdir()
    (tmp_path / "ghost-1.0.dist-info" / "entry_points.txt").write_text("[edgekit.targets]\nghost = no_such_package:Target\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "no_such_package" in find_problem("making ghost")
    assert "onnx" in {state.format for state in diagnose().formats}


def test_an_obstacle_takes_the_precisions_away(monkeypatch):
    """A format that cannot be made here has no precisions, and the obstacle stands among the problems."""
    target = pytest.importorskip("edgekit_converters.onnx_target").OnnxTarget
    monkeypatch.setattr(target, "find_obstacle", lambda self: "onnx is missing. Install it.")
    assert find_problem("making onnx") == "onnx is missing. Install it."
    assert next(state.precisions for state in diagnose().formats if state.format == "onnx") == ()


def test_little_room_is_told(monkeypatch):
    """A disk with less than 2 GiB free is a problem that names the place and the variable that moves it."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(diagnosis.shutil, "disk_usage", lambda path: usage(10, 9, 1 << 20))
    assert "EDGEKIT_ENVIRONMENTS" in find_problem("disk")
    monkeypatch.setattr(diagnosis.shutil, "disk_usage", lambda path: usage(10 << 30, 0, 10 << 30))
    assert find_problem("disk") is None


@pytest.mark.workstation
def test_each_target_says_what_it_makes():
    """A target that is no format, as ONNX for NVIDIA, is told among the targets, and asks for no runtime of its name."""
    diagnosis = diagnose()
    targets = {state.name: state for state in diagnosis.targets}
    assert {"onnx", "tflite", "openvino"} <= set(targets)
    assert "int8" in targets["onnx"].precisions
    assert {state.format for state in targets.values()} <= {state.format for state in diagnosis.formats}
    assert find_problem("running nvidia") is None
