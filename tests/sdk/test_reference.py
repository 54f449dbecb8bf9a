"""The source model and its answers: what can be held against golden samples at all."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.build_request import BuildRequest
from edgekit.conversion import SourceModel, SourceOptions
from edgekit.errors import InputError
from edgekit.reference import check_batch, consult_source, find_source, load_source
from edgekit.tensors import TensorSpec


@pytest.mark.parametrize(
    ("shapes", "told"),
    [
        ((("n", 9), ()), "has no axis for samples"),
        ((("n", 9), (4, 4)), "different numbers of samples"),
        (((2, 9), (4, 4)), "different numbers of samples"),
    ],
)
def test_inputs_without_a_common_batch_are_refused(shapes: tuple[tuple[int | str, ...], ...], told: str) -> None:
    """Samples lie along the first axis of every input, so one that has no such axis is named before anything is run."""
    with pytest.raises(InputError, match=told):
        check_batch(Path("model.onnx"), [TensorSpec(name=f"in{index}", dtype="float32", shape=shape) for index, shape in enumerate(shapes)])


def test_a_batch_of_one_goes_with_any(tmp_path: Path) -> None:
    """An input with a batch of one stands beside others of any batch: samples are then run one by one."""
    check_batch(tmp_path, [TensorSpec(name=name, dtype="float32", shape=(size, 2)) for name, size in (("a", "n"), ("b", 1), ("c", "m"))])


def make_biased(path: Path, bias: float) -> Path:
    """A model that adds *bias* to the first of three numbers, so that small ones all give the first class."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "bias"], ["y"])],
        "biased",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(np.array([bias, 0, 0], np.float32), "bias")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.workstation
def test_made_up_inputs_are_tried_in_the_unit_of_bytes_too(tmp_path: Path) -> None:
    """A model that gives one answer to inputs of about 1 and several to those of a picture's bytes gets golden samples of these."""
    small, large = (consult_source(BuildRequest(make_biased(tmp_path / f"{bias}.onnx", bias), tmp_path / "b"), tmp_path) for bias in (0.0, 20.0))
    assert np.abs(small.golden.inputs["x"]).max() <= 4
    assert np.abs(large.golden.inputs["x"]).max() > 20
    with pytest.raises(InputError, match="1 different answers"):
        consult_source(BuildRequest(make_biased(tmp_path / "deaf.onnx", 1e6), tmp_path / "b"), tmp_path)


@pytest.mark.workstation
def test_samples_that_a_source_brings_are_golden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no data is given, golden samples are of those inputs that the source knows to say something of the model."""
    plain = find_source(make_biased(tmp_path / "plain.onnx", 0.0))
    samples = {"x": np.random.default_rng(0).normal(50, 1, (40, 3)).astype(np.float32)}

    class Knowing:
        def load(self, path: Path, workspace: Path, options: SourceOptions) -> SourceModel:
            return replace(plain.load(path, workspace, options), samples=samples)

    monkeypatch.setattr("edgekit.reference.find_source", lambda _: Knowing())
    reference = consult_source(BuildRequest(tmp_path / "plain.onnx", tmp_path / "b"), tmp_path)
    assert reference.golden_origin == "synthetic"
    assert reference.golden.n >= 32
    assert {row.tobytes() for row in reference.golden.inputs["x"]} <= {row.tobytes() for row in samples["x"]}


def _write_model(path: Path, nodes: list[onnx.NodeProto], sizes: list[int | str], weights: dict[str, np.ndarray] | None = None) -> Path:
    borders = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes) for name in ("x", "y")]
    listed = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(nodes, "graph", borders[:1], borders[1:], listed)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.workstation
def test_source_that_does_not_run_is_named_as_it_was_given(tmp_path: Path) -> None:
    """A model that asks for terabytes once it runs is the caller's fault, and is called by the caller's name for it."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Mul", ["shape", "factor"], ["large"]),
        helper.make_node("ConstantOfShape", ["large"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    model = _write_model(tmp_path / "given.onnx", nodes, ["n", 4], {"factor": np.array([1 << 20, 1 << 18])})
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    with pytest.raises(InputError, match="the source model does not run") as refused:
        consult_source(BuildRequest(model, tmp_path / "bundle"), workspace)
    assert refused.value.subject == str(model)


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the model, or beside it, that this user may not read is the caller's to change; any other place is not."""
    package = tmp_path / "package"
    metadata = package / "locked-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "entry_points.txt").write_text("[edgekit.sources]\na-locked = locked_source:Locked\n")
    (package / "locked_source.py").write_text(
        "import errno\n"
        "class Locked:\n"
        "    def accepts(self, path):\n"
        "        return path.suffix == '.locked'\n"
        "    def load(self, path, workspace, options):\n"
        "        raise PermissionError(errno.EACCES, 'Permission denied', str(path.parent / path.read_text()))\n"
    )
    monkeypatch.syspath_prepend(str(package))
    model = tmp_path / "model.locked"
    for forbidden, kind in (("weights.bin", InputError), ("/elsewhere", PermissionError)):
        model.write_text(forbidden)
        with pytest.raises(kind, match=forbidden):
            load_source(model, tmp_path, SourceOptions())
