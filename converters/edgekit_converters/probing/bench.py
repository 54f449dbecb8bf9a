"""What every prober does with a trial: hands it to a child process and holds the answer against what is right."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.arrays import Array, Arrays
from edgekit.operator_support import Judgement
from edgekit_converters.probing.child import Child
from edgekit_converters.probing.trials import Trial

WORKER = Path(__file__).with_name("worker.py")
_REASON_LENGTH = 160
#: Lines with which OpenVINO begins, whatever happened.
_EMPTY_WORDS = re.compile(
    r"(RuntimeError: )?(Exception from|Check '|FrontEnd API failed|Model wasn't fully converted|Summary:|While validating)|.* with a message:$"
)
_PATHS = re.compile(r"(/[\w.+-]+)+|0x[0-9a-f]+")
#: What runtimes say in every message: their own kind of error, the C++ function that failed, the name of a node that has none.
_PROLOGUES = re.compile(
    r"^\w+: \[ONNXRuntimeError\] : \d+ : \w+ : |…:\d+ [^()]*::[^()]*\([^()]*\)( \[with [^\]]*\])? |\w*…:\d+ |( node)? with name ''|Name:'' "
)
#: The numbers that OpenVINO gives to nodes, which differ from run to run, and the versions of operators, which stand elsewhere.
_NUMBERS = re.compile(r"(?<=[A-Za-z])(_\d{3,}\b|-\d+\b|\(-?\d+\))")


@dataclass(frozen=True)
class Observation:
    """What a runtime did: what the worker told, or its *error*, and how its answers are *wrong* where they are."""

    told: Mapping[str, Any]
    error: str = ""
    wrong: str = ""

    def list_steps(self, field: str = "executed") -> list[tuple[str, ...]]:
        """What was executed, each step with its particulars."""
        return [tuple(str(part) for part in step) for step in self.told.get(field, ())]


def make_child(python: Path | str, probe: str, deadline_s: float = 60.0) -> Child:
    """A child process that runs the worker's *probe* under *python*, apart from packages of the user's own."""
    return Child([str(python), "-I", str(WORKER), probe], deadline_s)


def write_trial(trial: Trial, directory: Path) -> dict[str, Any]:
    """Write *trial* into *directory*, emptied before, and return the job that a worker gets for it."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    model = directory / f"model{trial.suffix}"
    model.write_bytes(trial.encode())
    np.savez(directory / "inputs.npz", allow_pickle=False, **trial.inputs)
    return {
        "model": str(model),
        "inputs": str(directory / "inputs.npz"),
        "outputs": str(directory / "outputs.npz"),
        "names": list(trial.expected),
        "quantised": trial.form.is_quantised,
    }


def run_job(child: Child, job: Mapping[str, Any], trial: Trial, *, any_layout: bool = False) -> Observation:
    """Give *job* to *child*, and hold what comes out against what *trial* expects; in *any_layout* where the converter chooses one."""
    told = child.ask(job)
    if "error" in told:
        return Observation(told, error=shorten(told["error"]))
    with np.load(job["outputs"]) as arrays:
        return Observation(told, wrong=find_deviation(dict(arrays), trial, any_layout=any_layout))


def find_deviation(answers: Arrays, trial: Trial, *, any_layout: bool = False) -> str:
    """How *answers* are not those that *trial* expects; empty where they are."""
    for name, expected in trial.expected.items():
        if name not in answers:
            return f"it has no output {name!r}"
        shown = list(_lay_out(answers[name], expected)) if any_layout else [answers[name]]
        fitting = [one for one in shown if one.shape == expected.shape]
        if not fitting:
            return f"wrong answers: the shape is {list(answers[name].shape)}, and {list(expected.shape)} is right"
        if not trial.is_random and not any(_is_near(one, expected, trial) for one in fitting):
            return "wrong answers: other values"
    return ""


def _lay_out(answer: Array, expected: Array) -> Iterator[Array]:
    """*answer* as it is, and with its last axis, the channels of TFLite, as the second; a scalar may have come as one element."""
    if answer.squeeze().shape == expected.squeeze().shape:
        yield answer.reshape(expected.shape)
    if answer.ndim > 2:
        yield np.moveaxis(answer, -1, 1)


def _is_near(answer: Array, expected: Array, trial: Trial) -> bool:
    if expected.dtype.kind == "U" or answer.dtype.kind == "U":
        return bool(np.array_equal(answer.astype(str), expected.astype(str)))
    finite = np.abs(expected[np.isfinite(expected)].astype(np.float64)) if expected.dtype.kind == "f" else np.zeros(0)
    # Single precision adds up to a few units in the last place of the largest value, wherever the sum itself ends.
    atol = max(trial.atol, (1e-2 if expected.dtype == np.float16 else 1e-5) * float(finite.max(initial=0)))
    return bool(np.allclose(answer.astype(np.float64), expected.astype(np.float64), rtol=trial.rtol, atol=atol, equal_nan=True))


def judge(trial: Trial, observation: Observation, ran: Judgement) -> Judgement | None:
    """*ran* where the answers are right, else the refusal; None where nothing is proved: an older version may mean something else."""
    if observation.error:
        return Judgement(state="refused", reason=observation.error)
    if observation.wrong:
        return None if trial.is_restated else Judgement(state="refused", reason=observation.wrong)
    return ran


def shorten(text: str) -> str:
    """The telling line of a runtime's message: without paths, names of this one model and the runtime's own source lines."""
    plain = _NUMBERS.sub("", _PROLOGUES.sub("", _PATHS.sub("…", text)))
    lines = [line.strip(" -") for line in plain.splitlines()]
    telling = [line for line in lines if line and not _EMPTY_WORDS.match(line)]
    # OpenVINO lists what follows from the missing operator before the operator itself.
    missing = [line for line in telling if line.startswith("No conversion rule")]
    line = (missing or telling or [" ".join(lines)])[0]
    return line if len(line) <= _REASON_LENGTH else f"{line[:_REASON_LENGTH]}…"


def list_kinds(steps: Sequence[tuple[str, ...]]) -> str:
    """The names of *steps*, each once, in order, for a reason."""
    return ", ".join(dict.fromkeys(step[0] for step in steps))
