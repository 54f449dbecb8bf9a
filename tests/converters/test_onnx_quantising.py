"""Static and dynamic integers by ONNX Runtime's quantisers."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.errors import ConversionError
from edgekit_converters.onnx_quantising import StaticRecipe, prepare_static, quantise_dynamic, quantise_static


def _floats(*shape):
    return np.random.default_rng(9).normal(size=shape).astype(np.float32)


def _pictures():
    return [{"image": _floats(4, 3, 8, 8)}]


def _run(model, inputs):
    import onnxruntime

    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, inputs)[0]


def _types(model, operator):
    """The types of the zero points of all nodes of *operator*."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    return {tensors[node.input[2]].data_type for node in model.graph.node if node.op_type == operator}


@pytest.mark.parametrize(("signed", "wanted"), [(False, TensorProto.UINT8), (True, TensorProto.INT8)])
def test_activations_are_signed_where_that_is_asked_for(signed, wanted, make_conv) -> None:
    """Activations are uint8, or int8, and weights int8."""
    options = {"ActivationSymmetric": signed}
    made = quantise_static(prepare_static(make_conv(), "it"), _pictures, StaticRecipe("it", signed=signed, options=options))
    assert _types(made, "QuantizeLinear") == {wanted}


def test_named_nodes_stay_in_float(make_conv) -> None:
    """A node that the recipe leaves out keeps its float weights; the others have integers."""
    prepared = prepare_static(make_conv(), "it")
    left_out = [node.name for node in prepared.graph.node if node.op_type == "Conv"][1]
    made = quantise_static(prepared, _pictures, StaticRecipe("it", exclude=(left_out,)))
    tensors = {tensor.name: tensor.data_type for tensor in made.graph.initializer}
    assert tensors["second"] == TensorProto.FLOAT
    assert tensors["first_quantized"] == TensorProto.INT8


def test_reduced_weights_have_seven_bits(make_conv) -> None:
    """Weights for an x86 without 8-bit dot products stay within 64 of zero."""
    prepared = prepare_static(make_conv(), "it")
    for reduced, most in ((False, 127), (True, 64)):
        made = quantise_static(prepared, _pictures, StaticRecipe("it", reduced=reduced))
        weights = [numpy_helper.to_array(one).astype(int) for one in made.graph.initializer if len(one.dims) == 4]
        assert max(np.abs(one).max() for one in weights) == most


def test_prepared_model_says_the_same(make_conv) -> None:
    """What is prepared gives the same answers, and each node has a name of its own."""
    model = make_conv(classes=3)
    prepared = prepare_static(model, "it")
    np.testing.assert_allclose(*(_run(one, _pictures()[0]) for one in (model, prepared)), rtol=1e-5)
    names = [node.name for node in prepared.graph.node]
    assert all(names)
    assert len(set(names)) == len(names)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("sample", "told"), [(0, "its tensor 'logs'"), (-1, "one of its tensors")])
def test_range_that_is_no_number_is_refused(sample, told, make_model) -> None:
    """Where the calibration data take a tensor to infinity or to NaN, that is told: its scale would be no number."""
    nodes = [helper.make_node("Log", ["x"], ["logs"]), helper.make_node("MatMul", ["logs", "w"], ["y"])]
    prepared = prepare_static(make_model(nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, {"w": np.ones((4, 4), np.float32)}), "onnx-int8")
    with pytest.raises(ConversionError, match=f"no range for {told}: .* NaN or infinity"):
        quantise_static(prepared, lambda: [{"x": np.full((1, 4), sample, np.float32)}], StaticRecipe("onnx-int8"))


def test_dense_layers_are_quantised_anew_in_each_inference(make_dense) -> None:
    """MatMul and Gemm multiply integers, weights have a scale for each column, and the answers stay near."""
    model = make_dense()
    made = quantise_dynamic(model, reduced=False)
    operators = [node.op_type for node in made.graph.node]
    assert operators.count("MatMulInteger") == 3
    assert not {"MatMul", "Gemm"} & set(operators)
    scales = {tensor.name: list(tensor.dims) for tensor in made.graph.initializer if tensor.name.endswith("_scale")}
    assert scales["up_scale"] == [128]
    tokens = {"tokens": np.random.default_rng(3).integers(0, 100, (4, 8))}
    wanted, found = _run(model, tokens), _run(made, tokens)
    assert 0 < np.abs(wanted - found).max() < 0.03 * np.ptp(wanted)
    assert made.ByteSize() < 0.6 * model.ByteSize()


def test_dynamic_weights_have_seven_bits_where_products_may_overflow(make_dense) -> None:
    """Weights for an x86 without 8-bit dot products stay within 64 of zero."""
    for reduced, most in ((False, 127), (True, 64)):
        tensors = {tensor.name: tensor for tensor in quantise_dynamic(make_dense(), reduced=reduced).graph.initializer}
        assert np.abs(numpy_helper.to_array(tensors["up_quantized"]).astype(int)).max() == most


def test_convolutions_stay_in_float(make_conv) -> None:
    """Integers that are found in each inference make convolutions slower, so they stay as they are."""
    made = quantise_dynamic(make_conv(classes=3), reduced=False)
    assert [node.op_type for node in made.graph.node].count("Conv") == 2


def test_model_without_dense_layers_is_refused(make_conv) -> None:
    """Without MatMul and Gemm there is nothing to do, which is said."""
    with pytest.raises(ConversionError, match="no MatMul or Gemm with constant weights"):
        quantise_dynamic(make_conv(), reduced=False)


def test_failure_of_the_quantiser_is_told(make_conv) -> None:
    """Data that do not fit are told as the fault that ONNX Runtime names."""
    prepared = prepare_static(make_conv(), "onnx-int8")
    with pytest.raises(ConversionError, match=r"onnx-int8: onnxruntime cannot quantise it: .*image"):
        quantise_static(prepared, lambda: [{"picture": _floats(1, 3, 8, 8)}], StaticRecipe("onnx-int8"))


def test_given_model_stays(make_dense) -> None:
    """Neither quantiser changes the model that it is given."""
    model = make_dense()
    before = model.SerializeToString()
    quantise_dynamic(model, reduced=False)
    prepare_static(model, "it")
    assert model.SerializeToString() == before
    onnx.checker.check_model(model)
