"""Programs of TensorFlow as sources: exported in its environment to ONNX and TFLite, beside what the program itself answers.

Both are made at once, since starting TensorFlow takes longer than converting. Its own TFLite converter was held against
ONNX and onnx2tf on five models with real weights: same answers (4e-5 at most), sizes within 6 % and latencies within 10 %
of each other. It is taken because the batch may still vary in its file, and because it knows operators that ONNX's way
does not, such as fused recurrent layers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.arrays import read_arrays
from edgekit.artifacts import Artifact
from edgekit.conversion import HUB, SourceModel, SourceOptions
from edgekit.errors import ConversionError, InputError
from edgekit.golden import GoldenSamples, synthesize_inputs
from edgekit.tensors import TensorSpec
from edgekit_converters.onnx_hub import Hub, make_hub
from edgekit_converters.tensorflow_asking import ask_tensorflow, blaming, list_tensorflow_tools
from edgekit_converters.tflite_borders import describe_tflite
from edgekit_converters.tflite_outline import read_outline

#: Samples that the original framework answers, where the model takes any number.
_WITNESSES = 16
_TFLITE = "tflite"
UNREADABLE = "TensorFlow cannot read it"
_FIX = "If one of these sizes is at fault, fix it: --shape NAME=SIZES."
_EXPORT = "Export it to ONNX yourself, and give that file."


@dataclass(frozen=True)
class Program:
    """A model of TensorFlow at *path* in *files*. *details* go with every question about it."""

    format: str
    path: Path
    files: tuple[Path, ...]
    details: Mapping[str, Any]


@dataclass(frozen=True)
class _Main:
    """How the source is run here, with what every variant will show."""

    artifact: Artifact
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    tools: Mapping[str, str]


def export_program(program: Program, workspace: Path, options: SourceOptions, remedy: str) -> SourceModel:
    """*program* in every form that it can be exported to, in *workspace*.

    Raises:
        InputError: TensorFlow cannot read it; *remedy* is told.
        ConversionError: it can be exported to no form; the message has the reason of each.
        DeviceError, TransferError: the environment of TensorFlow is not here and cannot be made.
    """
    output = workspace / "exported"
    output.mkdir()
    with blaming(program.path, UNREADABLE, remedy):
        reply = ask_tensorflow("export", program.path, output=str(output), **program.details)
    made, absent = {form: Path(path) for form, path in reply["made"].items()}, dict(reply["faults"])
    hub = _make_hub(made.pop(HUB, None), workspace, options, program.path, absent)
    if hub is not None and (options.shapes or options.dtypes or options.layouts):
        # The hub alone shows what was asked for.
        made.pop(_TFLITE, None)
        absent[_TFLITE] = "it was exported before sizes, dtypes or layouts were changed"
    main = _choose_main(hub, made.get(_TFLITE), program, absent)
    return SourceModel(
        format=program.format,
        files=program.files,
        directory=workspace,
        artifact=main.artifact,
        inputs=main.inputs,
        outputs=main.outputs,
        forms=made if hub is None else made | {HUB: hub.path},
        absent=absent,
        tools=list_tensorflow_tools() | {"framework": reply["framework"], **main.tools},
        witness=None if options.dtypes or options.layouts else _ask_witness(program, main.inputs, workspace),
    )


def _make_hub(made: Path | None, workspace: Path, options: SourceOptions, path: Path, absent: dict[str, str]) -> Hub | None:
    """The hub of the ONNX file *made*; None where there is none, or it is not sound, with the reason in *absent*."""
    if made is None:
        return None
    try:
        return make_hub(made, workspace, options, path)
    except InputError as error:
        if options.shapes or options.dtypes or options.layouts:
            raise
        absent[HUB] = f"what tf2onnx made of it is not sound: {error.problem}"
        return None


def _choose_main(hub: Hub | None, tflite: Path | None, program: Program, absent: Mapping[str, str]) -> _Main:
    if hub is not None:
        return _Main(hub.artifact, hub.inputs, hub.outputs, hub.tools)
    if tflite is None:
        raise ConversionError(str(program.path), "; ".join(absent.values()), _EXPORT)
    artifact = describe_tflite(tflite, read_outline(tflite), program.path)
    inputs, outputs = ([binding.native for binding in bindings] for bindings in (artifact.inputs, artifact.outputs))
    return _Main(artifact, tuple(inputs), tuple(outputs), {})


def _ask_witness(program: Program, inputs: tuple[TensorSpec, ...], workspace: Path) -> GoldenSamples:
    """What the program itself answers to seeded inputs, as many as it takes at once."""
    fixed = [spec.shape[0] for spec in inputs if spec.shape and isinstance(spec.shape[0], int)]
    samples = synthesize_inputs(inputs, fixed[0] if fixed else _WITNESSES, np.random.default_rng(0))
    with tempfile.TemporaryDirectory(dir=workspace, prefix="witness-") as directory:
        given, answers = Path(directory) / "samples.npz", Path(directory) / "answers.npz"
        np.savez(given, **samples)  # type: ignore[arg-type]  # a tensor named "file" would be taken for the place
        with blaming(program.path, "it cannot be run on made-up inputs, where sizes that may vary are 1", _FIX):
            ask_tensorflow("answer", program.path, samples=str(given), answers=str(answers), **program.details)
        return GoldenSamples(samples, read_arrays(answers))
