"""16 bits: weights stored in half, and networks typed in half."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.errors import ConversionError
from edgekit_converters.onnx_casting import store_halved, type_halved

TYPES = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}


def _run(model, inputs):
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def _tokens():
    return {"tokens": np.random.default_rng(3).integers(0, 100, (4, 8))}


@pytest.mark.parametrize("number", ["fp16", "bf16"])
def test_weights_are_stored_in_half(number, make_dense) -> None:
    """Every large weight takes half the room, a Cast stands behind it, and all that computes is in float32."""
    model = make_dense()
    halved = store_halved(model, number)
    stored = {tensor.name: tensor.data_type for tensor in halved.graph.initializer}
    assert stored == {f"{name}:{number}": TYPES[number] for name in ("table", "up", "down", "head")} | {"bias": TensorProto.FLOAT}
    assert [node.op_type for node in halved.graph.node][:5] == ["Cast"] * 4 + ["Gather"]
    assert halved.ByteSize() < 0.6 * model.ByteSize()


@pytest.mark.parametrize(("number", "most"), [("fp16", 1e-3), ("bf16", 1e-2)])
def test_answers_deviate_by_rounding(number, most, make_dense) -> None:
    """The answers are those of the weights rounded to 11 bits, or to 8."""
    model = make_dense()
    wanted, found = (_run(one, _tokens()) for one in (model, store_halved(model, number)))
    assert 0 < np.abs(wanted - found).max() < most * np.ptp(wanted)


def test_weight_beyond_half_stays(make_model) -> None:
    """A tensor with a number that float16 cannot hold stays in float32; bfloat16 holds it."""
    weights = {"large": np.full(64, 1e5, np.float32), "small": np.full(64, 0.1, np.float32)}
    nodes = [helper.make_node("Mul", ["x", "large"], ["a"]), helper.make_node("Mul", ["a", "small"], ["y"])]
    model = make_model(nodes, {"x": ["n", 64]}, {"y": ["n", 64]}, weights)
    types = {tensor.name: tensor.data_type for tensor in store_halved(model, "fp16").graph.initializer}
    assert types == {"large": TensorProto.FLOAT, "small:fp16": TensorProto.FLOAT16}
    assert {tensor.data_type for tensor in store_halved(model, "bf16").graph.initializer} == {TensorProto.BFLOAT16}


def test_model_without_weights_is_refused(make_model) -> None:
    """Where there is nothing to halve the variant would be the fp32 one, so it is not made."""
    model = make_model([helper.make_node("Sin", ["x"], ["y"])], {"x": ["n", 4]}, {"y": ["n", 4]})
    with pytest.raises(ConversionError, match="no float32 tensor of 64 weights"):
        store_halved(model, "fp16")


def test_network_is_typed_in_half(make_dense) -> None:
    """Weights and activations are float16, inputs and outputs as before, and unsafe sums stay in float32."""
    typed = type_halved(make_dense(), "fp16")
    assert {tensor.name: tensor.data_type for tensor in typed.graph.initializer} == dict.fromkeys(
        ("table", "up", "down", "head", "bias"), TensorProto.FLOAT16
    )
    types = {value.name: value.type.tensor_type.elem_type for value in onnx.shape_inference.infer_shapes(typed).graph.value_info}
    assert types["active"] == TensorProto.FLOAT16
    mean = next(node for node in typed.graph.node if node.op_type == "ReduceMean")
    assert types[mean.input[0]] == types[mean.output[0]] == TensorProto.FLOAT
    assert typed.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT


def test_typed_network_gives_the_answers_of_half(make_dense) -> None:
    """Computed in half, the answers deviate by a hundredth of their range at most."""
    model = make_dense()
    wanted, found = (_run(one, _tokens()) for one in (model, type_halved(model, "fp16")))
    assert 0 < np.abs(wanted - found).max() < 1e-2 * np.ptp(wanted)


def test_nodes_of_a_typed_network_are_in_order(make_conv) -> None:
    """The Casts stand before what takes them, as ONNX wants it."""
    onnx.checker.check_model(type_halved(make_conv(classes=3), "fp16"), full_check=True)


def test_bfloat16_has_the_weights_own_range(make_dense) -> None:
    """A weight beyond the range of float16 comes through in bfloat16, though the converter in between is for float16."""
    model = make_dense()
    table = next(tensor for tensor in model.graph.initializer if tensor.name == "table")
    table.CopyFrom(numpy_helper.from_array(np.full((100, 64), 1e6, np.float32), "table"))
    typed = type_halved(model, "bf16")
    wide = {tensor.name: tensor for tensor in typed.graph.initializer}
    assert {tensor.data_type for tensor in wide.values()} == {TensorProto.BFLOAT16}
    assert numpy_helper.to_array(wide["table"]).astype(np.float32).max() == pytest.approx(1e6, rel=1e-2)


def test_operators_without_bfloat16_stay_in_float(make_conv) -> None:
    """Conv takes bfloat16 from opset 22 on: at opset 17 its weights stay float32, and the network is valid ONNX."""
    typed = type_halved(make_conv(classes=3), "bf16")
    types = {tensor.name: tensor.data_type for tensor in typed.graph.initializer}
    assert types["first"] == TensorProto.FLOAT
    assert types["dense"] == TensorProto.BFLOAT16
