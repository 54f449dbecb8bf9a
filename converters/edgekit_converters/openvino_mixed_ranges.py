"""Which operators of an OpenVINO graph must stay in float so that a detector's scores survive: see edgekit_converters.mixed_ranges.

The graph itself is looked at, whatever it was read from: OpenVINO IR has no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from edgekit.arrays import Array
from edgekit_converters.mixed_ranges import Range, is_mixed

#: Operators that only move numbers, so that a Concat before them decides the output's range.
_MOVING = (
    *("Concat", "Convert", "Gather", "Reshape", "Result", "Slice", "Split", "Squeeze"),
    *("StridedSlice", "Transpose", "Unsqueeze", "VariadicSplit"),
)
#: Operators that take next to no time in float.
_LIGHT = (
    *_MOVING,
    *("Add", "Clamp", "Divide", "Exp", "Maximum", "Minimum", "Multiply", "Power", "Relu", "Sigmoid", "Softmax", "Subtract", "Tanh"),
)


def find_mixed_operators(model: Any, batches: Iterable[Mapping[str, Array]]) -> list[str]:
    """The names of the operators of *model* that must stay in float, in its order; none where no output mixes ranges.

    They are those that join tensors of very different ranges on the way to an output, what moves their numbers on, and the
    light ones that lead to them. The model runs over *batches* once, and only where it joins anything.
    """
    final = _walk_back(model.get_results(), _MOVING)
    joints = [operator for operator in model.get_ordered_ops() if operator.get_type_name() == "Concat" and operator.get_friendly_name() in final]
    if not joints:
        return []
    ranges = _measure(model, joints, batches)
    mixed = [joint for joint in joints if is_mixed(ranges[_name(port)] for port in joint.input_values())]
    tail = _walk_back(mixed, _LIGHT) | _walk_on(mixed)
    return [name for operator in model.get_ordered_ops() if (name := operator.get_friendly_name()) in tail and operator.get_type_name() != "Result"]


def _name(port: Any) -> tuple[str, int]:
    return port.get_node().get_friendly_name(), port.get_index()


def _measure(model: Any, joints: list[Any], batches: Iterable[Mapping[str, Array]]) -> dict[tuple[str, int], Range]:
    """The lowest and the highest finite value of each tensor that one of *joints* takes. One batch's values are held at a time."""
    names = list(dict.fromkeys(_name(port) for joint in joints for port in joint.input_values()))
    ranges: dict[tuple[str, int], Range] = {}
    for values in _run(model, names, batches):
        for name, array in zip(names, values, strict=True):
            low, high = ranges.get(name, (0.0, 0.0))
            finite = array[np.isfinite(array)]
            ranges[name] = (min(low, float(finite.min(initial=low))), max(high, float(finite.max(initial=high))))
    return ranges


def _run(model: Any, names: list[tuple[str, int]], batches: Iterable[Mapping[str, Array]]) -> Iterator[list[Array]]:
    """The values of the tensors *names* for each of *batches*."""
    import openvino

    opened = model.clone()
    opened.add_outputs(names)
    compiled = openvino.Core().compile_model(opened, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    first = len(model.outputs)
    for batch in batches:
        yield [np.asarray(one, np.float32) for one in compiled(dict(batch)).to_tuple()[first:]]


def _walk_back(starts: Iterable[Any], through: tuple[str, ...]) -> set[str]:
    """The names of *starts* and of all operators that they come from, as far as these are among *through*."""
    reached: set[str] = set()
    waiting = list(starts)
    while waiting:
        operator = waiting.pop()
        if operator.get_type_name() in through and operator.get_friendly_name() not in reached:
            reached.add(operator.get_friendly_name())
            waiting.extend(port.get_node() for port in operator.input_values())
    return reached


def _walk_on(starts: Iterable[Any]) -> set[str]:
    """The names of all operators that *starts* lead to, as far as they only move numbers."""
    reached: set[str] = set()
    waiting = list(starts)
    while waiting:
        for port in waiting.pop().outputs():
            for target in port.get_target_inputs():
                operator = target.get_node()
                if operator.get_type_name() in _MOVING and operator.get_friendly_name() not in reached:
                    reached.add(operator.get_friendly_name())
                    waiting.append(operator)
    return reached
