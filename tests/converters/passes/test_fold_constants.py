"""Folding: what is the same for every input is a constant, and everything else stays."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, shape_inference

from edgekit_converters.passes.fold_constants import FoldConstants

X = np.arange(8, dtype=np.float32).reshape(2, 4)


def test_chain_of_constants_becomes_one(make_model, check_answers, list_operators) -> None:
    """Operators on constants, one after the other, are replaced by the last one's result."""
    nodes = [
        helper.make_node("Constant", [], ["two"], value_int=2),
        helper.make_node("Cast", ["two"], ["half"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["w", "half"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "turned"], ["y"]),
    ]
    model = make_model(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, {"w": np.arange(12, dtype=np.float32).reshape(3, 4)})
    result = FoldConstants().run(model)
    assert result.modified
    assert list_operators(result.model) == ["Constant", "MatMul"]
    check_answers(model, result.model, {"x": X})


def test_sizes_that_are_known_are_numbers(make_model, check_answers, list_operators) -> None:
    """Of a shape with a batch that varies, an axis that does not is picked out as a number."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "last"], ["width"]),
        helper.make_node("Slice", ["shape", "one", "end"], ["tail"]),
        helper.make_node("Concat", ["free", "width", "tail"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ]
    weights = {"last": np.array([2]), "one": np.array([1]), "end": np.array([2]), "free": np.array([-1])}
    model = make_model(nodes, {"x": ["n", 2, 3]}, {"y": [None, None, None]}, weights)
    result = FoldConstants().run(model)
    assert list_operators(result.model) == ["Shape", "Reshape"]
    check_answers(model, result.model, {"x": np.arange(12, dtype=np.float32).reshape(2, 2, 3)})


def test_size_that_varies_stays(make_model) -> None:
    """The batch is taken from the input still."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["batch"]),
        helper.make_node("Reshape", ["x", "batch"], ["y"]),
    ]
    model = make_model(nodes, {"x": ["n"]}, {"y": [None]}, {"first": np.array([0])})
    result = FoldConstants().run(model)
    assert not result.modified
    assert result.model is model


def test_shape_of_a_part_is_that_part(make_model, check_answers, list_operators) -> None:
    """From opset 15 on Shape may give a part, from the end as well."""
    nodes = [helper.make_node("Shape", ["x"], ["tail"], start=-2), helper.make_node("Reshape", ["z", "tail"], ["y"])]
    model = make_model(nodes, {"x": ["n", 2, 3], "z": [6]}, {"y": [2, 3]})
    result = FoldConstants().run(model)
    assert list_operators(result.model) == ["Reshape"]
    check_answers(model, result.model, {"x": np.zeros((1, 2, 3), np.float32), "z": np.arange(6, dtype=np.float32)})


@pytest.mark.parametrize(
    ("node", "weights"),
    [
        (helper.make_node("ConstantOfShape", ["s"], ["c"]), {"s": np.array([1 << 40])}),
        (helper.make_node("Expand", ["one", "s"], ["c"]), {"one": np.float32(1), "s": np.array([1 << 20, 4])}),
        (helper.make_node("Tile", ["row", "s"], ["c"]), {"row": np.ones(4, np.float32), "s": np.array([1 << 20])}),
        (helper.make_node("Range", ["a", "b", "a"], ["c"]), {"a": np.float32(1), "b": np.float32(1 << 20)}),
    ],
)
def test_what_would_grow_the_file_stays(node, weights, make_model) -> None:
    """A few bytes that stand for many stay a few, and nobody takes the memory for them."""
    model = make_model([node, helper.make_node("Identity", ["c"], ["y"])], {"x": [4]}, {"y": [None]}, weights)
    assert not FoldConstants().run(model).modified


def test_division_by_zero_is_left_to_the_runtime(make_model) -> None:
    """An operator that cannot be computed stays."""
    nodes = [helper.make_node("Div", ["a", "b"], ["c"]), helper.make_node("Add", ["x", "c"], ["y"])]
    model = make_model(nodes, {"x": [1]}, {"y": [1]}, {"a": np.array([1]), "b": np.array([0])}, dtype=TensorProto.INT64)
    assert not FoldConstants().run(model).modified


def test_weights_in_integers_stay(make_model) -> None:
    """DequantizeLinear is not folded, or the weights would be floats again."""
    nodes = [helper.make_node("DequantizeLinear", ["w", "scale"], ["real"]), helper.make_node("MatMul", ["x", "real"], ["y"])]
    model = make_model(nodes, {"x": ["n", 4]}, {"y": ["n", 2]}, {"w": np.ones((4, 2), np.int8), "scale": np.float32(0.1)})
    assert not FoldConstants().run(model).modified


def test_output_stays_an_operators(make_model) -> None:
    """An output that is constant is still given by an operator, since not every runtime gives a weight."""
    model = make_model([helper.make_node("Neg", ["w"], ["y"])], {"x": [4]}, {"y": [4]}, {"w": np.ones(4, np.float32)})
    assert not FoldConstants().run(model).modified


def test_model_that_was_given_stays(make_model) -> None:
    """The pass works on a copy, and leaves no note of a tensor that is now a weight."""
    nodes = [helper.make_node("Neg", ["w"], ["v"]), helper.make_node("Add", ["x", "v"], ["y"])]
    model = shape_inference.infer_shapes(make_model(nodes, {"x": [4]}, {"y": [4]}, {"w": np.ones(4, np.float32)}))
    before = model.SerializeToString()
    folded = FoldConstants().run(model).model
    assert model.SerializeToString() == before
    assert not folded.graph.value_info
    np.testing.assert_array_equal(numpy_helper.to_array(folded.graph.initializer[1]), -np.ones(4))
