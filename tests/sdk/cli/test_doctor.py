import json
import sys

import pytest

from edgekit.cli.doctor import doctor
from edgekit.cli.main import run_command
from edgekit.environments import Environment

VERSION = sys.version_info[:2]


def run(*argv):
    with pytest.raises(SystemExit) as stop:
        run_command(doctor, list(argv), program="edgekit doctor")
    return stop.value.code


@pytest.fixture
def empty_environment(tmp_path, monkeypatch):
    """A managed environment of this Python without packages, not made yet: it needs no network."""
    lock = tmp_path / "tiny.lock"
    lock.write_text("")
    environment = Environment("tiny", VERSION, VERSION, lock, 12)
    monkeypatch.setenv("EDGEKIT_ENVIRONMENTS", str(tmp_path / "environments"))
    for module in ("environments", "diagnosis"):
        monkeypatch.setattr(f"edgekit.{module}.find_environments", lambda: {"tiny": environment})
    return environment


def test_this_machine_is_described(capsys):
    """The tables have the target, the Python, and for each format what runs it."""
    assert run() == 0
    printed = capsys.readouterr().out
    for expected in ("target", "Python", "edgekit", "onnxruntime ", "tflite", "openvino"):
        assert expected in printed


def test_json_is_the_diagnosis(capsys):
    """--json prints the diagnosis, and nothing else on stdout."""
    assert run("--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert {"target", "hardware", "formats", "environments", "problems"} <= set(record)
    assert next(one for one in record["formats"] if one["format"] == "onnx")["runtimes"]["onnxruntime"]


def test_without_a_runtime_it_fails_and_says_what_to_install(monkeypatch, capsys):
    """Where no format can be run the code is 2; what is missing is listed with the command that installs it."""
    for runtime in ("onnx_runtime:OnnxRuntime", "litert:LiteRT", "litert:TFLiteRuntime", "openvino_runtime:OpenVINORuntime"):
        module, name = runtime.split(":")
        monkeypatch.setattr(f"edgekit.runtimes.{module}.{name}.find_version", lambda self: None)
    assert run() == 2
    captured = capsys.readouterr()
    assert "pip install 'edgekit[onnx]'" in captured.out
    assert captured.err.startswith("error: this machine: it can run no format.")


def test_fix_makes_what_is_missing_and_says_so(empty_environment, capsys):
    """An environment that is not here is a problem that names --fix; --fix makes it, says its size first, and the problem is gone."""
    assert run() == 0
    assert "edgekit doctor --fix" in capsys.readouterr().out
    assert not empty_environment.is_ready
    assert run("--fix") == 0
    captured = capsys.readouterr()
    assert "12 MB" in captured.err
    assert "environment tiny" not in captured.out
    assert empty_environment.is_ready
    assert run("--fix") == 0
    assert "environment tiny: ready" in capsys.readouterr().err
