"""The hub: the ONNX file from which most targets are made, whatever the source was.

The file is read in a process of its own, since it may come from anybody (edgekit_converters.confining). There it becomes what
the user asks for at its border, and the passes run that keep its answers and names (edgekit_converters.onnx_tidying). Passes
of other packages come last and in this process, in the order of their names, on a file that was checked; what they make is
read as anybody's again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edgekit.artifacts import Artifact, bind_identically
from edgekit.conversion import HUB, SourceOptions
from edgekit.errors import ConversionError, DeviceError, InputError
from edgekit.measuring_frames import Refused
from edgekit.plugins import PASSES, find_plugins, load_plugin
from edgekit.tensors import TensorSpec
from edgekit_converters.artifact_files import describe_files
from edgekit_converters.confining import run_confined
from edgekit_converters.onnx_hub_records import HubReply, HubReport, HubRequest
from edgekit_converters.packages import find_missing, list_versions
from edgekit_converters.reading_limits import limit_reading

_WORKER = "edgekit_converters.onnx_hub_worker"
#: By the clock, for a file system that never answers; what is done with the file is bounded in processor time.
_DEADLINE_S = 3600.0
_LEAVE_OUT = "Correct it, or uninstall the package that it comes with."


@dataclass(frozen=True)
class Hub:
    """An ONNX file at *path* that passed onnx's checker, with its inputs and outputs all of whose sizes have a value or a name.

    *artifact* is the file as ONNX Runtime runs it. *precision* is the number format that the model came in (``int8`` where
    it is quantised already), and *tools* has the packages that took part, with the passes that changed something.
    """

    path: Path
    artifact: Artifact
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    precision: str
    tools: Mapping[str, str]


def make_hub(file: Path, workspace: Path, options: SourceOptions, subject: Path | None = None) -> Hub:
    """The hub of the ONNX model in *file*, written into *workspace* under the same name.

    *subject* is what the user brought, where *file* is only what was exported of it; errors name it.

    Raises:
        InputError: it is damaged, not ONNX, hostile, has operators that no runtime here has, or options do not fit it.
        ConversionError: a pass of another package failed.
        DeviceError: onnx, which reads it, is not installed here.
    """
    named = str(subject or file)
    missing = find_missing("onnx")
    if missing is not None:
        raise DeviceError(named, f"it cannot be read: {missing}")
    hub = workspace / f"{file.stem}.onnx"
    report = _read(file, hub, named, options)
    changed = [*report.passes, *(name for name in find_plugins(PASSES) if _run_plugin(name, hub, report))]
    artifact = Artifact(
        format=HUB,
        files=describe_files(workspace, hub.name),
        inputs=bind_identically(report.inputs),
        outputs=bind_identically(report.outputs),
    )
    tools = list_versions("onnx") | ({"passes": ", ".join(changed)} if changed else {})
    return Hub(hub, artifact, report.inputs, report.outputs, report.precision, tools)


def _run_plugin(name: str, hub: Path, before: HubReport) -> bool:
    """Run the pass *name* of another package over the file *hub*, whose borders must stay; whether it changed anything."""
    import onnx

    subject = f"pass {name!r}"
    plugin = load_plugin(PASSES, name)
    try:
        result = plugin().run(onnx.load(hub))
        changed, data = bool(result.modified), result.model.SerializeToString(deterministic=True)
    except Exception as error:
        # It is another package's code, which raises what it likes.
        raise ConversionError(subject, f"it failed: {type(error).__name__}: {error}", _LEAVE_OUT) from error
    if not changed:
        return False
    hub.write_bytes(data)
    try:
        after = _read(hub, hub, subject, SourceOptions())
    except InputError as error:
        raise ConversionError(subject, f"what it made is not sound: {error.problem}", _LEAVE_OUT) from error
    if _say_border(after) != _say_border(before):
        raise ConversionError(subject, f"it made {_say_border(after)} of {_say_border(before)}", _LEAVE_OUT)
    return True


def _say_border(report: HubReport) -> str:
    return f"({', '.join(map(str, report.inputs))}) -> ({', '.join(map(str, report.outputs))})"


def _read(file: Path, hub: Path, subject: str, options: SourceOptions) -> HubReport:
    request = HubRequest(
        path=str(file.absolute()),
        hub=str(hub.absolute()),
        subject=subject,
        shapes=dict(options.shapes),
        dtypes=dict(options.dtypes),
        layouts=dict(options.layouts),
    )
    limits = limit_reading(file.stat().st_size if file.is_file() else 0)
    reply = _decode(run_confined(_WORKER, request.encode(), subject, limits, _DEADLINE_S))
    if isinstance(reply, Refused):
        raise reply.to_error()
    return reply


def _decode(data: bytes) -> HubReply:
    reply: HubReply = msgspec.json.decode(data, type=HubReply)
    return reply
