"""Names and order of nodes."""

from graphlib import CycleError

import numpy as np
import onnx
import pytest
from onnx import helper

from edgekit_converters.onnx_graphs import copy_model, lift_constants, name_nodes, replace_nodes, sort_nodes


def test_each_node_gets_a_name_of_its_own(make_model) -> None:
    """Nodes without a name, or with one that another has, get one that tells their operator; other names stay."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="one"),
        helper.make_node("Abs", ["a"], ["b"], name="one"),
        helper.make_node("Neg", ["b"], ["y"]),
    ]
    model = make_model(nodes, {"x": [2]}, {"y": [2]})
    name_nodes(model)
    assert [node.name for node in model.graph.node] == ["one", "Abs:1", "Neg:2"]


def test_nodes_follow_what_they_take(make_model) -> None:
    """Nodes in any order are brought into one in which they can run, by what their branches take as well."""
    body = helper.make_graph([helper.make_node("Neg", ["late"], ["inner"])], "body", [], [helper.make_tensor_value_info("inner", 1, [2])])
    nodes = [
        helper.make_node("If", ["sure"], ["y"], then_branch=body, else_branch=body),
        helper.make_node("Abs", ["early"], ["late"]),
        helper.make_node("Relu", ["x"], ["early"]),
    ]
    model = make_model(nodes, {"x": [2]}, {"y": [2]}, {"sure": np.array(True)})
    sort_nodes(model)
    assert [node.op_type for node in model.graph.node] == ["Relu", "Abs", "If"]
    onnx.checker.check_model(model, full_check=True)


def test_circle_has_no_order(make_model) -> None:
    """Nodes that wait for each other are told."""
    nodes = [helper.make_node("Abs", ["b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    with pytest.raises(CycleError):
        sort_nodes(make_model(nodes, {"x": [2]}, {"a": [2]}))


def test_constants_become_initialisers(make_model) -> None:
    """A Constant's tensor is among the weights afterwards, and the node is gone."""
    value = onnx.numpy_helper.from_array(np.array([1, 2], np.float32))
    nodes = [helper.make_node("Constant", [], ["c"], value=value), helper.make_node("Add", ["x", "c"], ["y"])]
    model = make_model(nodes, {"x": [2]}, {"y": [2]})
    lift_constants(model)
    assert [node.op_type for node in model.graph.node] == ["Add"]
    assert {tensor.name: onnx.numpy_helper.to_array(tensor).tolist() for tensor in model.graph.initializer} == {"c": [1, 2]}
    onnx.checker.check_model(model, full_check=True)


def test_copy_is_another(make_conv) -> None:
    """What is done to a copy leaves the model as it was."""
    model = make_conv()
    copied = copy_model(model)
    replace_nodes(copied, [])
    assert len(model.graph.node) == 3
