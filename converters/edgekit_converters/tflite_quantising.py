"""Other numbers for a float TFLite file, by the LiteRT quantizer: int8, int8 and int4 weights, fp16 weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.arrays import Array, Arrays
from edgekit.conversion import Calibration, Order, SourceModel
from edgekit.errors import ConversionError
from edgekit.precisions import Precision
from edgekit.runtimes.borders import to_native
from edgekit.runtimes.packages import summarize
from edgekit_converters.calibrating import require_calibration, stream_batches
from edgekit_converters.mixed_ranges import Range
from edgekit_converters.tflite_bindings import Bindings, BoundFile
from edgekit_converters.tflite_graphs import SIGNATURE, Operator, count_types, normalise, read_graph
from edgekit_converters.tflite_mixed_ranges import find_mixed_operators
from edgekit_converters.tflite_quotients import find_quotients

#: The types that a variant's tensors have by the schema's names, by its number format.
_TYPES = {"fp16": "FLOAT16", "int8": "INT8", "int4": "INT4"}
#: What the quantizer's statistics say of one tensor: arrays with its lowest and highest values.
_Statistics = Mapping[str, Mapping[str, Array]]
_FLOAT_REMEDY = "Use the fp32 variant."


@dataclass(frozen=True)
class _Plan:
    """What the quantizer is to do: its recipe, and the statistics by which activations get their ranges, where they do."""

    recipe: Any
    statistics: _Statistics | None = None


def change_numbers(bound: BoundFile, source: SourceModel, order: Order) -> bytes:
    """The bytes of the float file *bound*, made of *source*, with the precision of *order*.

    Raises:
        ConversionError: the quantizer cannot do it, has nothing to do, or *order* lacks the calibration that it needs.
    """
    precision = order.precision
    calibration = require_calibration("tflite", order) if precision.needs_calibration else None
    integer_borders = order.profile is not None and order.profile.integer_borders
    try:
        data = normalise(bound.path)
        plan = _Plan(_weights_recipe(precision)) if calibration is None else _plan_static(data, bound.inputs, source, calibration, integer_borders)
        changed = _quantise(data, plan)
    except ConversionError:
        raise
    except Exception as error:
        # The quantizer raises ValueError, RuntimeError, KeyError and more, which have no common root.
        problem = f"the LiteRT quantizer cannot make {precision.name} of it: {summarize(error)}"
        raise ConversionError(f"tflite-{precision.name}", problem, _FLOAT_REMEDY) from error
    kind = _TYPES[precision.number]
    if count_types(changed, kind) <= count_types(data, kind):
        raise ConversionError(
            f"tflite-{precision.name}", f"it has no operator whose numbers the LiteRT quantizer makes {precision.number}", _FLOAT_REMEDY
        )
    return changed


def _quantise(data: bytes, plan: _Plan) -> bytes:
    from ai_edge_quantizer import quantizer

    tool = quantizer.Quantizer(bytearray(data), plan.recipe.get_quantization_recipe())
    return bytes(tool.quantize(plan.statistics, enable_progress_report=False).quantized_model)


def _weights_recipe(precision: Precision) -> Any:
    """Weights in fewer bits: computed with as they are where activations become integers at each inference, else made float first.

    Half-precision weights are computed with in float32, since LiteRT has no fp16 kernels for every CPU.
    """
    from ai_edge_quantizer import algorithm_manager, qtyping, recipe_manager

    manager = recipe_manager.RecipeManager()
    everywhere = (".*", qtyping.TFLOperationName.ALL_SUPPORTED)
    if precision.number == "fp16":
        manager.add_weight_only_config(*everywhere, num_bits=16, algorithm_key=algorithm_manager.AlgorithmName.FLOAT_CASTING)
    elif precision.scheme == "dynamic":
        manager.add_dynamic_config(*everywhere, num_bits=8)
    else:
        manager.add_weight_only_config(*everywhere, num_bits=4 if precision.number == "int4" else 8)
    return manager


def _plan_static(data: bytes, inputs: Bindings, source: SourceModel, calibration: Calibration, integer_borders: bool) -> _Plan:  # noqa: FBT001
    """Weights in int8, one scale a channel, and activations in int8, but for what would lose its numbers.

    The borders stay float unless *integer_borders*: LiteRT quantises a digit's 64 pixels in less than a microsecond, and
    numpy takes ten, which made 20 µs of an inference and 31.
    """
    from ai_edge_quantizer import qtyping, recipe_manager

    manager = recipe_manager.RecipeManager()
    manager.add_static_config(".*", qtyping.TFLOperationName.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8)
    statistics = _calibrate(data, manager, inputs, source, calibration)
    graph = read_graph(data)
    mixed = find_mixed_operators(graph, _list_ranges(statistics))
    if mixed and integer_borders:
        raise _refuse_mixed(mixed)
    _leave_float(manager, [*mixed, *find_quotients(graph)], borders=not integer_borders)
    return _Plan(manager, statistics)


def _leave_float(manager: Any, operators: list[Operator], *, borders: bool) -> None:
    from ai_edge_quantizer import algorithm_manager, qtyping

    nothing = algorithm_manager.AlgorithmName.NO_QUANTIZE
    if borders:
        for border in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
            manager.add_quantization_config(".*", border, algorithm_key=nothing)
    for one in operators:
        # An operator's scope is the names of its outputs, with a semicolon behind each.
        manager.add_quantization_config(f"^{re.escape(one.outputs[0])};", qtyping.TFLOperationName.ALL_SUPPORTED, algorithm_key=nothing)


def _refuse_mixed(mixed: list[Operator]) -> ConversionError:
    return ConversionError(
        "tflite-int8",
        f"its output {mixed[-1].outputs[0]!r} joins numbers of very different ranges, as a detector's boxes and scores, and with "
        "integer borders they would share one scale, which rounds the smaller ones to zero",
        "Export the model with an output for each, or make it for a target that takes floats.",
    )


def _calibrate(data: bytes, manager: Any, inputs: Bindings, source: SourceModel, calibration: Calibration) -> _Statistics:
    """The range of each tensor over the calibration data.

    By default the ranges are a moving average, which forgets all but the last samples: the digits' logits, which span
    12 to either side, came out 9.3 off at most. With the true range it is 0.30. Each batch is a run of its own, since
    recurrent layers' memory is cleared at the end of a run.
    """
    from ai_edge_quantizer import calibrator
    from ai_edge_quantizer.utils import qsv_utils

    tool = calibrator.Calibrator(data, num_threads=1, qsv_update_func=qsv_utils.min_max_update)
    for batch in _stream_native(source, calibration, inputs):
        tool.calibrate({SIGNATURE: [batch]}, manager)
    statistics: _Statistics = tool.get_model_qsvs()
    return statistics


def _stream_native(source: SourceModel, calibration: Calibration, inputs: Bindings) -> Iterator[Arrays]:
    """Calibration batches as the file takes them."""
    for batch in stream_batches(source, calibration):
        yield {one.native.name: to_native(batch[one.name], one) for one in inputs}


def _list_ranges(statistics: _Statistics) -> dict[str, Range]:
    return {name: (float(np.min(one["min"])), float(np.max(one["max"]))) for name, one in statistics.items() if "min" in one}
