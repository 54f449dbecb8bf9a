"""What is thought of for a model, and what can be tried of it."""

import pytest

from edgekit.attempts import choose_paying

ALL = ("int8", "int8-dynamic", "int8-weights", "int4-weights", "fp32")


@pytest.mark.parametrize(
    ("paying", "worth", "tried"),
    [
        (ALL, ("fp32", "int8"), ["int8", "fp32"]),
        (ALL, ("fp32", "int8-dynamic", "int4-weights"), ["int8-dynamic", "int4-weights", "fp32"]),
        (("int8", "int8-weights", "fp32"), ("fp32", "int8-dynamic"), ["fp32"]),
        (("int8", "fp16"), ("fp32", "int8"), ["int8", "fp16"]),
        (("int8",), ("fp32", "int8-dynamic"), ["int8"]),
    ],
)
def test_a_targets_precisions_are_those_that_suit_the_model(paying: tuple[str, ...], worth: tuple[str, ...], tried: list[str]) -> None:
    """Of integers those are tried that suit the model too, floats as the target has them, and its only precision in any case."""
    assert list(choose_paying(paying, worth)) == tried
