"""Casting: a model takes other numbers, and computes with its own."""

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from edgekit_converters.passes.cast_inputs import CastInputs


@pytest.mark.parametrize(("dtype", "kind"), [(np.uint8, TensorProto.UINT8), (np.int32, TensorProto.INT32), (np.float16, TensorProto.FLOAT16)])
def test_other_numbers_give_the_same_answers(dtype, kind, make_conv) -> None:
    """Numbers that both dtypes have give the same answers under either, and names and outputs stay."""
    model = make_conv(classes=3)
    result = CastInputs({"image": kind}).run(model)
    assert result.modified
    assert result.model.graph.input[0].name == "image"
    assert result.model.graph.input[0].type.tensor_type.elem_type == kind
    assert result.model.graph.output == model.graph.output
    image = np.random.default_rng(7).integers(0, 255, (2, 3, 8, 8)).astype(dtype)
    wanted = ReferenceEvaluator(model).run(None, {"image": image.astype(np.float32)})[0]
    np.testing.assert_array_equal(ReferenceEvaluator(result.model).run(None, {"image": image})[0], wanted)


def test_same_dtype_changes_nothing(make_conv) -> None:
    """An input that has that dtype already stays, and so does the model."""
    model = make_conv()
    result = CastInputs({"image": TensorProto.FLOAT}).run(model)
    assert not result.modified
    assert result.model is model


def test_branches_read_the_cast(make_model) -> None:
    """The body of a branch that reads the input reads it with the dtype that it knows."""
    inner = helper.make_graph([helper.make_node("Neg", ["x"], ["z"])], "inner", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, [4])])
    model = make_model(
        [helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner)], {"x": [4]}, {"y": [4]}, {"yes": np.array(True)}
    )
    cast = CastInputs({"x": TensorProto.INT8}).run(model).model
    answer = ReferenceEvaluator(cast).run(None, {"x": np.array([1, -2, 3, -4], np.int8)})[0]
    assert answer.tolist() == [-1, 2, -3, 4]
    assert answer.dtype == np.float32
