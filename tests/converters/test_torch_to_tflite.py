"""From PyTorch straight to TFLite."""

import subprocess
from dataclasses import replace

import numpy as np
import pytest
from onnx import helper

from edgekit.conversion import SourceModel
from edgekit.environments import OFFLINE, PLACE, ensure_environment, find_obstacle
from edgekit.errors import DeviceError, TransferError
from edgekit_converters.environments import LITERT_TORCH
from edgekit_converters.tflite_target import TFLiteTarget
from edgekit_converters.torch_to_tflite import make_from_torch

RNG = np.random.default_rng(6)
#: Two inputs of one shape and two outputs, the batch of any size; the weights come from a file, so that ONNX can have the same.
PROGRAM = """
import sys, numpy, torch
weights = {name: torch.from_numpy(array) for name, array in numpy.load(sys.argv[1]).items()}
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        for name, array in weights.items():
            self.register_buffer(name, array)
    def forward(self, left, right):
        hidden = torch.relu(left @ self.w)
        return hidden @ self.v, left - right
batch = torch.export.Dim("batch")
example = (torch.zeros(3, 4), torch.zeros(3, 4))
torch.export.save(torch.export.export(Model().eval(), example, dynamic_shapes=({0: batch}, {0: batch})), sys.argv[2])
"""


@pytest.fixture(scope="session")
def litert_torch():
    """The Python of litert-torch's environment, made if it is not here."""
    obstacle = find_obstacle(LITERT_TORCH)
    if obstacle is not None:
        pytest.skip(obstacle)
    try:
        return ensure_environment(LITERT_TORCH)
    except (DeviceError, TransferError) as error:
        pytest.skip(str(error))


@pytest.fixture
def twin(make_model, read) -> SourceModel:
    """The ONNX model that is the same as PROGRAM, as a source whose exported program cannot be read."""
    weights = {"w": RNG.normal(size=(4, 5)).astype(np.float32), "v": RNG.normal(size=(5, 3)).astype(np.float32)}
    nodes = [
        helper.make_node("MatMul", ["left", "w"], ["a"]),
        helper.make_node("Relu", ["a"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "v"], ["scores"]),
        helper.make_node("Sub", ["left", "right"], ["difference"]),
    ]
    shape = ["batch", 4]
    source = read(make_model(nodes, {"left": shape, "right": shape}, {"scores": ["batch", 3], "difference": shape}, weights))
    np.savez(source.directory / "weights.npz", **weights)
    broken = source.directory / "given.pt2"
    broken.write_bytes(b"PK")
    return replace(source, forms={**source.forms, "torch": broken})


def _export(python, source: SourceModel) -> SourceModel:
    program = source.directory / "exported.pt2"
    subprocess.run([python, "-I", "-c", PROGRAM, source.directory / "weights.npz", program], check=True, timeout=120)
    return replace(source, forms={"torch": program})


@pytest.mark.heavy
def test_program_becomes_tflite_without_onnx(litert_torch, twin, make_variant, answer) -> None:
    """An exported program becomes TFLite without an ONNX form, inputs and outputs in their order, in float and in int8 weights."""
    source = _export(litert_torch, twin)
    inputs = {name: RNG.normal(size=(3, 4)).astype(np.float32) for name in ("left", "right")}
    target = TFLiteTarget()
    wanted = answer(source, inputs)
    for precision, leeway in (("fp32", 1e-5), ("int8-weights", 0.2)):
        found = answer(source, inputs, *make_variant(target, source, precision))
        for name, array in wanted.items():
            np.testing.assert_allclose(found[name], array, atol=leeway)


@pytest.mark.heavy
@pytest.mark.usefixtures("litert_torch", "onnx2tf")
def test_failure_falls_back_to_onnx(twin, make_variant, answer, caplog) -> None:
    """Where litert-torch cannot read the program the file is made of ONNX, and the log says why."""
    artifact, directory = make_variant(TFLiteTarget(), twin)
    inputs = {name: RNG.normal(size=(2, 4)).astype(np.float32) for name in ("left", "right")}
    np.testing.assert_allclose(answer(twin, inputs, artifact, directory)["scores"], answer(twin, inputs)["scores"], atol=1e-5)
    assert "TFLite is made of the source's onnx, since of its torch it cannot be" in caplog.text
    assert "BadZipFile" in caplog.text


@pytest.mark.usefixtures("onnx2tf")
def test_missing_environment_falls_back_to_onnx(twin, make_variant, monkeypatch, caplog) -> None:
    """Offline, where litert-torch's environment is not there and onnx2tf's is, the file is made of ONNX."""
    monkeypatch.setenv(OFFLINE, "1")
    monkeypatch.setattr("edgekit_converters.torch_to_tflite.LITERT_TORCH", replace(LITERT_TORCH, name="not-there"))
    artifact, _ = make_variant(TFLiteTarget(), twin)
    assert artifact.size > 0
    assert "offline nothing may be fetched" in caplog.text


def test_missing_environment_is_named(twin, monkeypatch, tmp_path) -> None:
    """Without the environment the refusal names it and the command that makes it."""
    monkeypatch.setenv(PLACE, str(tmp_path))
    monkeypatch.setenv(OFFLINE, "1")
    with pytest.raises(DeviceError, match=r"'litert-torch'.*edgekit doctor --fix"):
        make_from_torch(twin, tmp_path)
