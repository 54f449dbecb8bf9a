"""Which operators of a TFLite graph stay in float."""

from edgekit_converters.tflite_graphs import Graph, Operator
from edgekit_converters.tflite_mixed_ranges import find_mixed_operators

HEAD = (
    Operator("CONV_2D", ("image", "w"), ("map",)),
    Operator("LOGISTIC", ("map",), ("shares",)),
    Operator("MUL", ("shares", "640"), ("boxes",)),
    Operator("CONV_2D", ("image", "v"), ("logits",)),
    Operator("CONCATENATION", ("boxes", "logits"), ("both",)),
    Operator("TRANSPOSE", ("both",), ("out",)),
)
WIDE, NARROW = (0.0, 630.0), (0.0, 1.0)


def _name(operators: list[Operator]) -> list[str]:
    return [one.outputs[0] for one in operators]


def test_joint_of_different_ranges_stays_float_with_its_tail() -> None:
    """The joint stays in float with what moves its numbers on and with the light operators that lead to it, up to convolutions."""
    assert _name(find_mixed_operators(Graph(HEAD, ("image",), ("out",)), {"boxes": WIDE, "logits": NARROW})) == ["shares", "boxes", "both", "out"]


def test_joint_of_like_ranges_is_quantised() -> None:
    """Where one scale serves all that is joined nothing stays in float."""
    assert find_mixed_operators(Graph(HEAD, ("image",), ("out",)), {"boxes": (0.0, 8.0), "logits": NARROW}) == []


def test_joint_inside_the_network_is_quantised() -> None:
    """A joint behind which the network goes on computing is left to the quantizer: its numbers are no answers yet."""
    operators = (*HEAD, Operator("FULLY_CONNECTED", ("out", "u"), ("classes",)))
    assert find_mixed_operators(Graph(operators, ("image",), ("classes",)), {"boxes": WIDE, "logits": NARROW}) == []


def test_tensor_without_statistics_decides_nothing() -> None:
    """A constant, of which calibration says nothing, is no reason to leave the joint in float."""
    assert find_mixed_operators(Graph(HEAD, ("image",), ("out",)), {"boxes": WIDE}) == []
