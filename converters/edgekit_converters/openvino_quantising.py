"""Integers for OpenVINO, by NNCF: static int8 with calibration, and weights in int8 or int4."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgekit.arrays import Array
from edgekit.conversion import Calibration, SourceModel
from edgekit.errors import ConversionError
from edgekit.precisions import Precision
from edgekit.runtimes.packages import summarize
from edgekit_converters.calibrating import stream_batches
from edgekit_converters.muting import muted
from edgekit_converters.openvino_ranges import relative_floors

#: The option that a file brings for its runtime: activations that meet integer weights are quantised in groups of so many
#: at each inference; 0 leaves them as they are. OpenVINO's own choice on CPUs is 32.
_GROUP_OPTION = ["runtime_options", "DYNAMIC_QUANTIZATION_GROUP_SIZE"]
_GROUPS = {"dynamic": "32", "weights": "0"}
#: Weights in a row that share a scale in int4; where a row is no multiple of it, NNCF takes a smaller one, or int8.
_INT4_GROUP = 64
#: The least share of the weights that must be in matrix products: NNCF gains nothing for the others.
_LEAST_SHARE = 0.5


class _Batches:
    """Calibration batches that NNCF may go through several times; it counts them first."""

    def __init__(self, source: SourceModel, calibration: Calibration) -> None:
        self._source = source
        self._calibration = calibration

    def __iter__(self) -> Iterator[dict[str, Array]]:
        return stream_batches(self._source, self._calibration)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def quantise(model: Any, source: SourceModel, calibration: Calibration) -> Any:
    """*model* with its weights and activations in int8.

    Two of NNCF's defaults are not for us, measured on the digits' logits, which span 12 to either side. It takes the mean
    of the batches' highest values for the range, and with batches of one that clips every sample that stands out: 3.9 off
    at most. Its fast bias correction works on channels' means alone: 0.64 off on average. With the true range and the full
    correction it is 0.17 at most and 0.033 on average, as good as the other formats' int8.

    A detector whose output joins boxes in pixels with scores needs nothing special here: NNCF quantises what goes into
    products and sums, never what leaves the graph, so boxes and scores do not come to share a scale. Leaving the whole head
    in float was tried: the scores stay the same, and boxes deviate by 0.18 % of their range instead of 0.21 %.
    """
    with muted(), relative_floors():
        try:
            return _run_nncf(model, _Batches(source, calibration))
        except Exception as error:
            # NNCF raises its own errors, OpenVINO's and Python's, which have no common root.
            raise ConversionError("openvino-int8", f"NNCF cannot quantise it: {summarize(error)}", "Use the fp32 variant.") from error


def _run_nncf(model: Any, batches: _Batches) -> Any:
    import nncf
    from nncf.common.logging.logger import disable_logging
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    # Its logger writes to what was stdout when it was first imported.
    disable_logging()
    return nncf.quantize(
        model,
        nncf.Dataset(batches),
        subset_size=len(batches),
        fast_bias_correction=False,
        model_type=nncf.ModelType.TRANSFORMER if has_attention(model) else None,
        advanced_parameters=nncf.AdvancedQuantizationParameters(activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX),
    )


def compress_weights(model: Any, precision: Precision) -> Any:
    """*model* with its weights in integers and a scale for each row (int8) or each few weights of a row (int4).

    The file says with it whether the runtime quantises activations too, which is what ``dynamic`` means and what OpenVINO
    does by itself: six products of 1024x1024 take 1.41 ms in float32 for 16 rows, 0.46 with activations in int8, 1.17
    without (one thread, VNNI).

    Raises:
        ConversionError: most weights are not in matrix products.
    """
    products, total = measure_weights(model)
    if products < _LEAST_SHARE * total or not products:
        problem = f"NNCF makes integers of weights alone for matrix products, and {products} of its {total} weights are in one"
        raise ConversionError(f"openvino-{precision.name}", problem, "Use int8, which is static, for convolutions.")
    with muted():
        import nncf
        from nncf.common.logging.logger import disable_logging

        disable_logging()
        modes = {"int8": nncf.CompressWeightsMode.INT8_ASYM, "int4": nncf.CompressWeightsMode.INT4_SYM}
        options = {} if precision.number == "int8" else {"group_size": _INT4_GROUP, "advanced_parameters": _adjust_groups()}
        try:
            compressed = nncf.compress_weights(model, mode=modes[precision.number], **options)
        except Exception as error:
            # NNCF raises its own errors, OpenVINO's and Python's, which have no common root.
            raise ConversionError(f"openvino-{precision.name}", f"NNCF cannot compress it: {summarize(error)}", "Use the fp32 variant.") from error
    compressed.set_rt_info(_GROUPS[str(precision.scheme)], _GROUP_OPTION)
    return compressed


def _adjust_groups() -> Any:
    import nncf
    from nncf.quantization.advanced_parameters import GroupSizeFallbackMode

    return nncf.AdvancedCompressionParameters(group_size_fallback_mode=GroupSizeFallbackMode.ADJUST)


def has_attention(model: Any) -> bool:
    """Whether somewhere a softmax weighs what a product sums up, as attention does."""
    return any(
        operator.get_type_name() == "ScaledDotProductAttention" or (operator.get_type_name() == "Softmax" and _feeds_product(operator))
        for operator in model.get_ordered_ops()
    )


def _feeds_product(operator: Any) -> bool:
    return any(target.get_node().get_type_name() == "MatMul" for port in operator.outputs() for target in port.get_target_inputs())


def measure_weights(model: Any) -> tuple[int, int]:
    """How many weights *model* has in matrix products and embeddings, and how many in all."""
    users = {"MatMul": 0, "": 0}
    for operator in model.get_ordered_ops():
        if operator.get_type_name() == "Constant" and operator.get_element_type().is_real():
            shape = operator.get_output_shape(0)
            users["MatMul" if len(shape) > 1 and _is_product_weight(operator) else ""] += int(operator.get_data().size)
    return users["MatMul"], sum(users.values())


def _is_product_weight(operator: Any) -> bool:
    """Whether a product or an embedding takes what *operator* gives, perhaps in another type or order of axes."""
    for target in operator.output(0).get_target_inputs():
        user = target.get_node()
        if user.get_type_name() in ("MatMul", "Gather"):
            return True
        if user.get_type_name() in ("Convert", "Transpose", "Reshape") and _is_product_weight(user):
            return True
    return False
