"""Names in a graph: who reads, what is constant, what is free."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edgekit_converters.passes.graph_names import choose_name, count_readers, find_constants, list_names


def _make(make_model):
    inner = helper.make_graph([helper.make_node("Add", ["x", "w"], ["z"])], "inner", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, [4])])
    nodes = [helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner)]
    return make_model(nodes, {"x": [4]}, {"y": [4]}, {"yes": np.array(True), "w": np.ones(4, np.float32)})


def test_readers_inside_of_branches_count(make_model) -> None:
    """A tensor that two branches read is read twice, and an output once."""
    readers = count_readers(_make(make_model).graph)
    assert (readers["x"], readers["w"], readers["yes"], readers["y"]) == (2, 2, 1, 1)


def test_names_inside_of_branches_are_taken(make_model) -> None:
    """A name that only a branch uses is not free."""
    assert list_names(_make(make_model).graph) >= {"x", "y", "z", "w", "yes"}


def test_free_name_is_the_wanted_one_or_numbered() -> None:
    """A free name is taken as it is, a taken one with the next number, and both are taken then."""
    taken = {"a"}
    assert [choose_name(name, taken) for name in ("b", "a", "a")] == ["b", "a_1", "a_2"]


def test_constants_in_every_writing_are_found(make_model) -> None:
    """Initialisers, and Constant with a tensor, a number or numbers; a string is left out."""
    nodes = [
        helper.make_node("Constant", [], ["tensor"], value=numpy_helper.from_array(np.arange(3))),
        helper.make_node("Constant", [], ["number"], value_float=1.5),
        helper.make_node("Constant", [], ["numbers"], value_ints=[1, 2]),
        helper.make_node("Constant", [], ["text"], value_string="words"),
    ]
    found = {name: numpy_helper.to_array(tensor) for name, tensor in find_constants(make_model(nodes, {}, {}, {"w": np.float32(2)}).graph).items()}
    assert {name: array.tolist() for name, array in found.items()} == {"w": 2.0, "tensor": [0, 1, 2], "number": 1.5, "numbers": [1, 2]}
    assert (found["number"].dtype, found["numbers"].dtype) == (np.float32, np.int64)
