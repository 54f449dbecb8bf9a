"""Specs of ONNX inputs and outputs."""

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from edgekit.errors import InputError
from edgekit_converters.onnx_specs import describe_inputs, describe_outputs

HERE = Path("given.onnx")


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        (["n", 3, 224, 224], "NCHW"),
        (["n", 1, "height", "width"], "NCHW"),
        (["n", 96, 96, 3], "NHWC"),
        (["n", 3, 3, 3], None),
        (["n", 64, 8, 8], None),
        (["n", 3, 224], None),
    ],
)
def test_layout_is_said_only_where_it_is_clear(shape, layout, make_model) -> None:
    """A picture's layout is told by its channels, and left open where either axis could be them."""
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": shape}, {"y": shape})
    assert describe_inputs(model, HERE)[0].layout == layout


def test_integers_have_no_layout_and_need_not_be_finite(make_model) -> None:
    """What is said of pictures and of finite values is said of floats alone."""
    model = make_model([helper.make_node("Identity", ["x"], ["y"])], {"x": ["n", 3, 8, 8]}, {"y": ["n", 3, 8, 8]}, dtype=TensorProto.INT64)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    image, answer = describe_inputs(model, HERE)[0], describe_outputs(model, HERE)[0]
    assert (image.dtype, image.layout) == ("int64", None)
    assert (answer.dtype, answer.finite) == ("int64", False)


def test_output_without_a_shape_is_refused(make_model) -> None:
    """An output of which not even the number of axes is known is refused by name."""
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": ["n"]}, {"y": ["n"]})
    model.graph.output[0].type.tensor_type.ClearField("shape")
    with pytest.raises(InputError, match="'y'"):
        describe_outputs(model, HERE)


@pytest.mark.parametrize(("name", "shape"), [("x" * 257, [4]), ("x", [1] * 33), ("x", [-4])])
def test_what_no_spec_can_say_is_refused(name, shape, make_model) -> None:
    """A name of more than 256 letters, more than 32 axes, and a negative size are refused in words."""
    model = make_model([helper.make_node("Relu", [name], ["y"])], {name: shape}, {"y": shape})
    with pytest.raises(InputError, match=r"input 'x+'"):
        describe_inputs(model, HERE)
