"""Which operators of a TFLite file must stay in float so that small numbers may divide large ones."""

from __future__ import annotations

from edgekit_converters.tflite_graphs import Graph, Operator

#: What stands between a denominator and the numbers that it was made of: a norm's root, its small addend, its mean or sum.
_THROUGH = ("ABS", "ADD", "MAXIMUM", "MEAN", "POW", "RESHAPE", "SQRT", "SUM")
#: What makes the terms of that mean or sum; before them the numbers are of usual size again.
_TERMS = ("EXP", "MUL", "SQUARED_DIFFERENCE")
#: What brings a reciprocal back to usual size.
_SCALING = "MUL"


def find_quotients(graph: Graph) -> list[Operator]:
    """The divisions of *graph* by numbers that are computed, with what makes those and what is scaled by the result, in its order.

    A norm's denominator spans as many powers of ten as the sizes of its samples, and int8 has 255 steps: small ones become
    zero, by which LiteRT refuses to divide, and large reciprocals leave nothing of the others.
    """
    makers = {name: one for one in graph.operators for name in one.outputs}
    computed = {*makers, *graph.inputs}
    quotients = [(one, name) for one in graph.operators if (name := _find_denominator(one)) in computed]
    made = graph.walk_back([name for _, name in quotients], _THROUGH)
    terms = {name for one in graph.list_makers(made) for name in one.inputs if name in makers and makers[name].kind in _TERMS}
    results = {one.outputs[0] for one, _ in quotients}
    scaled = {one.outputs[0] for one in graph.operators if one.kind == _SCALING and not results.isdisjoint(one.inputs)}
    return graph.list_makers(made | terms | results | scaled)


def _find_denominator(operator: Operator) -> str:
    """The tensor that *operator* divides by; nothing where it does not divide."""
    if operator.kind == "DIV":
        return operator.inputs[1]
    return operator.inputs[0] if operator.kind == "RSQRT" else ""
