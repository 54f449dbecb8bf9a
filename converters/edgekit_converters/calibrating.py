"""Calibration data on its way to a quantiser: whether it may be used, and one batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from edgekit.arrays import Array
from edgekit.conversion import Calibration, Order, SourceModel
from edgekit.errors import ConversionError

if TYPE_CHECKING:
    from onnx import ModelProto

_QUANTISED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger")


def require_calibration(format: str, order: Order) -> Calibration:
    """The calibration of *order*, or ConversionError where it has none."""
    if order.calibration is None:
        problem = f"{order.precision.name} needs representative inputs"
        raise ConversionError(f"{format}-{order.precision.name}", problem, "Give them with --calibration FILE.npz.")
    return order.calibration


def is_quantised(model: ModelProto) -> bool:
    """Whether *model* has operators on integers that stand for real numbers."""
    return any(node.op_type in _QUANTISED or node.op_type.startswith("QLinear") for node in model.graph.node)


def stream_batches(source: SourceModel, calibration: Calibration) -> Iterator[dict[str, Array]]:
    """The samples one at a time, or as many at a time as *source* takes where its batch is fixed; a rest is left out."""
    count = find_batch(source)
    waiting: list[dict[str, Array]] = []
    for sample in calibration.samples():
        waiting.append(sample)
        if len(waiting) == count:
            yield {name: np.concatenate([one[name] for one in waiting]) for name in sample}
            waiting.clear()


def find_batch(source: SourceModel) -> int:
    """The batch that *source* takes: 1 where it takes any."""
    sizes = [spec.shape[0] for spec in source.inputs if spec.shape]
    fixed = [size for size in sizes if isinstance(size, int)]
    return fixed[0] if fixed else 1
