"""Which operators of a TFLite file must stay in float so that a detector's scores survive: see edgekit_converters.mixed_ranges."""

from __future__ import annotations

from collections.abc import Mapping

from edgekit_converters.mixed_ranges import Range, is_mixed
from edgekit_converters.tflite_graphs import Graph, Operator

#: Operators that put several tensors into one, which in int8 has one scale.
_JOINING = ("CONCATENATION", "PACK")
#: Operators that only move numbers, so that what joins before them decides the output's range.
_MOVING = (
    *_JOINING,
    *("CAST", "EXPAND_DIMS", "GATHER", "GATHER_ND", "RESHAPE", "REVERSE_V2", "SLICE"),
    *("SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "TRANSPOSE", "UNPACK"),
)
#: Operators that take next to no time in float.
_LIGHT = (
    *_MOVING,
    *("ADD", "DIV", "EXP", "LOGISTIC", "MAXIMUM", "MINIMUM", "MUL", "POW", "RELU", "RELU6", "SOFTMAX", "SUB", "TANH"),
)


def find_mixed_operators(graph: Graph, ranges: Mapping[str, Range]) -> list[Operator]:
    """The operators of *graph* that must stay in float, in its order; none where no output mixes ranges.

    They are those that join tensors of very different *ranges* on the way to an output, what moves their numbers on, and
    the light ones that lead to them: boxes are computed from tensors whose own ranges are narrow.
    """
    final = graph.walk_back(graph.outputs, _MOVING)
    joints = [one for one in graph.operators if one.kind in _JOINING and one.outputs[0] in final]
    starts = [one.outputs[0] for one in joints if is_mixed(ranges[name] for name in one.inputs if name in ranges)]
    return graph.list_makers(graph.walk_back(starts, _LIGHT) | graph.walk_on(starts, _MOVING))
