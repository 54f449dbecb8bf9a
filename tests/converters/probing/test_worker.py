"""The worker's own parts; its probes are tested with the probers, in the process that they run in."""

import io
import json
import subprocess
import sys

import numpy as np

from edgekit_converters.probing import worker


def test_what_a_probe_raises_is_an_answer(tmp_path) -> None:
    """The runtime's error goes to the parent in its own words, and so does one that leaves the process."""
    np.savez(tmp_path / "inputs.npz")

    def fail(_job, _feeds):
        raise RuntimeError("no kernel")

    def leave(_job, _feeds):
        raise SystemExit(1)

    job = {"inputs": str(tmp_path / "inputs.npz")}
    assert worker.answer(fail, job) == {"error": "RuntimeError: no kernel"}
    assert worker.answer(leave, job) == {"error": "it gave up with code 1"}


def test_a_delegate_takes_what_lies_between_its_ends() -> None:
    """Of four operators in a row, those between what the delegate gets and what it gives are its own."""
    operators = [("MUL", [0], [3]), ("SUB", [3, 2], [4]), ("SQRT", [4], [5]), ("ATAN2", [5, 0], [1])]
    assert worker._find_between(operators, {0, 2}, {5}) == {0, 1, 2}


def test_what_a_runtime_prints_does_not_get_between_answers(tmp_path) -> None:
    """Only answers come out of the process, a line each, even for a job that cannot be done."""
    done = subprocess.run([sys.executable, worker.__file__, "litert"], input=b'{"inputs": "nowhere"}\n', capture_output=True, check=True, timeout=60)
    lines = io.BytesIO(done.stdout).readlines()
    assert len(lines) == 1
    assert "FileNotFoundError" in json.loads(lines[0])["error"]
