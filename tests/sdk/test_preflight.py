"""Preflight of whole models, by the tables that the converters bring."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit.conversion import SourceOptions
from edgekit.errors import InputError, UnknownName
from edgekit.operator_support import UNPROBED
from edgekit.preflight import Preflight, check_model

onnx = pytest.importorskip("onnx")

pytestmark = pytest.mark.workstation
DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits.onnx"


def write_model(path: Path, *operators: str, opset: int = 17) -> Path:
    """A model of *operators* in a row, each of one input and one output."""
    nodes = [onnx.helper.make_node(name, [f"t{index}"], [f"t{index + 1}"]) for index, name in enumerate(operators)]
    inputs = [onnx.helper.make_tensor_value_info("t0", onnx.TensorProto.FLOAT, [1, 4, 4])]
    outputs = [onnx.helper.make_tensor_value_info(f"t{len(nodes)}", onnx.TensorProto.FLOAT, None)]
    graph = onnx.helper.make_graph(nodes, "g", inputs, outputs)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=9), path)
    return path


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., Preflight]:
    def run(*operators: str, runtimes: tuple[str, ...] = (), target: str | None = None, opset: int = 17) -> Preflight:
        return check_model(write_model(tmp_path / "model.onnx", *operators, opset=opset), SourceOptions(), runtimes, target)

    return run


def test_a_model_of_known_operators_is_native_everywhere() -> None:
    """Every operator of the digits example has a kernel in every runtime of a workstation, and none is forgotten."""
    found = check_model(DIGITS, SourceOptions())
    assert {report.runtime for report in found.runtimes} >= {"onnxruntime", "openvino", "litert"}
    for report in found.runtimes:
        assert (report.state, sum(report.counts.values()), report.probed) == ("native", 11, report.probed), report.runtime
    assert len(found.holding) == len(found.runtimes)


def test_one_runtime_refuses_what_another_runs(check) -> None:
    """OpenVINO has no determinant, and ONNX Runtime does."""
    states = {report.runtime: report for report in check("Relu", "Det").runtimes}
    assert (states["onnxruntime"].state, states["openvino"].state) == ("native", "refused")
    assert [row.judgement.state for row in states["openvino"].operators if row.form.operator == "Det"] == ["refused"]


def test_a_fallback_is_told_with_its_reason(check) -> None:
    """Mish has no kernel in ONNX Runtime: its function body runs."""
    (report,) = check("Mish", opset=18, runtimes=("onnxruntime",)).runtimes
    assert report.state == "fallback"
    assert report.operators[0].judgement.reason == "it has no kernel of its own and runs as Softplus, Tanh, Mul"


def test_int8_is_told_beside_float(check) -> None:
    """Gelu runs in float32 between Q and DQ, where a convolution would run in integers."""
    (report,) = check("Gelu", opset=20, runtimes=("onnxruntime",)).runtimes
    (row,) = report.operators
    assert (row.judgement.state, row.int8.state) == ("native", "fallback")


def test_a_targets_opset_decides(check) -> None:
    """SwiGLU's opset is newer than what the boards read, and a Relu of the same model is judged in the version that they have."""
    found = check("Relu", "Swish", opset=24, target="raspberry-pi-5", runtimes=("onnxruntime",))
    rows = {row.form.operator: row for report in found.runtimes for row in report.operators if report.probed}
    assert rows["Swish"].judgement.reason == "it came with opset 24, and opset 20 is the newest there"
    assert rows["Relu"].judgement.state == "native"


def test_tensorrt_is_unknown(check) -> None:
    """No machine of the project has run it, so nothing is said of it."""
    (report, *_) = check("Relu", target="jetson-orin", runtimes=("tensorrt",)).runtimes
    assert (report.state, report.probed, report.reason) == ("unknown", None, UNPROBED)


def test_a_runtime_that_nobody_knows_is_refused(check) -> None:
    """With those that are known."""
    with pytest.raises(UnknownName, match="litert, onnxruntime, openvino"):
        check("Relu", runtimes=("tensorflow",))


def test_a_damaged_model_is_refused_by_its_loader(tmp_path) -> None:
    """Preflight reads a model as convert does."""
    (tmp_path / "model.onnx").write_bytes(b"\x08\x07no model")
    with pytest.raises(InputError, match=r"model\.onnx"):
        check_model(tmp_path / "model.onnx", SourceOptions())
