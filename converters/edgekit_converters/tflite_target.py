"""TFLite as a target: a float file from the source's most direct form, and all other numbers from that by the LiteRT quantizer."""

from __future__ import annotations

import itertools
import logging
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from edgekit.artifacts import Artifact
from edgekit.conversion import HUB, Order, SourceModel
from edgekit.environments import Environment
from edgekit.errors import ConversionError, DeviceError, EdgekitError, TransferError
from edgekit_converters.artifact_files import describe_files
from edgekit_converters.calibrating import require_calibration
from edgekit_converters.environments import LITERT_TORCH, ONNX2TF
from edgekit_converters.muting import muted
from edgekit_converters.onnx_to_tflite import make_from_onnx
from edgekit_converters.packages import find_missing, list_versions
from edgekit_converters.tflite_bindings import BoundFile, MadeFile, bind_tensors, rebind_tensors
from edgekit_converters.tflite_graphs import fix_sizes
from edgekit_converters.tflite_quantising import change_numbers
from edgekit_converters.torch_to_tflite import make_from_torch

_PACKAGES = ("ai-edge-litert", "ai-edge-quantizer", "onnx", "onnxruntime", "onnxslim")
_OWN = "tflite"
_FILE = "model.tflite"
_log = logging.getLogger(__name__)


class TFLiteTarget:
    """Makes TFLite files with fixed shapes and the batch 1; a file that came in as TFLite keeps its own."""

    format = "tflite"
    precisions: tuple[str, ...] = ("fp32", "fp16", "int8", "int8-dynamic", "int8-weights", "int4-weights")
    refusals: Mapping[str, str] = {}

    def __init__(self) -> None:
        # What became of each source's float file, by the source's directory: every precision stands on the same one.
        self._made: dict[Path, BoundFile | ConversionError] = {}

    def find_obstacle(self) -> str | None:
        """Which packages are missing; None where all are here. An environment is made, or missed, by the source that needs it."""
        return find_missing(*_PACKAGES)

    def list_tools(self) -> dict[str, str]:
        """The versions of onnx2tf and litert-torch in their environments, and of LiteRT and its quantizer here."""
        made = {"onnx2tf": _find_pin(ONNX2TF, "onnx2tf"), "litert-torch": _find_pin(LITERT_TORCH, "litert-torch")}
        return made | list_versions("ai-edge-litert", "ai-edge-quantizer", "onnxslim")

    def suggest_precisions(self, source: SourceModel) -> tuple[str, ...]:  # noqa: ARG002 - the port gives it
        """fp32 and int8."""
        return ("fp32", "int8")

    def convert(self, source: SourceModel, order: Order, directory: Path) -> Artifact:
        """Write ``model.tflite`` into *directory*; raises as TargetConverter.convert says."""
        kept = order.precision.number == source.precision
        if not kept and order.precision.needs_calibration:
            require_calibration(self.format, order)
        float_file = self._find_float_file(source)
        target = directory / _FILE
        with muted():
            given = float_file.path.read_bytes()
            data = given if kept else change_numbers(float_file, source, order)
            if order.profile is not None and order.profile.fixed_shapes:
                data = fix_sizes(data)
            target.write_bytes(data)
            bound = float_file if data is given else rebind_tensors(float_file, target)
        return Artifact(format=self.format, files=describe_files(directory, _FILE), inputs=bound.inputs, outputs=bound.outputs)

    def _find_float_file(self, source: SourceModel) -> BoundFile:
        """The file of *source* that every precision stands on, made once; what hindered it is raised each time."""
        if source.directory not in self._made:
            try:
                self._made[source.directory] = _make_float_file(source)
            except ConversionError as error:
                self._made[source.directory] = error
        made = self._made[source.directory]
        if isinstance(made, ConversionError):
            raise made
        return made


def _find_pin(environment: Environment, package: str) -> str:
    locked = dict(line.split("==") for line in environment.lock.read_text(encoding="utf-8").splitlines() if "==" in line)
    return locked[package]


def _take_own(source: SourceModel, directory: Path) -> MadeFile:
    """The file that the source's own framework made, in *directory*; it has the source's names."""
    copy = directory / _FILE
    shutil.copyfile(source.find_form(_OWN), copy)
    return MadeFile(copy, {spec.name: spec.name for spec in (*source.inputs, *source.outputs)}, source.format)


#: How a float file is made of each form of a source, the most direct one first.
_MAKERS: dict[str, Callable[[SourceModel, Path], MadeFile]] = {_OWN: _take_own, "torch": make_from_torch, HUB: make_from_onnx}


def _make_float_file(source: SourceModel) -> BoundFile:
    """The float file of *source*: its own, or what the first tool makes of it that keeps its answers.

    Raises:
        ConversionError: no tool does; the message has each one's reason.
    """
    if source.artifact.format == _OWN:
        return BoundFile(source.path, source.artifact.inputs, source.artifact.outputs)
    forms = _list_forms(source)
    faults: list[EdgekitError] = []
    for form, following in itertools.zip_longest(forms, forms[1:]):
        try:
            return _make_of(form, source)
        except (ConversionError, DeviceError, TransferError) as error:
            # An environment that cannot be had now hinders this format alone: the build goes on without it.
            faults.append(error)
            if following is not None:
                _log.warning("TFLite is made of the source's %s, since of its %s it cannot be: %s", following, form, error)
    raise ConversionError(faults[-1].subject, "; ".join(one.problem for one in faults), faults[-1].remedy) from faults[-1]


def _list_forms(source: SourceModel) -> list[str]:
    """The forms of *source* to start from, the most direct one first; ConversionError where none will do."""
    forms = [form for form in _MAKERS if form in source.forms]
    if not forms:
        source.find_form(*_MAKERS)
    varying = _find_varying(source)
    if varying is None:
        return forms
    if _OWN not in forms:
        raise varying
    # Only the source's own framework leaves a size open.
    return [_OWN]


def _make_of(form: str, source: SourceModel) -> BoundFile:
    """The float file that is made of *form*, kept beside the source."""
    with tempfile.TemporaryDirectory(dir=source.directory, prefix="tflite-") as scratch:
        made = _MAKERS[form](source, Path(scratch))
        with muted():
            bound = bind_tensors(source, made)
        kept = source.directory / f"made-from-{form}.tflite"
        made.path.rename(kept)
    return BoundFile(kept, bound.inputs, bound.outputs)


def _find_varying(source: SourceModel) -> ConversionError | None:
    """The refusal of a size other than the batch that may vary: it cannot be guessed, and the tools make files with fixed shapes."""
    batches = {spec.shape[0] for spec in source.inputs if spec.shape}
    for spec in source.inputs:
        for size in spec.shape[1:]:
            if isinstance(size, str) and size not in batches:
                problem = f"its input {spec.name!r} has the size {size!r}, which may vary, and TFLite files are made with fixed shapes"
                return ConversionError("tflite", problem, f"Fix it, as with --shape {size}=128.")
    return None
