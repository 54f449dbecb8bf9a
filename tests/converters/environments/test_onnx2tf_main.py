"""The script in the environment of onnx2tf: a request in, a response out, whatever happens between."""

import json
import subprocess
import sys
from pathlib import Path

from edgekit_converters.environments import ONNX2TF_SCRIPT


def _ask(directory: Path, program: str, request: dict[str, object]) -> dict[str, object]:
    """The script's response with a package *onnx2tf* of which *program* is the whole."""
    (directory / "onnx2tf.py").write_text(program)
    (directory / "request.json").write_text(json.dumps(request))
    command = [sys.executable, str(ONNX2TF_SCRIPT), str(directory / "request.json"), str(directory / "response.json")]
    subprocess.run(command, env={"PYTHONPATH": str(directory)}, check=True, timeout=60)
    response: dict[str, object] = json.loads((directory / "response.json").read_text())
    return response


def test_float_file_is_the_result(tmp_path) -> None:
    """Of the files that onnx2tf writes the float32 one is the result, and it gets the request's model and inputs."""
    program = """
from pathlib import Path
def convert(input_onnx_file_path, output_folder_path, keep_shape_absolutely_input_names, **_):
    assert (input_onnx_file_path, keep_shape_absolutely_input_names) == ("given.onnx", ["image"])
    for name in ("given_float16.tflite", "given_float32.tflite", "schema.fbs"):
        (Path(output_folder_path) / name).touch()
"""
    response = _ask(tmp_path, program, {"model": "given.onnx", "output": str(tmp_path), "keep_shape": ["image"]})
    assert response == {"result": {"tflite": str(tmp_path / "given_float32.tflite")}}


def test_exit_is_an_error(tmp_path) -> None:
    """onnx2tf leaves by sys.exit where it fails; that becomes an error with its code."""
    response = _ask(tmp_path, "import sys\ndef convert(**_): sys.exit(3)\n", {"model": "m", "output": str(tmp_path), "keep_shape": []})
    assert response == {"error": "onnx2tf gave up with code 3"}


def test_exception_is_an_error(tmp_path) -> None:
    """An exception becomes an error with its kind and message."""
    program = "def convert(**_): raise NotImplementedError('no rule for Det')\n"
    response = _ask(tmp_path, program, {"model": "m", "output": str(tmp_path), "keep_shape": []})
    assert response == {"error": "NotImplementedError: no rule for Det"}
