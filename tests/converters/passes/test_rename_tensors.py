"""Renaming: a tensor has its new name wherever it is named."""

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from edgekit_converters.passes.rename_tensors import RenameTensors


def test_borders_are_renamed_and_the_answers_stay(make_conv) -> None:
    """An input and an output under new names give the same answers."""
    model = make_conv(name="x:0")
    result = RenameTensors({"x:0": "x", "features": "y", "first": "w"}).run(model)
    assert result.modified
    onnx.checker.check_model(result.model, full_check=True)
    image = np.random.default_rng(3).normal(size=(1, 3, 8, 8)).astype(np.float32)
    wanted = ReferenceEvaluator(model).run(["features"], {"x:0": image})[0]
    np.testing.assert_array_equal(ReferenceEvaluator(result.model).run(["y"], {"x": image})[0], wanted)


def test_names_inside_of_branches_follow(make_model) -> None:
    """A branch that takes a tensor from outside finds it under its new name."""
    inner = helper.make_graph([helper.make_node("Neg", ["x:0"], ["z"])], "inner", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, [4])])
    model = make_model(
        [helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner)], {"x:0": [4]}, {"y": [4]}, {"yes": np.array(True)}
    )
    renamed = RenameTensors({"x:0": "x"}).run(model).model
    onnx.checker.check_model(renamed, full_check=True)
    assert b"x:0" not in renamed.SerializeToString()


def test_nothing_to_rename_changes_nothing(make_conv) -> None:
    """Names that stand for themselves leave the model as it was."""
    model = make_conv()
    result = RenameTensors({"image": "image"}).run(model)
    assert not result.modified
    assert result.model == model
