"""The same small model, y = W x + b, for every runtime."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edgekit.runtimes.base import Runtime
from edgekit.runtimes.litert import LiteRT, TFLiteRuntime
from edgekit.runtimes.memory import MemoryModel, MemoryRuntime
from edgekit.runtimes.onnx_runtime import OnnxRuntime
from edgekit.runtimes.openvino_runtime import OpenVINORuntime
from edgekit.tensors import TensorSpec

DATA = Path(__file__).with_name("data")
WEIGHTS = np.array([[1, 2, 3], [-1, 0, 1]], np.float32)
BIAS = np.array([0.5, -0.5], np.float32)


@dataclass(frozen=True)
class Case:
    """A runtime with its copy of the model; *engine* is the attribute of a session that holds the runtime's own object."""

    runtime: Runtime
    path: Path
    engine: str = ""

    def answer(self, x: np.ndarray) -> np.ndarray:
        """What the model must give for *x* of shape (batch, 3)."""
        return x @ WEIGHTS.T + BIAS


def _copy(name: str, directory: Path) -> Path:
    path = directory / name
    path.write_bytes((DATA / name).read_bytes())
    return path


def _prepare_memory(directory: Path) -> Case:
    path = directory / "affine.memory"
    inputs = (TensorSpec(name="x", dtype="float32", shape=("batch", 3)),)
    outputs = (TensorSpec(name="y", dtype="float32", shape=("batch", 2)),)
    buffer = np.zeros((64, 2), np.float32)

    def affine(arrays):
        # One buffer for every answer, as runtimes have: the session must not hand it out.
        answer = buffer[: len(arrays[0])]
        np.add(arrays[0] @ WEIGHTS.T, BIAS, out=answer)
        return [answer]

    return Case(MemoryRuntime({path: MemoryModel(inputs, outputs, affine)}), path)


def _prepare_openvino(directory: Path) -> Case:
    import openvino
    from openvino import opset13 as operators

    x = operators.parameter([-1, 3], np.float32, name="x")
    x.output(0).set_names({"x"})
    y = operators.add(operators.matmul(x, operators.constant(WEIGHTS), transpose_a=False, transpose_b=True), operators.constant(BIAS))
    y.output(0).set_names({"y"})
    openvino.save_model(openvino.Model([y], [x], "affine"), directory / "affine.xml", compress_to_fp16=False)
    return Case(OpenVINORuntime(), directory / "affine.xml", "_request")


CASES: dict[str, Callable[[Path], Case]] = {
    "memory": _prepare_memory,
    "onnxruntime": lambda directory: Case(OnnxRuntime(), _copy("affine.onnx", directory), "_session"),
    "litert": lambda directory: Case(LiteRT(), _copy("affine.tflite", directory), "_interpreter"),
    "tflite-runtime": lambda directory: Case(TFLiteRuntime(), _copy("affine.tflite", directory), "_interpreter"),
    "openvino": _prepare_openvino,
}
#: The package of each runtime that is not always here.
PACKAGES = {"onnxruntime": OnnxRuntime, "litert": LiteRT, "tflite-runtime": TFLiteRuntime, "openvino": OpenVINORuntime}
#: It cannot live beside LiteRT, so it has an environment and a run of its own.
MARKS = {"tflite-runtime": (pytest.mark.heavy, pytest.mark.tflite_runtime)}


def _list_parameters(names) -> list:
    return [pytest.param(name, marks=MARKS.get(name, ())) for name in names]


@pytest.fixture(params=_list_parameters(CASES))
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    """Each runtime in turn, with the model in its format."""
    return _prepare(request.param, tmp_path)


@pytest.fixture(params=_list_parameters(PACKAGES))
def file_case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    """Each runtime that reads files."""
    return _prepare(request.param, tmp_path)


def _prepare(name: str, directory: Path) -> Case:
    if name in PACKAGES and PACKAGES[name]().find_version() is None:
        pytest.skip(f"{name} is not installed in this environment")
    return CASES[name](directory)
