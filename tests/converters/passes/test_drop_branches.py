"""Branches: the one that is always taken stands in the place of its If, and its names clash with none."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit_converters.passes.drop_branches import DropBranches

X = np.arange(4, dtype=np.float32)


def _branch(nodes, output="z", weights=None):
    listed = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    return helper.make_graph(nodes, "branch", [], [helper.make_tensor_value_info(output, TensorProto.FLOAT, [4])], listed)


def _if(condition="yes", output="y", then=None, other=None):
    then = then or _branch([helper.make_node("Neg", ["x"], ["a"]), helper.make_node("Add", ["a", "w"], ["z"])], weights={"w": np.ones(4, np.float32)})
    other = other or _branch([helper.make_node("Abs", ["x"], ["z"])])
    return helper.make_node("If", [condition], [output], then_branch=then, else_branch=other)


@pytest.mark.parametrize(("yes", "left"), [(True, ["Neg", "Add", "Identity"]), (False, ["Abs", "Identity"])])
def test_branch_that_is_taken_stays(yes, left, make_model, check_answers, list_operators) -> None:
    """An If with a constant condition becomes the operators of one branch."""
    model = make_model([_if()], {"x": [4]}, {"y": [4]}, {"yes": np.array(yes)})
    result = DropBranches().run(model)
    assert result.modified
    assert list_operators(result.model) == left
    check_answers(model, result.model, {"x": X})


def test_condition_may_come_from_a_constant_operator(make_model, check_answers) -> None:
    """A Constant operator as the condition, of shape [1] as exporters write it, counts as well."""
    condition = helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array([True])))
    model = make_model([condition, _if()], {"x": [4]}, {"y": [4]})
    result = DropBranches().run(model)
    assert result.modified
    check_answers(model, result.model, {"x": X})


def test_equal_names_in_two_branches_do_not_clash(make_model, check_answers, list_operators) -> None:
    """Two Ifs whose branches use the same names become operators with names of their own."""
    nodes = [_if(output="first"), _if(output="second"), helper.make_node("Mul", ["first", "second"], ["y"])]
    model = make_model(nodes, {"x": [4]}, {"y": [4]}, {"yes": np.array(True)})
    result = DropBranches().run(model)
    assert list_operators(result.model).count("Add") == 2
    check_answers(model, result.model, {"x": X})


def test_branch_may_give_what_is_outside_of_it(make_model, check_answers) -> None:
    """A branch that only passes on a tensor from outside is opened too."""
    passing = _branch([helper.make_node("Identity", ["x"], ["z"])])
    model = make_model([_if(then=passing)], {"x": [4]}, {"y": [4]}, {"yes": np.array(True)})
    check_answers(model, DropBranches().run(model).model, {"x": X})


def test_inner_branch_goes_in_the_next_round(make_model, check_answers, list_operators) -> None:
    """An If inside of the branch that is taken comes out, and goes when the pass is run again."""
    model = make_model([_if(then=_branch([_if(output="z")]))], {"x": [4]}, {"y": [4]}, {"yes": np.array(True)})
    once = DropBranches().run(model).model
    assert "If" in list_operators(once)
    twice = DropBranches().run(once).model
    assert "If" not in list_operators(twice)
    check_answers(model, twice, {"x": X})


def test_condition_that_depends_on_the_input_stays(make_model) -> None:
    """An If whose condition is computed from the input stays, and so does the model."""
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
        helper.make_node("Cast", ["m"], ["positive"], to=TensorProto.BOOL),
        _if("positive"),
    ]
    model = make_model(nodes, {"x": [4]}, {"y": [4]})
    result = DropBranches().run(model)
    assert not result.modified
    assert result.model is model
