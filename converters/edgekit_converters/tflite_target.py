"""TFLite as a target: fp32 by onnx2tf in an environment of its own, int8 by the LiteRT quantizer."""

from __future__ import annotations

import itertools
import logging
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.arrays import Arrays
from edgekit.artifacts import Artifact
from edgekit.conversion import HUB, Calibration, Order, SourceModel
from edgekit.environments import ensure_environment, find_obstacle, run_tool
from edgekit.errors import ConversionError, TransferError
from edgekit.runtimes.borders import to_native
from edgekit.runtimes.packages import summarize
from edgekit_converters.artifact_files import describe_files
from edgekit_converters.calibrating import require_calibration, stream_batches
from edgekit_converters.environments import ONNX2TF, ONNX2TF_SCRIPT
from edgekit_converters.muting import muted
from edgekit_converters.packages import find_missing, list_versions
from edgekit_converters.passes.base import run_passes
from edgekit_converters.passes.fix_shapes import FixShapes
from edgekit_converters.passes.rename_tensors import RenameTensors
from edgekit_converters.passes.slim import Slim
from edgekit_converters.tflite_bindings import Bindings, bind_tensors, rebind_tensors

if TYPE_CHECKING:
    from onnx import ModelProto

_PACKAGES = ("ai-edge-litert", "ai-edge-quantizer", "onnx", "onnxruntime", "onnxslim")
_FILE = "model.tflite"
#: Seconds that one conversion may take; a small model takes about one.
_DEADLINE_S = 1800.0
#: The one signature that onnx2tf writes.
_SIGNATURE = "serving_default"
#: Names that onnx2tf leaves as they are; a colon, for one, becomes two underscores.
_KEPT = re.compile(r"[A-Za-z_][A-Za-z0-9_./]*")
_log = logging.getLogger(__name__)


class TFLiteTarget:
    """Makes TFLite files with fixed shapes and the batch 1."""

    format = "tflite"
    precisions: tuple[str, ...] = ("fp32", "int8")

    def find_obstacle(self) -> str | None:
        """Which packages, or which Python for onnx2tf's environment, are missing; None where all are here or can be made."""
        return find_missing(*_PACKAGES) or find_obstacle(ONNX2TF)

    def list_tools(self) -> dict[str, str]:
        """The versions of onnx2tf in its environment, and of LiteRT and its quantizer here."""
        locked = dict(line.split("==") for line in ONNX2TF.lock.read_text(encoding="utf-8").splitlines() if "==" in line)
        return {"onnx2tf": locked["onnx2tf"]} | list_versions("ai-edge-litert", "ai-edge-quantizer", "onnxslim")

    def suggest_precisions(self, source: SourceModel) -> tuple[str, ...]:  # noqa: ARG002 - the port gives it
        """fp32 and int8."""
        return ("fp32", "int8")

    def convert(self, source: SourceModel, order: Order, directory: Path) -> Artifact:
        """Write ``model.tflite`` into *directory*; raises as TargetConverter.convert says.

        Both precisions stand on the same fp32 file, which is kept beside the source and made once.
        """
        kept = order.precision.number == source.precision
        calibration = None if kept else require_calibration(self.format, order)
        float_file, names = _make_float_file(source)
        target = directory / _FILE
        with muted():
            inputs, outputs = bind_tensors(source, float_file, names)
            if calibration is None:
                shutil.copyfile(float_file, target)
            else:
                target.write_bytes(_quantise(float_file, inputs, source, calibration))
                inputs, outputs = (rebind_tensors(one, float_file, target) for one in (inputs, outputs))
        return Artifact(format=self.format, files=describe_files(directory, _FILE), inputs=inputs, outputs=outputs)


def _make_float_file(source: SourceModel) -> tuple[Path, dict[str, str]]:
    """The fp32 TFLite file of *source*, beside it, with the names that its tensors have there; made where it is not there yet."""
    import onnx

    hub = source.find_form(HUB)
    model = run_passes(onnx.load(hub), FixShapes(_fix_sizes(source)), Slim())
    names = _choose_names(model, [spec.name for spec in (*source.inputs, *source.outputs)])
    made = hub.with_suffix(".tflite")
    if not made.exists():
        with tempfile.TemporaryDirectory(dir=hub.parent, prefix="onnx2tf-") as scratch:
            fixed = Path(scratch) / "fixed.onnx"
            onnx.save(run_passes(model, RenameTensors(names)), fixed)
            # Inputs keep the source's order of axes: LiteRT then transposes a 3x96x96 picture in 4 µs, which costs numpy 24.
            result = _run_onnx2tf({"model": str(fixed), "output": scratch, "keep_shape": [names[spec.name] for spec in source.inputs]})
            Path(result["tflite"]).rename(made)
    return made, names


def _run_onnx2tf(request: dict[str, Any]) -> dict[str, Any]:
    try:
        python = ensure_environment(ONNX2TF, say=_log.warning)
    except TransferError as error:
        # For this model the format cannot be made now; the other formats can, so the build goes on without it.
        raise ConversionError("tflite", f"{error.subject}: {error.problem}", error.remedy) from error
    return run_tool(python, ONNX2TF_SCRIPT, request, _DEADLINE_S)


def _fix_sizes(source: SourceModel) -> dict[str, int]:
    """One for each name that an input's first axis has: the batch. Another size that may vary cannot be guessed."""
    return {spec.shape[0]: 1 for spec in source.inputs if spec.shape and isinstance(spec.shape[0], str)}


def _choose_names(model: ModelProto, names: list[str]) -> dict[str, str]:
    """For each of *names* the name that it gets in the TFLite file: its own, unless onnx2tf would change it."""
    taken = {name for node in model.graph.node for name in (*node.input, *node.output)} | set(names)
    chosen = {}
    for index, name in enumerate(names):
        fresh = (f"tensor{index}{'_' * more}" for more in itertools.count())
        chosen[name] = name if _KEPT.fullmatch(name) else next(one for one in fresh if one not in taken)
    return chosen


def _quantise(float_file: Path, inputs: Bindings, source: SourceModel, calibration: Calibration) -> bytes:
    """The bytes of *float_file* with weights in int8, one scale a channel, and activations in int8."""
    from ai_edge_quantizer import calibrator, quantizer
    from ai_edge_quantizer.utils import qsv_utils

    try:
        recipe = _make_recipe()
        # By default the ranges are a moving average, which forgets all but the last samples: the digits' logits, which span
        # 12 to either side, came out 9.3 off at most. With the true range it is 0.30.
        statistics = calibrator.Calibrator(str(float_file), num_threads=1, qsv_update_func=qsv_utils.min_max_update)
        statistics.calibrate({_SIGNATURE: _Batches(source, calibration, inputs)}, recipe)
        tool = quantizer.Quantizer(str(float_file), recipe.get_quantization_recipe())
        return bytes(tool.quantize(statistics.get_model_qsvs()).quantized_model)
    except Exception as error:
        # The quantizer raises ValueError, RuntimeError, KeyError and more, which have no common root.
        raise ConversionError("tflite-int8", f"the LiteRT quantizer cannot quantise it: {summarize(error)}", "Use the fp32 variant.") from error


def _make_recipe() -> Any:
    """Everything in int8 but the borders, which stay float.

    LiteRT quantises a digit's 64 pixels in less than a microsecond, and numpy takes ten: 20 µs against 31 an inference.
    """
    from ai_edge_quantizer import algorithm_manager, qtyping, recipe, recipe_manager

    manager = recipe_manager.RecipeManager()
    manager.load_quantization_recipe(recipe.static_wi8_ai8())
    for border in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
        manager.add_quantization_config(".*", border, algorithm_key=algorithm_manager.AlgorithmName.NO_QUANTIZE)
    return manager


class _Batches:
    """Calibration batches as the file takes them. The calibrator goes through them twice: it counts them first."""

    def __init__(self, source: SourceModel, calibration: Calibration, inputs: Bindings) -> None:
        self._source = source
        self._calibration = calibration
        self._inputs = inputs

    def __iter__(self) -> Iterator[Arrays]:
        for batch in stream_batches(self._source, self._calibration):
            yield {one.native.name: to_native(batch[one.name], one) for one in self._inputs}
