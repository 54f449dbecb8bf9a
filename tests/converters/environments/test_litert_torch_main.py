"""The script in the environment of litert-torch: what it refuses before it loads a program, and what it makes of failures."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edgekit_converters.environments import LITERT_TORCH_SCRIPT

#: A package torch whose load only says that it was called, and under which rule.
LOADED = """
import os
class export:
    @staticmethod
    def load(path):
        raise RuntimeError("loaded, " + os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"])
"""


def _ask(directory: Path, *entries: str) -> dict[str, object]:
    """The script's response to an archive with *entries*, where loading a program says whether whole pickles are forbidden."""
    (directory / "litert_torch.py").write_text("")
    (directory / "torch.py").write_text(LOADED)
    with zipfile.ZipFile(directory / "model.pt2", "w") as archive:
        for entry in entries:
            archive.writestr(entry, b"")
    request = {"model": str(directory / "model.pt2"), "output": str(directory), "inputs": []}
    (directory / "request.json").write_text(json.dumps(request))
    command = [sys.executable, str(LITERT_TORCH_SCRIPT), str(directory / "request.json"), str(directory / "response.json")]
    subprocess.run(command, env={"PYTHONPATH": str(directory), "PATH": os.environ["PATH"]}, check=True, timeout=60)
    response: dict[str, object] = json.loads((directory / "response.json").read_text())
    return response


@pytest.mark.parametrize("entry", ["model/data/constants/custom_obj_0", "model/data/constants/opaque_obj_3"])
def test_objects_that_are_code_are_refused(entry, tmp_path) -> None:
    """A program with an object that is brought back by running code of the file is refused before torch sees it."""
    response = _ask(tmp_path, "model/models/model.json", entry)
    assert response == {"error": f"ValueError: it holds {entry}, an object that is brought back by running code of the file"}


def test_pickles_are_forbidden_and_failures_told(tmp_path) -> None:
    """PyTorch is told never to bring back whole pickles, and what it raises becomes an error with its kind and message."""
    assert _ask(tmp_path, "model/models/model.json") == {"error": "RuntimeError: loaded, 1"}
