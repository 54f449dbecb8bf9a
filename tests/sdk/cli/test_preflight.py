import json
from pathlib import Path

import pytest

from edgekit.cli.main import run_command
from edgekit.cli.preflight import preflight

onnx = pytest.importorskip("onnx")

pytestmark = pytest.mark.workstation
DIGITS = Path(__file__).parents[3] / "examples" / "digits" / "digits.onnx"


def run(*argv):
    with pytest.raises(SystemExit) as stop:
        run_command(preflight, [str(word) for word in argv], program="edgekit preflight")
    return stop.value.code


@pytest.fixture
def determinant(tmp_path):
    """A model with an operator that OpenVINO does not have."""
    value = onnx.helper.make_tensor_value_info
    nodes = [onnx.helper.make_node("Det", ["x"], ["y"])]
    graph = onnx.helper.make_graph(nodes, "g", [value("x", 1, ["batch", 4, 4])], [value("y", 1, ["batch"])])
    path = tmp_path / "determinant.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def test_each_operator_is_told_for_each_runtime(capsys) -> None:
    """The table has a line for each operator and a column for each runtime, and ends with a summary of each."""
    assert run(DIGITS) == 0
    printed = capsys.readouterr().out
    assert "onnx operator" in printed
    lines = [line.split() for line in printed.splitlines() if line.split()]
    assert any(line[:5] == ["Conv", "11", "float32", "rest", "3"] for line in lines)
    assert "runs it all natively" in printed


def test_json_is_the_whole_of_it(capsys) -> None:
    """--json prints the records, and nothing else on stdout."""
    assert run(DIGITS, "--json", "--runtime", "onnxruntime") == 0
    record = json.loads(capsys.readouterr().out)
    (report,) = record["runtimes"]
    assert report["state"] == "native"
    assert {row["form"]["operator"] for row in report["operators"]} >= {"Conv", "Relu", "Gemm"}


def test_a_requested_runtime_that_refuses_ends_in_2(determinant, capsys) -> None:
    """The operator and the runtime are named, with what to do; without the request another runtime can hold the model."""
    assert run(determinant, "--runtime", "openvino") == 2
    told = capsys.readouterr()
    assert "Det is refused: No conversion rule found for operations: Det" in told.out
    assert "openvino" in told.err
    assert "Det" in told.err
    assert run(determinant) == 0


def test_an_unknown_target_is_refused(capsys) -> None:
    """With the known ones."""
    assert run(DIGITS, "--target", "toaster") == 2
    assert "raspberry-pi-5" in capsys.readouterr().err
