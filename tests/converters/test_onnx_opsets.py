"""Opsets that devices read."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgekit.errors import ConversionError
from edgekit_converters.onnx_opsets import find_opset, fit_opset


@pytest.fixture
def make_mean(make_model):
    """A mean over an axis, which is an input from opset 18 on and an attribute before."""

    def make(*nodes):
        weights = {"axes": np.array([1], np.int64)}
        return make_model([helper.make_node("ReduceMean", ["x", "axes"], ["m"]), *nodes], {"x": ["n", 4]}, {"m": ["n", 1]}, weights, opset=20)

    return make


def test_older_opset_says_the_same(make_mean) -> None:
    """A model of opset 20 in opset 17 gives the same answers, with the axis where opset 17 has it."""
    model = make_mean()
    lowered = fit_opset(model, 13, 17)
    assert find_opset(lowered) == 17
    assert "axes" in [attribute.name for attribute in lowered.graph.node[0].attribute]
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    answers = [onnx.reference.ReferenceEvaluator(one).run(None, {"x": x})[0] for one in (model, lowered)]
    np.testing.assert_array_equal(*answers)


def test_newer_opset_is_made_where_it_is_needed(make_conv) -> None:
    """A model of opset 11 becomes one of opset 13, and gives the same answers."""
    model = make_conv(classes=3)
    model.opset_import[0].version = 11
    raised = fit_opset(model, 13, 20)
    assert find_opset(raised) == 13
    x = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    answers = [onnx.reference.ReferenceEvaluator(one).run(None, {"image": x})[0] for one in (model, raised)]
    np.testing.assert_allclose(*answers, rtol=1e-5)


@pytest.mark.parametrize(("oldest", "newest"), [(11, None), (13, 20), (17, 17)])
def test_opset_within_the_bounds_stays(oldest, newest, make_conv) -> None:
    """A model that is read as it is stays the very same."""
    model = make_conv()
    assert fit_opset(model, oldest, newest) is model


def test_operator_that_cannot_be_said_is_named(make_mean) -> None:
    """Gelu came with opset 20: in opset 17 the model is refused, and the message has the operator and both opsets."""
    with pytest.raises(ConversionError, match=r"Gelu of opset 20 cannot be said in opset 17.*Export the model with opset 17"):
        fit_opset(make_mean(helper.make_node("Gelu", ["m"], ["g"])), 13, 17)


def test_other_failures_are_told_too(make_model) -> None:
    """Where onnx's converter fails without naming an operator, what it says is told."""
    body = helper.make_graph(
        [helper.make_node("ReduceMean", ["x", "axes"], ["inner"])], "body", [], [helper.make_tensor_value_info("inner", 1, ["n", 1])]
    )
    nodes = [helper.make_node("If", ["always"], ["y"], then_branch=body, else_branch=body)]
    model = make_model(nodes, {"x": ["n", 4]}, {"y": ["n", 1]}, {"axes": np.array([1], np.int64)}, opset=18)
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "always"))
    with pytest.raises(ConversionError, match=r"from opset 18 to opset 17: .*axes"):
        fit_opset(model, 13, 17)


def test_bounds_that_exclude_each_other_are_refused(make_conv) -> None:
    """What needs opset 13 is refused for a device that reads opset 11."""
    with pytest.raises(ConversionError, match="reads opset 11 at most, and this needs opset 13"):
        fit_opset(make_conv(), 13, 11)
