"""Where integers go: the inputs of weighted operators, and one input of what ends a skip connection."""

import numpy as np
import onnx
import pytest
from onnx import helper

from edgekit_converters.nvidia_placing import free_branches, list_residuals, list_unfit


def _floats(*shape):
    return np.random.default_rng(7).normal(0, 0.3, shape).astype(np.float32)


@pytest.fixture
def residual(make_model) -> onnx.ModelProto:
    """Two blocks of a ResNet: one adds its input, the other a convolution of it."""
    weights = {
        "stem": _floats(4, 2, 3, 3),
        "a": _floats(4, 4, 3, 3),
        "b": _floats(4, 4, 3, 3),
        "c": _floats(4, 4, 3, 3),
        "short": _floats(4, 4, 1, 1),
    }
    nodes = [
        helper.make_node("Conv", ["x", "stem"], ["s"], name="stem", pads=[1] * 4),
        helper.make_node("Relu", ["s"], ["r"], name="relu"),
        helper.make_node("Conv", ["r", "a"], ["first"], name="a", pads=[1] * 4),
        helper.make_node("Add", ["r", "first"], ["sum"], name="identity block"),
        helper.make_node("Conv", ["sum", "b"], ["b1"], name="b", pads=[1] * 4),
        helper.make_node("Relu", ["b1"], ["b2"], name="relu 2"),
        helper.make_node("Conv", ["b2", "c"], ["branch"], name="c", pads=[1] * 4),
        helper.make_node("Conv", ["sum", "short"], ["shortcut"], name="short"),
        helper.make_node("Add", ["branch", "shortcut"], ["y"], name="projection block"),
    ]
    return make_model(nodes, {"x": ["n", 2, 6, 6]}, {"y": ["n", 4, 6, 6]}, weights)


def test_branch_of_a_skip_connection_is_the_convolution_behind_it(residual) -> None:
    """An Add's branch is the convolution made for it alone; of two, the one further from the model's input."""
    assert [(node.name, node.input[index]) for node, index in list_residuals(residual.graph)] == [
        ("identity block", "first"),
        ("projection block", "branch"),
    ]


def test_additions_of_other_kinds_are_no_skip_connections(make_model) -> None:
    """A bias that is added, an input of the model, and a convolution that others take too are left alone."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node("Add", ["c", "bias"], ["biased"], name="bias"),
        helper.make_node("Add", ["biased", "x"], ["with input"], name="with input"),
        helper.make_node("Add", ["with input", "c"], ["y"], name="shared"),
    ]
    model = make_model(nodes, {"x": ["n", 2, 4, 4]}, {"y": ["n", 2, 4, 4]}, {"w": _floats(2, 2, 1, 1), "bias": _floats(1, 2, 1, 1)})
    assert list_residuals(model.graph) == []
    assert list_unfit(model) == ["bias", "with input", "shared"]


def test_products_that_tensorrt_has_no_scales_for_stay_in_float(make_model) -> None:
    """Two activations, weights in front or with three axes, groups of a ConvTranspose, and a Gemm with factors stay in float."""
    weights = {"w": _floats(4, 4), "stack": _floats(1, 4, 4), "up": _floats(2, 1, 2, 2)}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="fit"),
        helper.make_node("MatMul", ["a", "x"], ["b"], name="activations"),
        helper.make_node("MatMul", ["w", "b"], ["c"], name="in front"),
        helper.make_node("MatMul", ["c", "stack"], ["d"], name="stacked"),
        helper.make_node("Gemm", ["x", "w"], ["e"], name="scaled", alpha=0.5),
        helper.make_node("Gemm", ["x", "w"], ["f"], name="plain", transB=1),
        helper.make_node("ConvTranspose", ["z", "up"], ["g"], name="groups", group=2),
        helper.make_node("ConvTranspose", ["z", "up"], ["h"], name="no groups"),
    ]
    model = make_model(nodes, {"x": [4, 4], "z": [1, 2, 2, 2]}, {"d": [1, 4, 4], "e": [4, 4], "f": [4, 4], "g": [1, 2, 4, 4]}, weights)
    assert list_unfit(model) == ["activations", "in front", "stacked", "scaled", "groups"]


def test_branch_is_freed_of_its_integers(make_model) -> None:
    """The Add takes the convolution's own numbers, and the pair that nobody reads goes with its constants."""
    weights = {"w": _floats(2, 2, 1, 1), "s": np.array(0.1, np.float32), "t": np.array(0.2, np.float32), "z": np.array(0, np.int8)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node("QuantizeLinear", ["c", "s", "z"], ["cq"], name="c quantised"),
        helper.make_node("DequantizeLinear", ["cq", "s", "z"], ["cd"], name="c back"),
        helper.make_node("QuantizeLinear", ["x", "t", "z"], ["xq"], name="x quantised"),
        helper.make_node("DequantizeLinear", ["xq", "t", "z"], ["xd"], name="x back"),
        helper.make_node("Add", ["cd", "xd"], ["y"], name="add"),
    ]
    freed = free_branches(make_model(nodes, {"x": ["n", 2, 4, 4]}, {"y": ["n", 2, 4, 4]}, weights), [("add", 0)])
    onnx.checker.check_model(freed, full_check=True)
    assert [node.name for node in freed.graph.node] == ["conv", "x quantised", "x back", "add"]
    assert list(freed.graph.node[-1].input) == ["c", "xd"]
    assert [tensor.name for tensor in freed.graph.initializer] == ["w", "t", "z"]


def test_addition_in_float_stays(residual) -> None:
    """Where the quantiser left an Add in float, nothing is changed."""
    assert free_branches(residual, [("identity block", 1)]) == residual
