"""Nobody phones home: seen in a fresh process with a fresh home, as a device has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.runtimes.onnx_runtime import OnnxRuntime
from edgekit.runtimes.openvino_runtime import OpenVINORuntime

AFFINE = Path(__file__).parent / "runtimes" / "data" / "affine.onnx"


def run_at_home(home: Path, script: str) -> str:
    """What *script* prints in a process that knows of neither a continuous integration nor an opt-out."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")}
    home.mkdir()
    child = subprocess.run([sys.executable, "-c", script], env=kept | {"HOME": str(home)}, capture_output=True, text=True, check=True)
    return child.stdout.strip()


@pytest.mark.skipif(OnnxRuntime().find_version() is None, reason="onnxruntime is not installed in this environment")
def test_onnx_runtime_leaves_nothing_behind(tmp_path):
    """ONNX Runtime, loaded and run, makes no identifier of the device and no store of events, not even when used beside edgekit."""
    script = f"""
import edgekit, onnxruntime
onnxruntime.InferenceSession({str(AFFINE)!r}, providers=["CPUExecutionProvider"])
"""
    run_at_home(tmp_path / "home", script)
    assert list((tmp_path / "home").rglob("*")) == []


@pytest.mark.skipif(OpenVINORuntime().find_version() is None, reason="openvino is not installed in this environment")
def test_openvino_s_sender_is_never_loaded(tmp_path):
    """OpenVINO, converting a model, loads no part of the package that sends, and leaves nothing in the home."""
    script = f"""
import sys
import edgekit, openvino
openvino.convert_model({str(AFFINE)!r})
print([name for name, module in sys.modules.items() if name.startswith("openvino_telemetry") and module is not None])
"""
    assert run_at_home(tmp_path / "home", script) == "[]"
    assert list((tmp_path / "home").rglob("*")) == []


def test_processes_that_are_started_inherit_it():
    """A process started from here, such as a converter's own environment, is told not to send either."""
    script = "import os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "1"
