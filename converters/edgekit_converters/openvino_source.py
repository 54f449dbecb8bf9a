"""OpenVINO IR as a source: a ``.xml`` with its ``.bin``, kept as it is or quantised, and made into nothing but OpenVINO."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from edgekit.artifacts import Artifact, bind_identically
from edgekit.conversion import SourceModel, SourceOptions
from edgekit.errors import DeviceError, InputError
from edgekit.measuring_frames import Refused
from edgekit.runtimes.openvino_file import Outline, check_openvino
from edgekit_converters.artifact_files import describe_files
from edgekit_converters.confining import Limits, run_confined
from edgekit_converters.openvino_worker import IRReply, IRReport, IRRequest
from edgekit_converters.packages import find_missing, list_versions

#: The form that OpenVINO's target starts from.
IR = "openvino"
_WORKER = "edgekit_converters.openvino_worker"
_FILE, _WEIGHTS = "model.xml", "model.bin"
_HEAD = 512
#: What OpenVINO takes for any model, in bytes of address space (560 MB were measured) and seconds.
_MEMORY, _SECONDS = 3 << 30, 20.0
#: What each byte of the weights adds: int4 becomes float32, which is eight times as long, and is held twice.
_COPIES, _RATE = 16, 1e7
#: How much longer than its processor time a child may take by the clock, on a machine that is busy.
_PATIENCE = 4
_ONE_WAY = "OpenVINO IR cannot be turned back into another format; give the model that it was made from"

#: What the weights' type says of the model: its number format, and the precisions to try where none is asked for.
# fmt: off
_NUMBERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "f32":  ("fp32", ()),
    "f64":  ("fp32", ()),
    # Half precision is how they are stored (save_model's default); they are computed with in single precision.
    "f16":  ("fp32", ("fp16", "int8")),
    "bf16": ("fp32", ()),
    "i8":   ("int8", ("int8-weights",)),
    "u8":   ("int8", ("int8-weights",)),
    "i4":   ("int4", ("int4-weights",)),
    "u4":   ("int4", ("int4-weights",)),
}
# fmt: on


class OpenVINOSource:
    """Reads OpenVINO IR, versions 10 and 11."""

    format = "openvino"

    def accepts(self, path: Path) -> bool:
        """Whether *path* is a file with the suffix ``.xml``, or one that begins as IR does."""
        if not path.is_file():
            return False
        if path.suffix.lower() == ".xml":
            return True
        with path.open("rb") as file:
            return b"<net " in file.read(_HEAD)

    def load(self, path: Path, workspace: Path, options: SourceOptions) -> SourceModel:
        """Check the IR at *path*, and copy it into *workspace*, where a process of its own reads it.

        Raises:
            InputError: it is damaged, hostile, or in numbers that edgekit has no name for.
            DeviceError: OpenVINO, which reads it, is not installed here.
        """
        missing = find_missing("openvino")
        if missing is not None:
            raise DeviceError(path, f"it cannot be read: {missing}")
        _check_options(options)
        options.check_untraced(path)
        outline = check_openvino(path)
        precision, suggested = find_numbers(outline, path)
        copy = _copy(path, workspace)
        report = _read(path, copy, options)
        artifact = Artifact(
            format=IR,
            files=describe_files(workspace, _FILE, _WEIGHTS),
            inputs=bind_identically(report.inputs),
            outputs=bind_identically(report.outputs),
        )
        return SourceModel(
            format=self.format,
            files=tuple(file for file in (path, path.with_suffix(".bin")) if file.is_file()),
            directory=workspace,
            artifact=artifact,
            inputs=report.inputs,
            outputs=report.outputs,
            forms={IR: copy},
            absent=dict.fromkeys(("onnx", "tflite", "torch"), _ONE_WAY),
            tools=list_versions("openvino"),
            precision=precision,
            suggested=suggested,
        )


def _check_options(options: SourceOptions) -> None:
    for option, given in (("--dtype", options.dtypes), ("--layout", options.layouts)):
        if given:
            raise InputError(
                option, "it rewrites ONNX, and this source is OpenVINO IR", "Set it when the IR is made: openvino.preprocess.PrePostProcessor."
            )


def find_numbers(outline: Outline, path: Path) -> tuple[str, tuple[str, ...]]:
    """The number format that a model came in, and the precisions to try where none is asked for.

    Ranges of activations are FakeQuantize; where only weights are integers there is none, and the runtime's option says
    whether it quantises activations at each inference.
    """
    if "FakeQuantize" in outline.layers:
        return "int8", ("int8",)
    if outline.weights not in _NUMBERS:
        problem = f"its weights are stored as {outline.weights}, which is no precision that edgekit knows"
        raise InputError(path, problem, "Give the float model that it was made from.")
    number, suggested = _NUMBERS[outline.weights]
    dynamic = outline.options.get("DYNAMIC_QUANTIZATION_GROUP_SIZE", "0") != "0"
    return (number, ("int8-dynamic",)) if number == "int8" and dynamic else (number, suggested)


def _copy(path: Path, workspace: Path) -> Path:
    """The two files under names of their own in *workspace*; a graph without weights gets an empty ``.bin``, as save_model gives it."""
    copy, weights = workspace / _FILE, path.with_suffix(".bin")
    shutil.copyfile(path, copy)
    if weights.is_file():
        shutil.copyfile(weights, workspace / _WEIGHTS)
    else:
        (workspace / _WEIGHTS).write_bytes(b"")
    return copy


def _read(path: Path, copy: Path, options: SourceOptions) -> IRReport:
    length = copy.with_suffix(".bin").stat().st_size + copy.stat().st_size
    limits = Limits(_MEMORY + _COPIES * length, _SECONDS + length / _RATE)
    request = IRRequest(path=str(copy.absolute()), shapes=dict(options.shapes))
    data = run_confined(_WORKER, request.encode(), str(path), limits, _PATIENCE * limits.seconds)
    reply: IRReply = msgspec.json.decode(data, type=IRReply)
    if not isinstance(reply, Refused):
        return reply
    error = reply.to_error()
    # The worker saw the copy; the user knows the file that was given.
    raise InputError(path, error.problem, error.remedy) if error.subject == str(copy.absolute()) else error
