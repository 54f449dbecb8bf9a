"""NVIDIA as a target: ONNX that TensorRT 10 and later builds an engine of, on the device that runs it.

Nothing here was measured on a GPU: each file is held against the source in ONNX Runtime on a CPU, and its graph against
TensorRT's rules (edgekit_converters.nvidia_lint).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.artifacts import Artifact, EngineRecipe
from edgekit.conversion import Order, SourceModel
from edgekit.errors import ConversionError
from edgekit.tensors import Binding
from edgekit_converters.artifact_files import describe_files
from edgekit_converters.calibrating import require_calibration, stream_batches
from edgekit_converters.nvidia_lint import NEWEST_OPSET, lint
from edgekit_converters.nvidia_placing import OPERATORS, free_branches, list_residuals, list_unfit
from edgekit_converters.onnx_casting import type_halved
from edgekit_converters.onnx_graphs import name_nodes
from edgekit_converters.onnx_opsets import FIRST_WITH_AXIS
from edgekit_converters.onnx_preparing import bind_border, load_hub, write_model
from edgekit_converters.onnx_quantising import StaticRecipe, prepare_static, quantise_static
from edgekit_converters.packages import find_missing, list_versions

if TYPE_CHECKING:
    from onnx import ModelProto

_PACKAGES = ("onnx", "onnxruntime", "onnxslim")
_FILE = "model.onnx"
#: TensorRT of JetPack 6; 11 reads the same files, since they choose every type themselves.
_MINIMUM_VERSION = "10.0"
#: The most samples that an engine takes at once where the batch may vary.
_MOST_SAMPLES = 8
#: How many findings an error tells.
_TOLD = 3
_OPTIONS = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "QuantizeBias": False,
    "OpTypesToExcludeOutputQuantization": list(OPERATORS),
}


class NvidiaTarget:
    """Makes typed ONNX files with a recipe for an engine. Inputs and outputs stay float32."""

    format = "onnx"
    precisions: tuple[str, ...] = ("fp32", "fp16", "bf16", "int8")
    refusals: Mapping[str, str] = {}

    def find_obstacle(self) -> str | None:
        """Which packages are missing; None where all are here."""
        return find_missing(*_PACKAGES)

    def list_tools(self) -> dict[str, str]:
        """The versions of onnx, onnxruntime and onnxslim."""
        return list_versions(*_PACKAGES)

    def suggest_precisions(self, source: SourceModel) -> tuple[str, ...]:  # noqa: ARG002 - the port gives it
        """fp16 and int8, which GPUs multiply faster than fp32."""
        return ("fp16", "int8")

    def convert(self, source: SourceModel, order: Order, directory: Path) -> Artifact:
        """Write ``model.onnx`` into *directory*; raises as TargetConverter.convert says."""
        path = directory / _FILE
        model = _convert_numbers(source, order)
        check_rules(model, f"nvidia-{order.precision.name}", source.precision)
        write_model(model, path, order.profile)
        inputs, outputs = bind_border(source, model, path)
        return Artifact(
            format=self.format,
            files=describe_files(directory, _FILE),
            inputs=inputs,
            outputs=outputs,
            accelerator="nvidia",
            engine=EngineRecipe(builder="tensorrt", minimum_version=_MINIMUM_VERSION, profiles=plan_shapes(inputs)),
        )


def _convert_numbers(source: SourceModel, order: Order) -> ModelProto:
    """The hub of *source* in the precision of *order*; as it is, where the source came in that number format."""
    number = order.precision.number
    if number == source.precision:
        return load_hub(source, order.profile, newest=NEWEST_OPSET)
    model = load_hub(source, order.profile, FIRST_WITH_AXIS, NEWEST_OPSET)
    return _quantise(model, source, order) if number == "int8" else type_halved(model, number)


def _quantise(model: ModelProto, source: SourceModel, order: Order) -> ModelProto:
    """*model* as explicit Q/DQ, S8S8 and symmetric; what is not quantised stays float32, which a GPU takes as TF32 where it can."""
    batches = partial(stream_batches, source, require_calibration("nvidia", order))
    prepared = prepare_static(model, "nvidia-int8")
    recipe = StaticRecipe("nvidia-int8", signed=True, operators=OPERATORS, exclude=tuple(list_unfit(prepared)), options=_OPTIONS)
    quantised = quantise_static(prepared, batches, recipe)
    freed = free_branches(quantised, [(node.name, index) for node, index in list_residuals(prepared.graph)])
    name_nodes(freed)
    return freed


def check_rules(model: ModelProto, name: str, came_in: str = "fp32") -> None:
    """Refuse a graph that TensorRT would refuse: ConversionError with the first findings.

    A source that *came_in* other numbers is kept in them, so that only another source helps.
    """
    findings = lint(model)
    if findings:
        told = "; ".join(map(str, findings[:_TOLD]))
        more = f"; and {len(findings) - _TOLD} more" if len(findings) > _TOLD else ""
        remedy = "Leave this target out with --to." if came_in == "fp32" else f"It is kept in the {came_in} that it came in: give the float model."
        raise ConversionError(name, f"TensorRT would not take it: {told}{more}", remedy)


def plan_shapes(inputs: tuple[Binding, ...]) -> dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
    """For each input the smallest, the usual and the largest shape: the batch from 1 to 8 where it may vary, and usually 1.

    Raises:
        ConversionError: another size may vary, for which nobody knows the bounds.
    """
    for binding in inputs:
        for size in binding.native.shape[1:]:
            if isinstance(size, str):
                problem = f"its input {binding.name!r} has the size {size!r}, which may vary, and an engine is built for sizes that are known"
                raise ConversionError("nvidia", problem, f"Fix it with --shape {size}=N.")
    return {binding.native.name: _plan_shape(binding.native.shape) for binding in inputs}


def _plan_shape(shape: tuple[int | str, ...]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    rest = tuple(size for size in shape[1:] if isinstance(size, int))
    batches = (1, 1, _MOST_SAMPLES) if shape and isinstance(shape[0], str) else (shape[0],) * 3 if shape else ()
    smallest, usual, largest = ((int(batch), *rest) for batch in batches) if batches else ((), (), ())
    return smallest, usual, largest
