"""OpenVINO IR as a target: fp32 as it is, int8 by NNCF."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from edgekit.arrays import Array
from edgekit.artifacts import Artifact
from edgekit.conversion import HUB, Calibration, Order, SourceModel
from edgekit.errors import ConversionError
from edgekit.runtimes.packages import summarize
from edgekit.tensors import Binding, TensorSpec
from edgekit_converters.artifact_files import describe_files
from edgekit_converters.calibrating import require_calibration, stream_batches
from edgekit_converters.muting import muted
from edgekit_converters.packages import find_missing, list_versions

_PACKAGES = ("openvino", "nncf")
_FILE = "model.xml"
_WEIGHTS = "model.bin"
#: More than a disk has left when writing to it has failed, and next to nothing otherwise.
_PROBE_BYTES = 1 << 16


class OpenVINOTarget:
    """Makes OpenVINO IR. The tensors at its borders are the source's own."""

    format = "openvino"
    precisions: tuple[str, ...] = ("fp32", "int8")

    def find_obstacle(self) -> str | None:
        """Which packages are missing; None where all are here."""
        return find_missing(*_PACKAGES)

    def list_tools(self) -> dict[str, str]:
        """The versions of OpenVINO and NNCF."""
        return list_versions(*_PACKAGES)

    def suggest_precisions(self, source: SourceModel) -> tuple[str, ...]:  # noqa: ARG002 - the port gives it
        """fp32 and int8."""
        return ("fp32", "int8")

    def convert(self, source: SourceModel, order: Order, directory: Path) -> Artifact:
        """Write ``model.xml`` and ``model.bin`` into *directory*; raises as TargetConverter.convert says."""
        model = _read(source)
        inputs, outputs = _bind(model.inputs, source.inputs), _bind(model.outputs, source.outputs)
        if order.precision.number != source.precision:
            model = _quantise(model, source, require_calibration(self.format, order))
        _name_operators(model)
        _write(model, directory / _FILE)
        return Artifact(format=self.format, files=describe_files(directory, _FILE, _WEIGHTS), inputs=inputs, outputs=outputs)


def _read(source: SourceModel) -> Any:
    import openvino

    try:
        with muted():
            model = openvino.convert_model(source.find_form(HUB))
    except Exception as error:
        # The front end raises OpConversionFailure, GeneralFailure, RuntimeError and more; the message names the operators.
        raise ConversionError("openvino", f"OpenVINO cannot express it: {_explain(error)}", "Leave this format out with --to.") from error
    _settle_names([*model.inputs, *model.outputs], {spec.name for spec in (*source.inputs, *source.outputs)})
    return model


def _settle_names(ports: list[Any], names: set[str]) -> None:
    """Leave each tensor the one name that the source has for it. After fusing it may bear several, and a runtime shows any.

    Where two of the source's names have become one tensor, as with an output that is an input unchanged, both stay.
    """
    for port in ports:
        own = port.get_names() & names
        if own:
            port.get_tensor().set_names(own)


def _bind(ports: list[Any], specs: tuple[TensorSpec, ...]) -> tuple[Binding, ...]:
    shown = {name: port.get_any_name() for port in ports for name in port.get_names()}
    missing = [spec.name for spec in specs if spec.name not in shown]
    if missing:
        raise ConversionError("openvino", f"OpenVINO left out {missing[0]!r}, which nothing in the model uses", "Export the model without it.")
    return tuple(Binding(name=spec.name, native=replace(spec, name=shown[spec.name])) for spec in specs)


def _explain(error: Exception) -> str:
    """What the front end says of each operator; else the line of its message that says something."""
    told = [line.removeprefix("-- ").strip() for line in str(error).splitlines() if line.startswith("-- ")]
    return "; ".join(told) or summarize(error)


def _name_operators(model: Any) -> None:
    """Number the operators, so that equal models give equal bytes: OpenVINO numbers them by a counter of the process."""
    for index, operator in enumerate(model.get_ordered_ops()):
        if operator.get_type_name() not in ("Parameter", "Result"):
            operator.set_friendly_name(f"{operator.get_type_name()}_{index}")


def _write(model: Any, path: Path) -> None:
    """Write *model* to *path* with its weights beside it.

    Raises:
        OSError: the disk is full, of which OpenVINO says only that its stream failed.
    """
    import openvino

    try:
        openvino.save_model(model, path, compress_to_fp16=False)
    except RuntimeError as error:
        probe = path.with_suffix(".probe")
        probe.write_bytes(bytes(_PROBE_BYTES))
        probe.unlink()
        raise ConversionError("openvino", f"OpenVINO cannot write it: {summarize(error)}", "Leave this format out with --to.") from error


class _Batches:
    """Calibration batches that NNCF may go through several times; it counts them first."""

    def __init__(self, source: SourceModel, calibration: Calibration) -> None:
        self._source = source
        self._calibration = calibration

    def __iter__(self) -> Iterator[dict[str, Array]]:
        return stream_batches(self._source, self._calibration)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _quantise(model: Any, source: SourceModel, calibration: Calibration) -> Any:
    """*model* with its weights and activations in int8.

    Two of NNCF's defaults are not for us, measured on the digits' logits, which span 12 to either side. It takes the mean
    of the batches' highest values for the range, and with batches of one that clips every sample that stands out: 3.9 off
    at most. Its fast bias correction works on channels' means alone: 0.64 off on average. With the true range and the full
    correction it is 0.17 at most and 0.033 on average, as good as the other formats' int8.
    """
    with muted():
        import nncf
        from nncf.common.logging.logger import disable_logging
        from nncf.quantization.range_estimator import RangeEstimatorParametersSet

        # Its logger writes to what was stdout when it was first imported.
        disable_logging()
        batches = _Batches(source, calibration)
        advanced = nncf.AdvancedQuantizationParameters(activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX)
        try:
            return nncf.quantize(
                model,
                nncf.Dataset(batches),
                subset_size=len(batches),
                fast_bias_correction=False,
                advanced_parameters=advanced,
            )
        except Exception as error:
            # NNCF raises its own errors, OpenVINO's and Python's, which have no common root.
            raise ConversionError("openvino-int8", f"NNCF cannot quantise it: {summarize(error)}", "Use the fp32 variant.") from error
