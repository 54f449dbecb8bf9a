"""TensorRT's rules: a graph that keeps them all, and for each rule graphs that break it."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit_converters.nvidia_lint import Finding, lint


@pytest.fixture
def sound(make_model) -> onnx.ModelProto:
    """A convolution with integers on both sides, a bias in float, and a product with its own scales."""
    weights = {
        "x_scale": np.array(0.1, np.float32),
        "x_zero": np.array(0, np.int8),
        "w": np.arange(8, dtype=np.int8).reshape(4, 2, 1, 1),
        "w_scale": np.full(4, 0.1, np.float32),
        "w_zero": np.zeros(4, np.int8),
        "bias": np.ones(4, np.float32),
        "dense": np.ones((4, 3), np.int8),
        "dense_scale": np.full(3, 0.1, np.float32),
        "dense_zero": np.zeros(3, np.int8),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "x_scale", "x_zero"], ["xq"], name="x quantised"),
        helper.make_node("DequantizeLinear", ["xq", "x_scale", "x_zero"], ["xd"], name="x back"),
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["wd"], name="w back", axis=0),
        helper.make_node("Conv", ["xd", "wd", "bias"], ["c"], name="conv"),
        helper.make_node("GlobalAveragePool", ["c"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["f"], name="flatten"),
        helper.make_node("QuantizeLinear", ["f", "x_scale", "x_zero"], ["fq"], name="f quantised"),
        helper.make_node("DequantizeLinear", ["fq", "x_scale", "x_zero"], ["fd"], name="f back"),
        helper.make_node("DequantizeLinear", ["dense", "dense_scale", "dense_zero"], ["dd"], name="dense back", axis=1),
        helper.make_node("MatMul", ["fd", "dd"], ["y"], name="product"),
    ]
    return make_model(nodes, {"x": ["n", 2, 4, 4]}, {"y": ["n", 3]}, weights)


def _set(model, name, array) -> None:
    tensor = next(one for one in model.graph.initializer if one.name == name)
    tensor.CopyFrom(numpy_helper.from_array(array, name))


def _node(model, name):
    return next(node for node in model.graph.node if node.name == name)


def _add(model, *nodes) -> None:
    model.graph.node.extend(nodes)


def _older(model) -> None:
    model.opset_import[0].version = 8


def _newer(model) -> None:
    model.opset_import[0].version = 21


def _foreign(model) -> None:
    _add(model, helper.make_node("FastGelu", ["y"], ["z"], name="gelu", domain="com.microsoft"))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def _unsupported(model) -> None:
    _add(model, helper.make_node("Unique", ["y"], ["z"], name="unique"))


def _half_border(model) -> None:
    _add(model, helper.make_node("Cast", ["y"], ["z"], name="cast", to=TensorProto.FLOAT16))
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT16, ["n", 3]))


def _mixed_types(model) -> None:
    _set(model, "bias", np.ones(4, np.float16))


def _unsigned(model) -> None:
    _add(model, *_pair("u", np.array(0.1, np.float32), "u_zero"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(0, np.uint8), "u_zero"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(0.1, np.float32), "u_scale"))


def _pair(name, scale, zero):
    return (
        helper.make_node("QuantizeLinear", ["f", f"{name}_scale", zero], [f"{name}q"], name=f"{name} quantised"),
        helper.make_node("DequantizeLinear", [f"{name}q", f"{name}_scale", zero], [f"{name}d"], name=f"{name} back"),
    )


def _shifted(model) -> None:
    _set(model, "w_zero", np.array([0, 0, 1, 0], np.int8))


def _without_zero(model) -> None:
    del _node(model, "dense back").input[2]


def _zero_scale(model) -> None:
    _set(model, "dense_scale", np.array([0.1, 0, 0.1], np.float32))


def _no_number(model) -> None:
    _set(model, "dense_scale", np.array([0.1, np.nan, 0.1], np.float32))


def _computed_scale(model) -> None:
    model.graph.node.insert(0, helper.make_node("Abs", ["dense_scale"], ["computed"], name="abs"))
    _node(model, "dense back").input[1] = "computed"


def _per_channel_activation(model) -> None:
    for name in ("f quantised", "f back"):
        node = _node(model, name)
        node.input[1:] = ["f_scale", "w_zero"]
        node.attribute.append(helper.make_attribute("axis", 1))
    model.graph.initializer.append(numpy_helper.from_array(np.full(4, 0.1, np.float32), "f_scale"))


def _other_scale_back(model) -> None:
    _node(model, "f back").input[1] = "other_scale"
    model.graph.initializer.append(numpy_helper.from_array(np.array(0.2, np.float32), "other_scale"))


def _integers_elsewhere(model) -> None:
    _add(model, helper.make_node("Cast", ["fq"], ["z"], name="cast", to=TensorProto.FLOAT))


def _integers_out(model) -> None:
    model.graph.output.append(helper.make_tensor_value_info("fq", TensorProto.INT8, ["n", 4]))


def _one_scale_for_weights(model) -> None:
    _set(model, "w_scale", np.array(0.1, np.float32))
    _set(model, "w_zero", np.array(0, np.int8))


def _wrong_axis(model) -> None:
    # As many inputs as outputs: only the axis tells that the scales are along the wrong one.
    _set(model, "dense", np.ones((3, 3), np.int8))
    _set(model, "w", np.ones((3, 2, 1, 1), np.int8))
    _set(model, "w_scale", np.full(3, 0.1, np.float32))
    _set(model, "w_zero", np.zeros(3, np.int8))
    _set(model, "bias", np.ones(3, np.float32))
    _node(model, "dense back").attribute[0].i = 0


def _weights_alone(model) -> None:
    _node(model, "product").input[0] = "f"
    for name in ("f back", "f quantised"):
        model.graph.node.remove(_node(model, name))


def _quantised_bias(model) -> None:
    _set(model, "bias", np.ones(4, np.int8))
    model.graph.node.insert(0, helper.make_node("DequantizeLinear", ["bias", "w_scale", "w_zero"], ["bias_back"], name="bias back", axis=0))
    _node(model, "conv").input[2] = "bias_back"


def test_sound_graph_has_no_finding(sound) -> None:
    """A graph that keeps every rule is passed, and it is valid ONNX."""
    onnx.checker.check_model(sound, full_check=True)
    assert lint(sound) == []


# fmt: off
_BREACHES = [
    (_older, "opset", "model", "9 to 20"),
    (_newer, "opset", "model", "9 to 20"),
    (_foreign, "operators", "gelu", "com.microsoft.FastGelu"),
    (_unsupported, "operators", "unique", "no Unique"),
    (_half_border, "borders", "z", "in half"),
    (_mixed_types, "types", "model", "conv): B has inconsistent type"),
    (_unsigned, "zero points", "u quantised", "uint8"),
    (_shifted, "zero points", "w back", "not zero"),
    (_without_zero, "zero points", "dense back", "left out"),
    (_zero_scale, "scales", "dense back", "not positive"),
    (_no_number, "scales", "dense back", "not positive"),
    (_computed_scale, "scales", "dense back", "no constant"),
    (_per_channel_activation, "activations", "f quantised", "4 scales"),
    (_other_scale_back, "activations", "f back", "another scale"),
    (_integers_elsewhere, "pairs", "f quantised", "elsewhere"),
    (_integers_out, "pairs", "f quantised", "elsewhere"),
    (_one_scale_for_weights, "weights", "conv", "1 scales for 4 channels"),
    (_wrong_axis, "weights", "product", "along axis 0"),
    (_weights_alone, "weighted inputs", "product", "is not"),
    (_quantised_bias, "biases", "conv", "bias is quantised"),
]
# fmt: on


@pytest.mark.parametrize(("breach", "rule", "node", "told"), _BREACHES)
def test_breach_is_found(breach, rule, node, told, sound) -> None:
    """Each breach is found by its rule, at its node, in words."""
    breach(sound)
    findings = [finding for finding in lint(sound) if finding.rule == rule]
    assert [finding.node for finding in findings][:1] == [node]
    assert told in findings[0].problem


def test_finding_is_told_with_its_place_and_rule(sound) -> None:
    """As text a finding has the node, the problem and the rule."""
    _weights_alone(sound)
    assert str(lint(sound)[0]).startswith("product: its weights are quantised")
    assert str(lint(sound)[0]).endswith("(weighted inputs)")


def test_long_names_are_cut_where_they_are_told() -> None:
    """A finding tells the end of a name that fusing made of hundreds of letters, and a short one whole."""
    assert str(Finding("weights", "conv", "odd")) == "conv: odd (weights)"
    told = str(Finding("weights", "a" * 300 + "conv7", "odd"))
    assert told.endswith("aconv7: odd (weights)")
    assert len(told) < 100
