"""Naming: each size has a value or a name that a spec can bear."""

import pytest
from onnx import helper

from edgekit_converters.passes.name_dimensions import NameDimensions


def _model(make_model, *sizes):
    return make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": list(sizes)}, {"y": list(sizes)})


def _sizes(value) -> list[int | str]:
    return [one.dim_param or one.dim_value for one in value.type.tensor_type.shape.dim]


def test_unknown_sizes_are_named_after_their_place(make_model) -> None:
    """A size without value or name is named after its kind, place and axis."""
    result = NameDimensions().run(_model(make_model, None, 3, None))
    assert result.modified
    assert _sizes(result.model.graph.input[0]) == ["input0_dim0", 3, "input0_dim2"]
    assert _sizes(result.model.graph.output[0]) == ["output0_dim0", 3, "output0_dim2"]


@pytest.mark.parametrize("size", [0, -1, "x" * 65])
def test_sizes_that_say_nothing_are_named(size, make_model) -> None:
    """Zero, a negative number and an overlong expression are exporters' ways to say unknown."""
    assert _sizes(NameDimensions().run(_model(make_model, size)).model.graph.input[0]) == ["input0_dim0"]


def test_names_and_values_stay(make_model) -> None:
    """What is named or fixed stays, and the model is said not to have changed."""
    model = _model(make_model, "batch", 3)
    result = NameDimensions().run(model)
    assert not result.modified
    assert result.model == model
