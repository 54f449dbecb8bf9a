"""Exports of PyTorch models, made in a child process: torch never enters this one, and what it took is given back.

What the child is asked and answers, and the source model that is made of its files. A program is exported once, with
tensors as its inputs and outputs and one symbol for the batch of all of them; ONNX is made from that, and ``model.pt2``
is kept beside it for what starts from PyTorch directly.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from edgekit.arrays import Array, Arrays, read_arrays
from edgekit.conversion import HUB, SourceModel, SourceOptions
from edgekit.environments import run_tool
from edgekit.errors import ConversionError, DeviceError, InputError
from edgekit.golden import GoldenSamples
from edgekit.measuring_frames import Refused
from edgekit.records import Record
from edgekit.runtimes.packages import find_package_version
from edgekit.tensors import TensorSpec
from edgekit_converters.environments import TORCH_SCRIPT
from edgekit_converters.onnx_border import find_permutations
from edgekit_converters.onnx_hub import Hub, make_hub
from edgekit_converters.packages import list_versions

#: The form that litert-torch starts from: an exported program whose inputs and outputs are the source's, in their order.
TORCH = "torch"
Kind = Literal["program", "factory", "huggingface"]
#: Seconds that any export may take, and what each byte of weights adds.
_SECONDS, _RATE = 600.0, 1e6
_FOR_TRANSFORMERS = ("fp32", "int8", "int8-dynamic", "int8-weights")
_ELSEWHERE = "Export it to ONNX yourself, and give that file."


class ExportRequest(Record, frozen=True, kw_only=True):
    """Export *source*, which is a *kind* of model, into *directory*; *subject* is what errors call it.

    *search* has the directories that Python looks for the user's modules in. The rest is SourceOptions'.
    """

    kind: Kind
    subject: str
    source: str
    directory: str
    search: tuple[str, ...] = ()
    example: str | None = None
    inputs: tuple[TensorSpec, ...] = ()
    shapes: dict[str, tuple[int | None, ...]] = {}


class ExportReport(Record, frozen=True, kw_only=True):
    """The files of an export: *onnx*, the exported *program*, and *witness*, torch's own answers to some samples.

    *inputs* are those of the program, in its order. *samples* are inputs that golden samples should come from, where
    made-up ones would say little. *attends* says whether the model is a transformer. *files* are the user's own files
    that took part.
    """

    onnx: str
    program: str
    witness: str
    inputs: tuple[TensorSpec, ...]
    samples: str | None = None
    attends: bool = False
    files: tuple[str, ...] = ()


class ExportReply(Record, frozen=True, kw_only=True):
    """What the child answers: a report, or why there is none."""

    report: ExportReport | None = None
    refused: Refused | None = None


def require_packages(subject: str, *packages: str) -> None:
    """Refuse *subject* with the command to type where one of *packages* is not installed (DeviceError)."""
    missing = [package for package in packages if find_package_version(package) is None]
    if missing:
        problem = f"it is read with {', '.join(packages)}, and here is no {' and no '.join(missing)}"
        raise DeviceError(subject, problem, "Run: pip install 'edgekit[torch]'.")


def make_request(
    kind: Literal["program", "factory", "huggingface"], subject: Path, source: Path, workspace: Path, options: SourceOptions
) -> ExportRequest:
    """A request for *source*, with the user's *options*."""
    return ExportRequest(
        kind=kind,
        subject=str(subject),
        source=str(source),
        directory=str(workspace.absolute()),
        search=(str(Path.cwd()), *(str(Path(entry).absolute()) for entry in sys.path)),
        example=None if options.example is None else str(options.example.absolute()),
        inputs=options.inputs,
        shapes=dict(options.shapes),
    )


def export_source(format: str, request: ExportRequest, size: int, workspace: Path, options: SourceOptions) -> SourceModel:
    """The source model of what *request* asks for; *size* is that of its weights in bytes. The caller adds its *files*.

    Raises:
        InputError: the model cannot be read or exported; the message has torch's reason.
    """
    subject = Path(request.subject)
    report = _run(request, _SECONDS + size / _RATE)
    # Sizes are fixed already, where torch could still tell what the model does with them.
    hub = make_hub(Path(report.onnx), workspace, replace(options, shapes={}), subject)
    samples = None if report.samples is None else _as_given(read_arrays(Path(report.samples)), report, hub, options)
    witness = GoldenSamples.decode(Path(report.witness).read_bytes(), request.subject)
    witnessed = _as_given(witness.inputs, report, hub, options)
    unchanged = not (options.dtypes or options.layouts)
    return SourceModel(
        format=format,
        files=tuple(map(Path, report.files)),
        directory=workspace,
        artifact=hub.artifact,
        inputs=hub.inputs,
        outputs=hub.outputs,
        forms={HUB: hub.path} | ({TORCH: Path(report.program)} if unchanged else {}),
        absent={} if unchanged else {TORCH: "--dtype and --layout change what its ONNX file takes, and not the program"},
        tools=list_versions("torch", "onnxscript") | dict(hub.tools),
        precision=hub.precision,
        suggested=_FOR_TRANSFORMERS if report.attends else (),
        witness=None if witnessed is None else GoldenSamples(witnessed, witness.outputs),
        samples=samples,
    )


def _run(request: ExportRequest, deadline_s: float) -> ExportReport:
    try:
        result = run_tool(Path(sys.executable), TORCH_SCRIPT, msgspec.to_builtins(request), deadline_s)
    except ConversionError as error:
        raise InputError(request.subject, f"its export failed: {error.problem}", error.remedy or _ELSEWHERE) from error
    reply = msgspec.convert(result, ExportReply)
    if reply.report is None:
        raise reply.refused.to_error() if reply.refused else InputError(request.subject, "its export gave no answer", _ELSEWHERE)
    return reply.report


def _as_given(arrays: Arrays, report: ExportReport, hub: Hub, options: SourceOptions) -> Arrays | None:
    """*arrays*, which the program takes, as callers of the hub give them; None where another dtype cannot hold them."""
    orders = find_permutations(options.layouts, report.inputs, "--layout")
    given: dict[str, Array] = {}
    for spec in hub.inputs:
        own = np.transpose(arrays[spec.name], orders[spec.name]) if spec.name in orders else arrays[spec.name]
        given[spec.name] = own.astype(np.dtype(spec.dtype))
        if not np.array_equal(given[spec.name], own):
            return None
    return given
