"""Small ONNX models, made where they are needed, and variants of them run as a device runs them."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.arrays import Arrays
from edgekit.artifacts import Artifact
from edgekit.conversion import Calibration, Order, SourceModel, SourceOptions, TargetConverter
from edgekit.environments import ensure_environment, find_obstacle
from edgekit.errors import DeviceError, TransferError
from edgekit.precisions import find_precision
from edgekit.runtimes.registry import find_runtime
from edgekit.runtimes.sessions import open_session
from edgekit_converters.environments import ONNX2TF, TENSORFLOW
from edgekit_converters.onnx_source import OnnxSource

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits"
FASHION = ROOT.parent / "shared" / "models" / "fashion-mnist"

Shape = list[int | str]


def _make_model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, Shape],
    outputs: dict[str, Shape],
    weights: Arrays | None = None,
    opset: int = 17,
    dtype: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 9
    return model


@pytest.fixture(scope="session")
def make_model() -> Callable[..., onnx.ModelProto]:
    """A model of nodes, with named shapes of inputs and outputs, and weights."""
    return _make_model


@pytest.fixture(scope="session")
def make_conv() -> Callable[..., onnx.ModelProto]:
    """A model of two convolutions; *classes* puts a classifier behind them, else a map of features comes out."""

    def make(name: str = "image", channels: int = 3, size: int = 8, batch: int | str = "batch", classes: int | None = None) -> onnx.ModelProto:
        rng = np.random.default_rng(1)
        weights = {
            "first": rng.normal(0, 0.3, (8, channels, 3, 3)).astype(np.float32),
            "second": rng.normal(0, 0.2, (8, 8, 3, 3)).astype(np.float32),
            "bias": rng.normal(0, 0.1, 8).astype(np.float32),
        }
        nodes = [
            helper.make_node("Conv", [name, "first", "bias"], ["a"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("Conv", ["b", "second"], ["features"], pads=[1, 1, 1, 1]),
        ]
        outputs: dict[str, Shape] = {"features": [batch, 8, size, size]}
        if classes is not None:
            weights["dense"] = rng.normal(0, 0.3, (8, classes)).astype(np.float32)
            nodes += [
                helper.make_node("GlobalAveragePool", ["features"], ["pooled"]),
                helper.make_node("Flatten", ["pooled"], ["flat"]),
                helper.make_node("MatMul", ["flat", "dense"], ["scores"]),
            ]
            outputs = {"scores": [batch, classes]}
        return _make_model(nodes, {name: [batch, channels, size, size]}, outputs, weights)

    return make


@pytest.fixture(scope="session")
def make_dense() -> Callable[..., onnx.ModelProto]:
    """A model as transformers are built: an embedding of token numbers, dense layers beside a skip connection, a classifier."""

    def make(width: int = 64, tokens: int = 100, opset: int = 17) -> onnx.ModelProto:
        rng = np.random.default_rng(2)
        weights = {
            "table": rng.normal(0, 1, (tokens, width)).astype(np.float32),
            "up": rng.normal(0, 0.1, (width, 2 * width)).astype(np.float32),
            "down": rng.normal(0, 0.1, (2 * width, width)).astype(np.float32),
            "head": rng.normal(0, 0.3, (32, width)).astype(np.float32),
            "bias": rng.normal(0, 0.1, 32).astype(np.float32),
        }
        nodes = [
            helper.make_node("Gather", ["table", "tokens"], ["embedded"]),
            helper.make_node("MatMul", ["embedded", "up"], ["wide"]),
            helper.make_node("Relu", ["wide"], ["active"]),
            helper.make_node("MatMul", ["active", "down"], ["narrow"]),
            helper.make_node("Add", ["embedded", "narrow"], ["sum"]),
            helper.make_node("ReduceMean", ["sum"], ["mean"], axes=[1], keepdims=0),
            helper.make_node("Gemm", ["mean", "head", "bias"], ["scores"], transB=1),
        ]
        model = _make_model(nodes, {"tokens": ["batch", 8]}, {"scores": ["batch", 32]}, weights, opset)
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
        return model

    return make


@pytest.fixture
def read(tmp_path: Path) -> Callable[[onnx.ModelProto | Path], SourceModel]:
    """A model, or the file of one, as a source."""

    def read_source(model: onnx.ModelProto | Path) -> SourceModel:
        path = model if isinstance(model, Path) else tmp_path / "given.onnx"
        if not isinstance(model, Path):
            onnx.save(model, path)
        workspace = tmp_path / "workspace"
        workspace.mkdir(exist_ok=True)
        return OnnxSource().load(path, workspace, SourceOptions())

    return read_source


@pytest.fixture
def make_variant(tmp_path: Path) -> Callable[..., tuple[Artifact, Path]]:
    """What a target makes of a source, and the directory that it is in."""

    def make(target: TargetConverter, source: SourceModel, precision: str = "fp32", calibration: Calibration | None = None) -> tuple[Artifact, Path]:
        directory = tmp_path / f"{target.format}-{precision}-{len(list(tmp_path.iterdir()))}"
        directory.mkdir()
        return target.convert(source, Order(find_precision(precision), calibration), directory), directory

    return make


@pytest.fixture
def answer(tmp_path: Path) -> Callable[..., Arrays]:
    """The answers of a variant to *inputs* through the runtime that a device would use; the source's own without one."""

    def run(source: SourceModel, inputs: Arrays, artifact: Artifact | None = None, directory: Path | None = None) -> Arrays:
        if artifact is None or directory is None:
            native = find_runtime("onnx").open(source.path, 1)
            outputs = native.run([inputs[spec.name] for spec in native.inputs])
            return {spec.name: array for spec, array in zip(native.outputs, outputs, strict=True)}
        path = directory / artifact.files[0].path
        with open_session(path, artifact, source.inputs, source.outputs, find_runtime(artifact.format)) as session:
            return session.infer(inputs)

    return run


@pytest.fixture(scope="session")
def digits() -> tuple[Path, Calibration, Arrays]:
    """The digits example: its model, its calibration data, and its evaluation data."""
    with np.load(DIGITS / "calibration.npz") as calibration, np.load(DIGITS / "evaluation.npz") as evaluation:
        return DIGITS / "digits.onnx", Calibration(dict(calibration)), dict(evaluation)


@pytest.fixture(scope="session")
def fashion() -> tuple[Path, Calibration, Arrays]:
    """A model of Fashion-MNIST with real weights, with calibration and evaluation data."""
    if not FASHION.is_dir():
        pytest.skip(f"the models for tests are not here: {FASHION}")
    with np.load(FASHION / "fashion_5000train_1000test.npz") as data:
        images = {name: ((data[name] / 255 - 0.286) / 0.353).astype(np.float32)[:, None] for name in ("x_train", "x_test")}
        evaluation = {"input": images["x_test"], "labels": data["y_test"]}
    return FASHION / "fashion_cnn.onnx", Calibration({"input": images["x_train"][:200]}), evaluation


@pytest.fixture(scope="session")
def onnx2tf() -> None:
    """The environment of onnx2tf, made if it is not here."""
    obstacle = find_obstacle(ONNX2TF)
    if obstacle is not None:
        pytest.skip(obstacle)
    try:
        ensure_environment(ONNX2TF)
    except (DeviceError, TransferError) as error:
        pytest.skip(str(error))


@pytest.fixture
def change(tmp_path: Path) -> Callable[[Path, Callable[[Any], None]], Path]:
    """A TFLite file with something changed in its tree of objects."""

    def change_file(path: Path, edit: Callable[[Any], None]) -> Path:
        from ai_edge_litert.tools import flatbuffer_utils

        model = flatbuffer_utils.read_model(str(path))
        edit(model)
        changed = tmp_path / "changed.tflite"
        changed.write_bytes(bytes(flatbuffer_utils.convert_object_to_bytearray(model)))
        return changed

    return change_file


@pytest.fixture(scope="session")
def tensorflow() -> Path:
    """The Python of the environment of TensorFlow, made if it is not here."""
    obstacle = find_obstacle(TENSORFLOW)
    if obstacle is not None:
        pytest.skip(obstacle)
    try:
        return ensure_environment(TENSORFLOW)
    except (DeviceError, TransferError) as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def tensorflow_models(tensorflow: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with small Keras models and SavedModels, made by TensorFlow here."""
    directory = tmp_path_factory.mktemp("tensorflow")
    script = Path(__file__).with_name("data") / "make_tensorflow_models.py"
    subprocess.run([tensorflow, "-I", script, directory], check=True, capture_output=True, timeout=300)
    return directory
