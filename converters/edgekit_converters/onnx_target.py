"""ONNX as a target: fp32 with its graph slimmed, int8 as static QDQ for ONNX Runtime on CPUs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.arrays import Array
from edgekit.artifacts import Artifact, bind_identically
from edgekit.conversion import HUB, Calibration, Order, SourceModel
from edgekit.errors import ConversionError
from edgekit_converters.artifact_files import describe_files
from edgekit_converters.calibrating import is_quantised, require_calibration, stream_batches
from edgekit_converters.muting import muted
from edgekit_converters.packages import find_missing, list_versions
from edgekit_converters.passes.base import run_passes
from edgekit_converters.passes.slim import Slim
from edgekit_converters.passes.strip_metadata import StripMetadata

if TYPE_CHECKING:
    from onnx import ModelProto

_PACKAGES = ("onnx", "onnxruntime", "onnxslim")
_FILE = "model.onnx"
#: ONNX Runtime 1.17 reads no newer one, and devices may have it. The opset stays the source's.
_NEWEST_IR = 10


class OnnxTarget:
    """Makes ONNX files. The tensors at their borders are the source's own."""

    format = "onnx"
    precisions: tuple[str, ...] = ("fp32", "int8")

    def find_obstacle(self) -> str | None:
        """Which packages are missing; None where all are here."""
        return find_missing(*_PACKAGES)

    def list_tools(self) -> dict[str, str]:
        """The versions of onnx, onnxruntime and onnxslim."""
        return list_versions(*_PACKAGES)

    def suggest_precisions(self, source: SourceModel) -> tuple[str, ...]:  # noqa: ARG002 - the port gives it
        """fp32 and int8."""
        return ("fp32", "int8")

    def convert(self, source: SourceModel, order: Order, directory: Path) -> Artifact:
        """Write ``model.onnx`` into *directory*; raises as TargetConverter.convert says."""
        import onnx

        if order.precision.number == source.precision:
            model = run_passes(onnx.load(source.find_form(HUB)), Slim())
        else:
            model = _quantise(source, require_calibration(self.format, order))
        _write(model, directory / _FILE)
        return Artifact(
            format=self.format,
            files=describe_files(directory, _FILE),
            inputs=bind_identically(source.inputs),
            outputs=bind_identically(source.outputs),
        )


def _write(model: ModelProto, path: Path) -> None:
    """Write *model* as ONNX Runtime 1.17 can read it. Runtimes work out the shapes between, so they are left out."""
    model.ir_version = min(model.ir_version, _NEWEST_IR)
    del model.graph.value_info[:]
    path.write_bytes(run_passes(model, StripMetadata()).SerializeToString(deterministic=True))


class _Reader:
    """Calibration batches as ONNX Runtime asks for them (CalibrationDataReader)."""

    def __init__(self, batches: Iterator[dict[str, Array]]) -> None:
        self._batches = batches

    def get_next(self) -> dict[str, Array] | None:
        """The next batch; None after the last."""
        return next(self._batches, None)

    def __iter__(self) -> Iterator[dict[str, Array]]:
        return self._batches


def _quantise(source: SourceModel, calibration: Calibration) -> ModelProto:
    """The source with its weights in int8, one scale a channel, and its activations in uint8.

    U8S8 is what x86 multiplies fastest (S8S8 is up to 22 times slower), and ARM does either.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory(prefix="edgekit-") as scratch:
        prepared, quantised = Path(scratch) / "prepared.onnx", Path(scratch) / "quantised.onnx"
        try:
            with muted():
                _prepare(source.find_form(HUB), prepared)
                quantize_static(
                    prepared,
                    quantised,
                    _Reader(stream_batches(source, calibration)),
                    quant_format=QuantFormat.QDQ,
                    per_channel=True,
                    activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8,
                )
            result: Any = onnx.load(quantised)
        except Exception as error:
            # The quantiser raises ValueError, KeyError, AssertionError and ONNX Runtime's own, which have no common root.
            raise ConversionError("onnx-int8", f"onnxruntime cannot quantise it: {type(error).__name__}: {error}") from error
    if not is_quantised(result):
        raise ConversionError("onnx-int8", "it has no operator that onnxruntime quantises", "Use the fp32 variant.")
    return result


def _prepare(path: Path, prepared: Path) -> None:
    """Write the model at *path* to *prepared* as the quantiser wants it: constants folded, batch norms fused, shapes known.

    ONNX Runtime does it with its own graph optimisation, at the level that keeps to ONNX's operators. Its symbolic shape
    inference is left out: onnx's has been run when the source was read, and it fails on more models than it helps.
    """
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(path, prepared, skip_symbolic_shape=True)
