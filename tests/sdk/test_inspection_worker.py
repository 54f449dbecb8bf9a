"""The process that describes a model for another one."""

import json
from pathlib import Path

import pytest

from edgekit import inspection_worker
from edgekit.inspection_worker import answer, main

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits.onnx"


def test_a_refusal_is_an_answer(tmp_path):
    """What is no model is refused in the answer, with the file's name."""
    (tmp_path / "text.onnx").write_text("not a model")
    refused = answer(tmp_path / "text.onnx")["refused"]
    assert (refused["kind"], refused["subject"]) == ("InputError", str(tmp_path / "text.onnx"))


def test_request_and_response_are_files(tmp_path, monkeypatch):
    """The request names a model, the response has its description, and memory is bounded before the model is read."""
    pytest.importorskip("onnx")
    bounds = []
    monkeypatch.setattr(inspection_worker, "bound_memory", bounds.append)
    (tmp_path / "request").write_text(json.dumps({"path": str(DIGITS)}))
    monkeypatch.setattr("sys.argv", ["inspection_worker.py", str(tmp_path / "request"), str(tmp_path / "response")])
    main()
    assert json.loads((tmp_path / "response").read_text())["result"]["description"]["format"] == "onnx"
    assert len(bounds) == 1
    assert bounds[0] > 0
