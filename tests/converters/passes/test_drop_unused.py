"""Dropping: what no output depends on goes, and nothing else."""

import numpy as np
from onnx import TensorProto, helper

from edgekit_converters.passes.drop_unused import DropUnused

X = np.arange(4, dtype=np.float32)


def test_what_nobody_reads_goes(make_model, check_answers, list_operators) -> None:
    """Operators whose results end nowhere go, one behind the other, with their weights."""
    nodes = [helper.make_node("Add", ["x", "w"], ["a"]), helper.make_node("Neg", ["a"], ["b"]), helper.make_node("Abs", ["x"], ["y"])]
    model = make_model(nodes, {"x": [4]}, {"y": [4]}, {"w": np.ones(4, np.float32)})
    result = DropUnused().run(model)
    assert result.modified
    assert list_operators(result.model) == ["Abs"]
    assert not result.model.graph.initializer
    check_answers(model, result.model, {"x": X})


def test_what_a_branch_reads_stays(make_model, check_answers) -> None:
    """A tensor and a weight that only the bodies of an If read are used."""
    inner = helper.make_graph([helper.make_node("Add", ["a", "w"], ["z"])], "inner", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, [4])])
    nodes = [
        helper.make_node("Neg", ["x"], ["a"]),
        helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
        helper.make_node("Cast", ["m"], ["yes"], to=TensorProto.BOOL),
        helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner),
    ]
    model = make_model(nodes, {"x": [4]}, {"y": [4]}, {"w": np.ones(4, np.float32)})
    result = DropUnused().run(model)
    assert not result.modified
    assert result.model is model


def test_input_that_nobody_reads_stays(make_model) -> None:
    """Callers go on giving every input that the source has."""
    nodes = [helper.make_node("Neg", ["z"], ["a"]), helper.make_node("Abs", ["x"], ["y"])]
    result = DropUnused().run(make_model(nodes, {"x": [4], "z": [4]}, {"y": [4]}))
    assert result.modified
    assert [value.name for value in result.model.graph.input] == ["x", "z"]
