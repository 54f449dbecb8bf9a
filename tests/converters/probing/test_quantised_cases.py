"""Cases in int8: a float operator between Q and DQ, with the answers of one that rounds there."""

import numpy as np
import onnx


def test_q_and_dq_stand_round_the_operator(find_case) -> None:
    """Activations are quantised and back on either side, and the weight is there in int8."""
    case = find_case("Conv", dtype="int8", constants="rest", is_quantised=True)
    kinds = [node.op_type for node in case.model.graph.node]
    assert kinds == ["QuantizeLinear", "DequantizeLinear", "DequantizeLinear", "Conv", "QuantizeLinear", "DequantizeLinear"]
    assert "W_int8" in {one.name for one in case.model.graph.initializer if one.data_type == onnx.TensorProto.INT8}
    onnx.checker.check_model(case.model, full_check=True)


def test_a_bias_is_in_32_bits(find_case) -> None:
    """On the product of the other scales, as quantisers write it: ONNX Runtime multiplies in integers then, and only then."""
    case = find_case("Gemm", dtype="int8", constants="rest", is_quantised=True)
    values = {one.name: onnx.numpy_helper.to_array(one) for one in case.model.graph.initializer}
    assert values["c_int32"].dtype == np.int32
    np.testing.assert_allclose(values["c_scale"], values["a_scale"] * values["b_scale"], rtol=1e-6)


def test_answers_are_the_floats_but_for_rounding(find_case) -> None:
    """What is right lies within a few steps of the float case's answers, and on the output's scale."""
    case = find_case("Add", dtype="int8", is_quantised=True)
    (name, exact), rounded = next(iter(case.floating.expected.items())), case.expected
    assert 0 < np.abs(rounded[name] - exact).max() < 2 * case.atol


def test_what_has_no_float_is_not_quantised(find_case) -> None:
    """Shape answers with integers, and there is nothing to quantise."""
    assert find_case("Shape").floating is None
    assert not find_case("Shape", is_quantised=False).form.is_quantised
