"""Which operators of a TFLite graph stay in float so that small numbers may divide large ones."""

from edgekit_converters.tflite_graphs import Graph, Operator
from edgekit_converters.tflite_quotients import find_quotients

NORM = (
    Operator("FULLY_CONNECTED", ("x", "w"), ("hidden",)),
    Operator("MEAN", ("hidden", "axis"), ("mean",)),
    Operator("SUB", ("hidden", "mean"), ("centred",)),
    Operator("MUL", ("centred", "centred"), ("squares",)),
    Operator("MEAN", ("squares", "axis"), ("variance",)),
    Operator("ADD", ("variance", "epsilon"), ("safe",)),
    Operator("SQRT", ("safe",), ("deviation",)),
    Operator("DIV", ("centred", "deviation"), ("normal",)),
    Operator("FULLY_CONNECTED", ("normal", "v"), ("y",)),
)


def test_division_stays_float_with_what_makes_its_denominator() -> None:
    """A norm's division stays in float with its root, its variance and its squares, and nothing before or behind them."""
    found = find_quotients(Graph(NORM, ("x",), ("y",)))
    assert [one.outputs[0] for one in found] == ["squares", "variance", "safe", "deviation", "normal"]


def test_what_a_reciprocal_scales_stays_float() -> None:
    """A reciprocal may be large for some samples and small for others; what it scales is of usual size, and quantised after that."""
    root = Operator("RSQRT", ("safe",), ("reciprocal",))
    product = Operator("MUL", ("centred", "reciprocal"), ("normal",))
    found = find_quotients(Graph((*NORM[:6], root, product, NORM[-1]), ("x",), ("y",)))
    assert [one.outputs[0] for one in found] == ["squares", "variance", "safe", "reciprocal", "normal"]


def test_division_by_an_input_stays_float() -> None:
    """What a caller gives may be anything, so a division by it stays in float."""
    division = Operator("DIV", ("x", "z"), ("y",))
    assert find_quotients(Graph((division,), ("x", "z"), ("y",))) == [division]


def test_division_by_a_constant_is_quantised() -> None:
    """A constant is divided by as it is, so there is nothing to lose."""
    assert find_quotients(Graph((Operator("DIV", ("x", "six"), ("y",)),), ("x",), ("y",))) == []
