"""Fixing: every size has one value, also between the operators."""

import pytest
from onnx import helper, shape_inference

from edgekit.errors import ConversionError
from edgekit_converters.passes.fix_shapes import FixShapes


def _shapes(values) -> dict[str, list[int | str]]:
    return {value.name: [one.dim_param or one.dim_value for one in value.type.tensor_type.shape.dim] for value in values}


def test_batch_is_fixed_everywhere(make_conv) -> None:
    """The batch becomes a number at the inputs, at the outputs, and at every tensor between, notes of it included."""
    noted = shape_inference.infer_shapes(make_conv(classes=3))
    result = FixShapes({"batch": 2}).run(noted)
    assert result.modified
    shapes = _shapes((*result.model.graph.input, *result.model.graph.output, *result.model.graph.value_info))
    assert shapes["image"] == [2, 3, 8, 8]
    assert shapes["scores"] == [2, 3]
    assert {shape[0] for shape in shapes.values()} == {2}


def test_fixed_model_stays(make_conv) -> None:
    """A model whose sizes are fixed comes out as it went in."""
    model = make_conv(batch=4)
    result = FixShapes({"batch": 1}).run(model)
    assert not result.modified
    assert result.model == model


def test_size_that_is_not_given_is_refused(make_model) -> None:
    """A size that varies and is not given is refused with the input and the size."""
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": ["batch", "length"]}, {"y": ["batch", "length"]})
    with pytest.raises(ConversionError, match=r"'x'.*'length'"):
        FixShapes({"batch": 1}).run(model)


def test_others_may_vary_where_that_is_said(make_model) -> None:
    """Of two sizes one is fixed, at the output too, and the other keeps its name."""
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": ["batch", "length"]}, {"y": ["batch", "length"]})
    result = FixShapes({"length": 7}, others_may_vary=True).run(model)
    assert result.modified
    assert _shapes((*result.model.graph.input, *result.model.graph.output)) == {"x": ["batch", 7], "y": ["batch", 7]}


def test_size_that_inference_loses_is_told_by_its_name(make_model) -> None:
    """Behind an operator of which onnx cannot work out the shape, an axis named like a fixed one has that size."""
    nodes = [helper.make_node("Fused", ["x"], ["y"], domain="com.microsoft")]
    model = make_model(nodes, {"x": ["batch", 4]}, {"y": ["batch", "classes"]})
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    fixed = FixShapes({"batch": 2}, others_may_vary=True).run(model).model
    assert _shapes(fixed.graph.output) == {"y": [2, "classes"]}
