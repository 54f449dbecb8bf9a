"""OpenVINO IR as a target: in single or half precision, and in integers by NNCF."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit.artifacts import Artifact
from edgekit.conversion import HUB, Order, SourceModel
from edgekit.errors import ConversionError
from edgekit.runtimes.openvino_file import check_openvino
from edgekit.runtimes.packages import summarize
from edgekit_converters.artifact_files import describe_files
from edgekit_converters.calibrating import require_calibration
from edgekit_converters.openvino_quantising import compress_weights, measure_weights, quantise
from edgekit_converters.openvino_reading import bind, fix_sizes, read_graph
from edgekit_converters.packages import find_missing, list_versions

_log = logging.getLogger(__name__)

_PACKAGES = ("openvino", "nncf")
_FILE = "model.xml"
_WEIGHTS = "model.bin"
_IR = "openvino"
#: More than a disk has left when writing to it has failed, and next to nothing otherwise.
_PROBE_BYTES = 1 << 16
#: From so many weights in matrix products on, reading them takes longer than the arithmetic: 4 MiB of float32.
_MANY_WEIGHTS = 1 << 20
#: In which numbers a file is, by the type of its weights.
_STORED = {"f32": "fp32", "f16": "fp16", "i8": "int8", "u8": "int8", "i4": "int4", "u4": "int4"}


class OpenVINOTarget:
    """Makes OpenVINO IR. The tensors at its borders are the source's own."""

    format = "openvino"
    precisions: tuple[str, ...] = ("fp32", "fp16", "int8", "int8-dynamic", "int8-weights", "int4-weights")
    refusals: Mapping[str, str] = {
        "bf16": "In OpenVINO bf16 is a hint to the runtime (INFERENCE_PRECISION_HINT=bf16), which any fp32 variant takes, and no kind of file.",
    }

    def find_obstacle(self) -> str | None:
        """Which packages are missing; None where all are here."""
        return find_missing(*_PACKAGES)

    def list_tools(self) -> dict[str, str]:
        """The versions of OpenVINO and NNCF."""
        return list_versions(*_PACKAGES)

    def suggest_precisions(self, source: SourceModel) -> tuple[str, ...]:
        """fp32 and int8; where most of many weights are in matrix products, as in a transformer, integers without calibration too."""
        usual = ("fp32", "int8")
        if self.find_obstacle() is not None:
            return usual
        try:
            products, total = measure_weights(_read(source))
        except ConversionError as error:
            # When the first variant is made the reason is told with its name.
            _log.debug("no precision is suggested beyond the usual: %s", error)
            return usual
        return (*usual, "int8-dynamic", "int8-weights") if products >= max(_MANY_WEIGHTS, total / 2) else usual

    def convert(self, source: SourceModel, order: Order, directory: Path) -> Artifact:
        """Write ``model.xml`` and ``model.bin`` into *directory*; raises as TargetConverter.convert says."""
        if _is_kept(source, order):
            return _copy(source, directory)
        model = _read(source)
        fix_sizes(model, source, order)
        inputs, outputs = bind(model, source)
        model = _change_numbers(model, source, order)
        _name_operators(model)
        _write(model, directory / _FILE, half=order.precision.number == "fp16")
        return Artifact(format=self.format, files=describe_files(directory, _FILE, _WEIGHTS), inputs=inputs, outputs=outputs)


def _read(source: SourceModel) -> Any:
    """The graph of *source*, from the first of its forms that OpenVINO can express.

    Raises:
        ConversionError: it has no such form, or OpenVINO can express none; the message is that of the last.
    """
    *first, last = _list_forms(source)
    for form in first:
        try:
            return read_graph(source, form)
        except ConversionError as error:
            _log.warning("%s, so OpenVINO starts from %s", error.problem, last)
    return read_graph(source, last)


def _list_forms(source: SourceModel) -> list[str]:
    """The forms to start from: the source's own IR; for TFLite the file itself and then the hub; else the hub.

    From a TFLite file OpenVINO comes to the same answers as from the hub that was made of it. Of ten models that were tried
    five are in int8: three of them differ from LiteRT by a step or two either way, and two residual networks, in which
    OpenVINO adds in other steps, by 0.7 % of the range on average. So the shorter way is taken.
    """
    names = (_IR, "tflite", HUB) if source.artifact.format == "tflite" else (_IR, HUB)
    source.find_form(*names)
    return [name for name in names if name in source.forms]


def _is_kept(source: SourceModel, order: Order) -> bool:
    """Whether the source is IR in the very numbers that are ordered, and in shapes that the devices take."""
    if _IR not in source.forms or (order.profile is not None and order.profile.fixed_shapes):
        return False
    stored = "int8" if source.precision == "int8" else _STORED.get(check_openvino(source.forms[_IR]).weights)
    return stored == order.precision.number


def _copy(source: SourceModel, directory: Path) -> Artifact:
    """The source's own two files."""
    given = source.find_form(_IR)
    for name, file in ((_FILE, given), (_WEIGHTS, given.with_suffix(".bin"))):
        shutil.copyfile(file, directory / name)
    return Artifact(format=_IR, files=describe_files(directory, _FILE, _WEIGHTS), inputs=source.artifact.inputs, outputs=source.artifact.outputs)


def _change_numbers(model: Any, source: SourceModel, order: Order) -> Any:
    """*model* in the precision that is ordered; half precision is a matter of writing it."""
    precision = order.precision
    if precision.number in (source.precision, "fp16"):
        return model
    if precision.scheme == "static":
        return quantise(model, source, require_calibration(_IR, order))
    return compress_weights(model, precision)


def _name_operators(model: Any) -> None:
    """Number the operators, so that equal models give equal bytes: OpenVINO numbers them by a counter of the process."""
    for index, operator in enumerate(model.get_ordered_ops()):
        if operator.get_type_name() not in ("Parameter", "Result"):
            operator.set_friendly_name(f"{operator.get_type_name()}_{index}")


def _write(model: Any, path: Path, *, half: bool) -> None:
    """Write *model* to *path* with its weights beside it, stored in *half* precision or as they are.

    Raises:
        OSError: the disk is full, of which OpenVINO says only that its stream failed.
    """
    import openvino

    try:
        openvino.save_model(model, path, compress_to_fp16=half)
    except RuntimeError as error:
        probe = path.with_suffix(".probe")
        probe.write_bytes(bytes(_PROBE_BYTES))
        probe.unlink()
        raise ConversionError("openvino", f"OpenVINO cannot write it: {summarize(error)}", "Leave this format out with --to.") from error
