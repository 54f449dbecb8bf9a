"""ONNX in integers with scales from calibration or from each inference, by ONNX Runtime's own quantisers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.arrays import Array
from edgekit.errors import ConversionError
from edgekit.runtimes.packages import summarize
from edgekit_converters.calibrating import is_quantised
from edgekit_converters.mixed_ranges import find_mixed_nodes
from edgekit_converters.muting import muted
from edgekit_converters.onnx_graphs import name_nodes

if TYPE_CHECKING:
    from onnx import ModelProto

#: Calibration batches: called once for each time that they are gone through.
Batches = Callable[[], Iterable[Mapping[str, Array]]]


@dataclass(frozen=True)
class StaticRecipe:
    """What a static quantisation does, in the words of onnxruntime.quantization.quantize_static.

    *name* is the variant's, for errors. *signed* activations are int8, else uint8; weights are int8 with one scale a channel.
    *operators* are those that are quantised; all that ONNX Runtime can where None. *exclude* names nodes that stay in float,
    beside those whose output would mix ranges. *reduced* weights have 7 bits. *options* are ONNX Runtime's ``extra_options``.
    """

    name: str
    signed: bool = False
    operators: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    reduced: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


def prepare_static(model: ModelProto, name: str) -> ModelProto:
    """*model* as the static quantiser wants it: constants folded, batch norms fused, shapes known, nodes named.

    ONNX Runtime does it with its own graph optimisation, at the level that keeps to ONNX's operators. Its symbolic shape
    inference is left out: onnx's has been run when the source was read, and it fails on more models than it helps.

    Raises:
        ConversionError: ONNX Runtime fails on it; *name* is the variant's.
    """
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(prefix="edgekit-") as scratch:
        given, prepared = Path(scratch) / "given.onnx", Path(scratch) / "prepared.onnx"
        onnx.save(model, given)
        try:
            with muted():
                quant_pre_process(given, prepared, skip_symbolic_shape=True)
            ready: ModelProto = onnx.load(prepared)
        except Exception as error:
            # As with the quantiser below.
            raise _refuse(name, error) from error
    name_nodes(ready)
    return ready


def quantise_static(prepared: ModelProto, batches: Batches, recipe: StaticRecipe) -> ModelProto:
    """*prepared* with weights and activations in int8, each activation's range found on *batches*, as QDQ.

    Raises:
        ConversionError: ONNX Runtime cannot quantise it, there is nothing to quantise, or a range came out as no number.
    """
    import onnx

    mixed = tuple(node.name for node in find_mixed_nodes(prepared, batches()))
    with tempfile.TemporaryDirectory(prefix="edgekit-") as scratch:
        given, quantised = Path(scratch) / "prepared.onnx", Path(scratch) / "quantised.onnx"
        onnx.save(prepared, given)
        try:
            with muted():
                _run_quantiser(given, quantised, iter(batches()), replace(recipe, exclude=(*recipe.exclude, *mixed)))
            result: ModelProto = onnx.load(quantised)
        except Exception as error:
            # The quantiser raises ValueError, KeyError, AssertionError and ONNX Runtime's own, which have no common root.
            raise _refuse(recipe.name, error) from error
    if not is_quantised(result):
        raise ConversionError(recipe.name, "it has no operator that onnxruntime quantises", "Use the fp32 variant.")
    _check_scales(result, recipe.name)
    return result


def _refuse(name: str, error: Exception) -> ConversionError:
    if str(error) == "scale issue":
        # So ONNX Runtime's quantiser asserts that a scale is a number, without a word on whose.
        return _refuse_range(name, "one of its tensors")
    problem = f"onnxruntime cannot quantise it: {type(error).__name__}: {summarize(error)}"
    return ConversionError(name, problem, "Use the fp32 variant.")


def _refuse_range(name: str, tensor: str) -> ConversionError:
    problem = f"onnxruntime found no range for {tensor}: the calibration data take it to NaN or infinity"
    return ConversionError(name, problem, "Use the fp32 variant.")


def _run_quantiser(given: Path, quantised: Path, batches: Iterator[Mapping[str, Array]], recipe: StaticRecipe) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    quantize_static(
        given,
        quantised,
        _Reader(batches),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(recipe.operators or ()),
        per_channel=True,
        reduce_range=recipe.reduced,
        activation_type=QuantType.QInt8 if recipe.signed else QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=list(recipe.exclude),
        extra_options=dict(recipe.options),
    )


class _Reader:
    """Calibration batches as ONNX Runtime asks for them (CalibrationDataReader)."""

    def __init__(self, batches: Iterator[Mapping[str, Array]]) -> None:
        self._batches = batches

    def get_next(self) -> Mapping[str, Array] | None:
        """The next batch; None after the last."""
        return next(self._batches, None)

    def __iter__(self) -> Iterator[Mapping[str, Array]]:
        return self._batches


def _check_scales(model: ModelProto, name: str) -> None:
    """Refuse scales that are no numbers: what is divided by them would be none either, without an error."""
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and node.input[1] in constants:
            scale = numpy_helper.to_array(constants[node.input[1]])
            if not (np.isfinite(scale).all() and (scale > 0).all()):
                raise _refuse_range(name, f"its tensor {node.input[0]!r}")


def quantise_dynamic(model: ModelProto, *, reduced: bool) -> ModelProto:
    """*model* with the constant weights of MatMul and Gemm in int8, and activations quantised anew in each inference.

    Convolutions stay in float: ONNX Runtime's ConvInteger took three times as long as its float Conv. Measured on dense
    layers of 34 MB, one thread with VNNI: 8.5 MB, 3.0 ms against 11.1 for 128 tokens and 0.15 against 0.91 for one, 26 MB of
    memory against 73. *reduced* weights have 7 bits: without VNNI, x86 adds two products of uint8 and int8 in 16 bits, and
    those of 8 bits may overflow them (onnxruntime.ai, "Quantize ONNX models", reduce_range). It cost half as much again in
    accuracy.

    Raises:
        ConversionError: it has no such operator.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory(prefix="edgekit-") as scratch:
        quantised = Path(scratch) / "quantised.onnx"
        try:
            with muted():
                quantize_dynamic(
                    model, quantised, op_types_to_quantize=["MatMul"], per_channel=True, reduce_range=reduced, weight_type=QuantType.QInt8
                )
            result: ModelProto = onnx.load(quantised)
        except Exception as error:
            # As with the static quantiser.
            raise _refuse("onnx-int8-dynamic", error) from error
    if not is_quantised(result):
        raise ConversionError("onnx-int8-dynamic", "it has no MatMul or Gemm with constant weights", "Use static int8, or fp32.")
    return result
