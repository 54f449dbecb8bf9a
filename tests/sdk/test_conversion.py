"""What users say of a source beside its file, and who takes it."""

from pathlib import Path

import numpy as np
import pytest

from edgekit.conversion import SourceOptions
from edgekit.errors import InputError
from edgekit.plugins import SOURCES, load_plugin
from edgekit.tensors import TensorSpec

INPUTS = (TensorSpec(name="image", dtype="float32", shape=("batch", 3)),)


@pytest.mark.parametrize("options", [SourceOptions(), SourceOptions(shapes={"image": (1, 3)}, allow_code=True)])
def test_files_that_know_their_inputs_take_other_options(options: SourceOptions) -> None:
    """Options that do not describe inputs are no fault."""
    options.check_untraced(Path("model.onnx"))


@pytest.mark.workstation
@pytest.mark.parametrize("source", ["onnx", "keras", "saved-model", "tflite", "openvino"])
@pytest.mark.parametrize("option", ["--input", "--example"])
def test_inputs_are_not_described_to_files_that_know_them(source: str, option: str, tmp_path: Path) -> None:
    """What a PyTorch program is traced with is refused for every other source, and never left unused without a word."""
    np.savez(tmp_path / "example.npz", image=np.zeros((2, 3), np.float32))
    options = SourceOptions(inputs=INPUTS) if option == "--input" else SourceOptions(example=tmp_path / "example.npz")
    with pytest.raises(InputError, match=rf"model: its file says what it is called with, and {option} is for PyTorch .* Leave {option} out\."):
        load_plugin(SOURCES, source)().load(tmp_path / "model", tmp_path, options)
