"""The script in the environment of TensorFlow: a request in, a response out, whatever happens between."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit_converters.environments import TENSORFLOW_SCRIPT

#: What there is of tf2onnx beside its converters.
TF2ONNX = "class graph:\n    class Node: pass\n"
LIMITS = {"memory": 4 << 30, "file": 1 << 20}


def ask(directory: Path, packages: dict[str, str], request: dict[str, object]) -> dict[str, object]:
    """The script's response where the environment has *packages*, each of which is a program."""
    for name, program in packages.items():
        (directory / f"{name}.py").write_text(program)
    (directory / "request.json").write_text(json.dumps(LIMITS | request))
    command = [sys.executable, str(TENSORFLOW_SCRIPT), str(directory / "request.json"), str(directory / "response.json")]
    subprocess.run(command, env={"PYTHONPATH": str(directory)}, check=True, timeout=60)
    response: dict[str, object] = json.loads((directory / "response.json").read_text())
    return response


KERAS = "class models:\n    def load_model(path, compile, safe_mode): raise {error}\n__version__ = '{version}'\n"


def test_both_refusals_of_keras_are_told(tmp_path) -> None:
    """Where neither Keras 3 nor tf_keras reads a file, both reasons come back."""
    packages = {
        "keras": KERAS.format(error="ValueError('too old')", version="3"),
        "tf_keras": KERAS.format(error="OSError('too new')", version="2"),
    }
    response = ask(tmp_path, packages, {"task": "export", "kind": "keras", "path": "m.h5", "allow_code": False, "output": str(tmp_path)})
    assert response == {"error": "Keras 3 says: too old; tf_keras 2 says: too new"}


@pytest.mark.parametrize(
    ("program", "told"),
    [
        (TF2ONNX + "class convert:\n    def from_tflite(path, opset): raise KeyError('TFL_X')", "tf2onnx cannot convert it: 'TFL_X'"),
        (TF2ONNX + "class convert:\n    def from_tflite(path, opset): raise ValueError('\\x1b[1mx.py:1:1: error: no rule\\nnote: y')", "no rule"),
        ("raise ImportError('no numpy')", "tf2onnx cannot convert it: no numpy"),
    ],
)
def test_what_a_converter_raises_becomes_a_reason(program, told, tmp_path) -> None:
    """Whatever tf2onnx raises becomes an error in one plain line."""
    response = ask(tmp_path, {"tf2onnx": program}, {"task": "from-tflite", "path": "m", "output": "o", "shapes": {}, "dynamic": True})
    assert str(response["error"]).endswith(told)


def test_memory_and_files_are_bounded(tmp_path) -> None:
    """A tool that asks for more memory than it may have, or writes a larger file, fails with a reason."""
    memory = TF2ONNX + "class convert:\n    def from_tflite(path, opset): return bytearray(8 << 30)"
    request = {"task": "from-tflite", "path": "m", "output": "o", "shapes": {}, "dynamic": True}
    assert "MemoryError" in str(ask(tmp_path, {"tf2onnx": memory}, request)["error"])
    large = f"{TF2ONNX}class convert:\n    def from_tflite(path, opset): open({str(tmp_path / 'large')!r}, 'wb').write(bytes(2 << 20))"
    assert "File too large" in str(ask(tmp_path, {"tf2onnx": large}, request)["error"])


def test_an_unknown_fault_is_an_error(tmp_path) -> None:
    """What nobody thought of is answered with its kind and message, not with silence."""
    assert ask(tmp_path, {"h5py": "1 / 0"}, {"task": "inspect"}) == {"error": "ZeroDivisionError: division by zero"}
