"""Integers for weights alone."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.errors import ConversionError
from edgekit_converters.onnx_weights import store_in_int4, store_in_int8


def _run(model, inputs):
    import onnxruntime

    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, inputs)[0]


def _tokens():
    return {"tokens": np.random.default_rng(3).integers(0, 100, (4, 8))}


def test_weights_take_a_quarter(make_dense) -> None:
    """Embedding, MatMul and Gemm have int8 weights with a scale for each row, column and output."""
    model = make_dense()
    stored = store_in_int8(model)
    tensors = {tensor.name: tensor for tensor in stored.graph.initializer}
    assert {name for name, tensor in tensors.items() if tensor.data_type == TensorProto.INT8} == {"table:int8", "up:int8", "down:int8", "head:int8"}
    assert {name: list(tensor.dims) for name, tensor in tensors.items() if name.endswith(":scale")} == {
        "table:scale": [100, 1],
        "up:scale": [1, 128],
        "down:scale": [1, 64],
        "head:scale": [32, 1],
    }
    assert stored.ByteSize() < 0.32 * model.ByteSize()


@pytest.mark.parametrize(("store", "most"), [(store_in_int8, 0.02), (store_in_int4, 0.2)])
def test_answers_deviate_by_rounding(store, most, make_dense) -> None:
    """The answers deviate as much as the bits of the weights let them."""
    model = make_dense()
    wanted, found = (_run(one, _tokens()) for one in (model, store(model)))
    assert 0 < np.abs(wanted - found).max() < most * np.ptp(wanted)


def test_each_weight_is_within_half_a_step(make_dense) -> None:
    """A stored weight times its scale is off by half a scale at most."""
    model = make_dense()
    given = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in store_in_int8(model).graph.initializer}
    for name in ("table", "up", "down", "head"):
        off = np.abs(stored[f"{name}:int8"] * stored[f"{name}:scale"] - given[name])
        assert (off <= stored[f"{name}:scale"] * 0.5001).all()


def test_zero_columns_stay_zero(make_dense) -> None:
    """Where all weights of a column are zero, a scale is there that is not."""
    model = make_dense()
    up = next(tensor for tensor in model.graph.initializer if tensor.name == "up")
    up.CopyFrom(numpy_helper.from_array(np.zeros((64, 128), np.float32), "up"))
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in store_in_int8(model).graph.initializer}
    assert not stored["up:int8"].any()
    assert (stored["up:scale"] == 1).all()


def test_shared_weights_are_stored_once(make_model) -> None:
    """Weights that two products share are stored once, and both get them."""
    weights = {"w": np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)}
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("MatMul", ["a", "w"], ["y"])]
    model = make_model(nodes, {"x": ["n", 64]}, {"y": ["n", 64]}, weights)
    stored = store_in_int8(model)
    assert [node.op_type for node in stored.graph.node] == ["Cast", "Mul", "MatMul", "MatMul"]
    inputs = {"x": np.random.default_rng(1).normal(size=(2, 64)).astype(np.float32)}
    np.testing.assert_allclose(_run(stored, inputs), _run(model, inputs), atol=2)


def test_four_bits_go_to_onnx_runtimes_own_operator(make_dense) -> None:
    """MatMul and Gemm become MatMulNBits of 4 bits in blocks of 32 that compute in int8, and the embedding is in int8."""
    packed = store_in_int4(make_dense())
    products = [node for node in packed.graph.node if node.op_type == "MatMulNBits"]
    settings = [{attribute.name: attribute.i for attribute in node.attribute} for node in products]
    assert [(one["bits"], one["block_size"], one["accuracy_level"]) for one in settings] == [(4, 32, 4)] * 3
    assert not any(node.op_type in ("MatMul", "Gemm") for node in packed.graph.node)
    assert "table:int8" in {tensor.name for tensor in packed.graph.initializer}


@pytest.mark.parametrize("store", [store_in_int8, store_in_int4])
def test_model_without_dense_layers_is_refused(store, make_conv) -> None:
    """Convolutions and a classifier of a few weights have nothing to gain, which is said."""
    with pytest.raises(ConversionError, match="no MatMul or Gemm with 1024 constant weights"):
        store(make_conv(classes=3))


def test_given_model_stays(make_dense) -> None:
    """Neither changes the model that it is given."""
    model = make_dense()
    before = model.SerializeToString()
    store_in_int8(model)
    store_in_int4(model)
    assert model.SerializeToString() == before
