"""The inputs and outputs of a TFLite file as a source shows them: what the file says, and what one run of it shows.

A file may leave out the shapes of its outputs, and may say that its batch varies where an operator in it has the batch 1
written into it. So it is run, in a process of its own, with one sample and with two.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from msgspec.structs import replace

from edgekit.arrays import Arrays
from edgekit.artifacts import Artifact, bind_identically
from edgekit.errors import DeviceError, InputError
from edgekit.golden import synthesize_inputs
from edgekit.measuring import IsolatedSession, bound_worker
from edgekit.runtimes.registry import find_runtime
from edgekit.tensors import TensorSpec
from edgekit_converters.artifact_files import describe_files
from edgekit_converters.tflite_outline import Outline, describe_border

#: Seconds within which one answer must be there.
_DEADLINE_S = 120.0
#: The bytes of memory that the file may take, whatever its size, and how often its size besides.
_MEMORY, _COPIES = 4 << 30, 8
_BATCH = "batch"


def describe_tflite(path: Path, outline: Outline, subject: Path) -> Artifact:
    """The TFLite file at *path* as an artifact of itself; *subject* is what the user brought.

    Raises:
        InputError: the runtime cannot load or run it.
        DeviceError: no runtime for TFLite is installed here.
    """
    inputs, outputs = describe_border(outline, subject)
    answers = _try(path, subject, inputs, outputs, 1)
    batch = _find_batch(path, subject, inputs, outputs)
    inputs = tuple(_name_batch(spec, batch) for spec in inputs)
    outputs = tuple(_settle(spec, answers[spec.name].shape, batch) for spec in outputs)
    return _bind(path, inputs, outputs)


def _bind(path: Path, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> Artifact:
    return Artifact(format="tflite", files=describe_files(path.parent, path.name), inputs=bind_identically(inputs), outputs=bind_identically(outputs))


def _try(path: Path, subject: Path, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], batch: int) -> Arrays:
    """The answers to *batch* made-up samples, or to as many as the file takes; InputError where it cannot be run."""
    runtime = find_runtime("tflite").name
    given: Arrays = {}
    for spec in inputs:
        first = spec.shape[0] if spec.shape and isinstance(spec.shape[0], int) else batch
        samples = synthesize_inputs([spec], first, np.random.default_rng(0))[spec.name]
        given[spec.name] = samples if spec.shape else samples[0]
    artifact = _bind(path, inputs, outputs)
    command = bound_worker(_MEMORY + _COPIES * artifact.size)
    session = IsolatedSession(path, artifact, inputs, outputs, runtime, timeout_s=_DEADLINE_S, command=command)
    try:
        with session:
            return session.infer(given)
    except (InputError, DeviceError) as error:
        raise InputError(subject, f"it cannot be run: {error.problem}", "Fetch it or convert it again.") from error


def _find_batch(path: Path, subject: Path, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> str | int | None:
    """The name of the batch where it varies in truth, 1 where the file only says so, and None where it says that it is fixed."""
    if not all(spec.has_dynamic_batch for spec in inputs):
        return None
    try:
        answers = _try(path, subject, inputs, outputs, 2)
    except InputError:
        return 1
    return _BATCH if all(array.shape[:1] == (2,) for array in answers.values()) else 1


def _name_batch(spec: TensorSpec, batch: str | int | None) -> TensorSpec:
    return spec if batch is None else replace(spec, shape=(batch, *spec.shape[1:]))


def _settle(spec: TensorSpec, shape: tuple[int, ...], batch: str | int | None) -> TensorSpec:
    """*spec* with the sizes that an answer of *shape* shows where the file had none, and the batch by its name."""
    if len(spec.shape) != len(shape):
        spec = replace(spec, shape=shape)
    return _name_batch(spec, batch) if shape else spec
