"""Transposing: a model takes its axes in another order, with the same answers."""

import numpy as np
from onnx.reference import ReferenceEvaluator

from edgekit_converters.passes.transpose_inputs import TransposeInputs


def test_colours_last_give_the_same_answers(make_conv) -> None:
    """A picture as NHWC gives what the same picture gave as NCHW, and the border says its new shape."""
    model = make_conv(classes=3)
    result = TransposeInputs({"image": (0, 2, 3, 1)}).run(model)
    assert result.modified
    (value,) = result.model.graph.input
    assert [one.dim_param or one.dim_value for one in value.type.tensor_type.shape.dim] == ["batch", 8, 8, 3]
    image = np.random.default_rng(8).normal(size=(2, 3, 8, 8)).astype(np.float32)
    wanted = ReferenceEvaluator(model).run(None, {"image": image})[0]
    np.testing.assert_array_equal(ReferenceEvaluator(result.model).run(None, {"image": image.transpose(0, 2, 3, 1)})[0], wanted)


def test_three_axes_in_a_circle_come_back(make_model) -> None:
    """An order that is not its own inverse is undone rightly."""
    from onnx import helper

    model = make_model([helper.make_node("Identity", ["x"], ["y"])], {"x": [2, 3, 4]}, {"y": [2, 3, 4]})
    turned = TransposeInputs({"x": (1, 2, 0)}).run(model).model
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    np.testing.assert_array_equal(ReferenceEvaluator(turned).run(None, {"x": array.transpose(1, 2, 0)})[0], array)


def test_same_order_changes_nothing(make_conv) -> None:
    """An order that is the model's own leaves it as it was."""
    model = make_conv()
    result = TransposeInputs({"image": (0, 1, 2, 3)}).run(model)
    assert not result.modified
    assert result.model is model
