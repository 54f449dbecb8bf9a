"""Functions of a model's own: put in their place, and never without bound."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from edgekit.errors import InputError
from edgekit_converters.onnx_functions import inline_functions

HERE = Path("given.onnx")
OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]


def _call(name, given, made):
    return helper.make_node(name, [given], [made], domain="own")


def _with_functions(make_model, **bodies):
    model = make_model([_call(next(iter(bodies)), "x", "y")], {"x": [4]}, {"y": [4]})
    model.opset_import.append(OPSETS[1])
    model.functions.extend(helper.make_function("own", name, ["a"], ["b"], body, OPSETS) for name, body in bodies.items())
    return model


def test_functions_take_the_place_of_their_calls(make_model) -> None:
    """A function that calls another one is opened with it, and the answers stay."""
    model = _with_functions(
        make_model,
        Twice=[_call("Next", "a", "m"), _call("Next", "m", "b")],
        Next=[helper.make_node("Constant", [], ["one"], value_float=1.0), helper.make_node("Add", ["a", "one"], ["b"])],
    )
    inlined = inline_functions(model, HERE)
    assert not inlined.functions
    assert {node.domain for node in inlined.graph.node} == {""}
    x = np.arange(4, dtype=np.float32)
    np.testing.assert_array_equal(ReferenceEvaluator(inlined).run(None, {"x": x})[0], x + 2)


def test_model_without_functions_stays(make_conv) -> None:
    """Where there is nothing to do, nothing is done."""
    model = make_conv()
    assert inline_functions(model, HERE) is model


def test_function_that_nobody_calls_is_dropped(make_model) -> None:
    """Exporters leave functions that are used no more."""
    model = make_model([helper.make_node("Neg", ["x"], ["y"])], {"x": [4]}, {"y": [4]})
    model.opset_import.append(OPSETS[1])
    model.functions.append(helper.make_function("own", "Unused", ["a"], ["b"], [helper.make_node("Abs", ["a"], ["b"])], OPSETS))
    inlined = inline_functions(model, HERE)
    assert not inlined.functions
    assert [node.op_type for node in inlined.graph.node] == ["Neg"]


@pytest.mark.parametrize(
    "bodies",
    [
        {"Self": [_call("Self", "a", "b")]},
        {"Ping": [_call("Pong", "a", "b")], "Pong": [_call("Ping", "a", "b")]},
    ],
)
def test_function_that_calls_itself_is_refused(bodies, make_model) -> None:
    """Recursion, direct or in a circle, is refused by name."""
    with pytest.raises(InputError, match=r"'own\.\w+' calls itself"):
        inline_functions(_with_functions(make_model, **bodies), HERE)


def test_recursion_inside_of_a_branch_is_found(make_model) -> None:
    """A call in the body of a branch counts as one."""
    inner = helper.make_graph([_call("Self", "a", "z")], "inner", [], [helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, [4])])
    condition = helper.make_node("Constant", [], ["yes"], value=onnx.numpy_helper.from_array(np.array(True)))
    body = [condition, helper.make_node("If", ["yes"], ["b"], then_branch=inner, else_branch=inner)]
    with pytest.raises(InputError, match="calls itself"):
        inline_functions(_with_functions(make_model, Self=body), HERE)


def test_growth_without_bound_is_refused_before_it_happens(make_model) -> None:
    """Sixty functions that each call the next one twice would be 2^60 operators, and are refused by counting."""
    bodies = {f"F{level}": [_call(f"F{level + 1}", "a", "m"), _call(f"F{level + 1}", "m", "b")] for level in range(59)}
    with pytest.raises(InputError, match=r"operators") as refused:
        inline_functions(_with_functions(make_model, **bodies, F59=[helper.make_node("Relu", ["a"], ["b"])]), HERE)
    assert int(re.search(r"(\d+) operators", str(refused.value))[1]) > 1 << 59


def test_endless_staircase_is_refused(make_model) -> None:
    """Functions that call one another deeper than anybody writes them are refused."""
    bodies = {f"F{level}": [_call(f"F{level + 1}", "a", "b")] for level in range(3000)}
    with pytest.raises(InputError, match="deep"):
        inline_functions(_with_functions(make_model, **bodies, F3000=[helper.make_node("Relu", ["a"], ["b"])]), HERE)
