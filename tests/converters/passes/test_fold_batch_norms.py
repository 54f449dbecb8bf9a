"""Batch norms: gone into the weights before them, with the same answers to a rounding."""

import numpy as np
import pytest
from onnx import helper

from edgekit_converters.passes.fold_batch_norms import FoldBatchNorms

RNG = np.random.default_rng(5)


def _norm(channels: int) -> dict[str, np.ndarray]:
    return {name: RNG.uniform(0.5, 2, channels).astype(np.float32) for name in ("scale", "shift", "mean", "variance")}


def _weights(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


NORM = helper.make_node("BatchNormalization", ["a", "scale", "shift", "mean", "variance"], ["y"], epsilon=1e-3)


@pytest.mark.parametrize(
    ("node", "weights", "shape"),
    [
        (helper.make_node("Conv", ["x", "w"], ["a"]), {"w": _weights(6, 4, 3, 3)}, (2, 4, 5, 5)),
        (helper.make_node("Conv", ["x", "w", "b"], ["a"], group=4), {"w": _weights(6 * 2, 1, 3), "b": _weights(12)}, (2, 4, 5)),
        (helper.make_node("ConvTranspose", ["x", "w", "b"], ["a"]), {"w": _weights(4, 6, 2, 2), "b": _weights(6)}, (2, 4, 5, 5)),
        (helper.make_node("ConvTranspose", ["x", "w"], ["a"], group=2), {"w": _weights(4, 3, 2, 2)}, (2, 4, 5, 5)),
        (helper.make_node("Gemm", ["x", "w", "b"], ["a"], alpha=0.5, beta=3.0), {"w": _weights(4, 6), "b": _weights(6)}, (3, 4)),
        (helper.make_node("Gemm", ["x", "w", "b"], ["a"], transB=1), {"w": _weights(6, 4), "b": np.float32(2)}, (3, 4)),
        (helper.make_node("Gemm", ["x", "w"], ["a"]), {"w": _weights(4, 6)}, (3, 4)),
    ],
)
def test_norm_goes_into_the_weights(node, weights, shape, make_model, check_answers, list_operators) -> None:
    """Behind a convolution, a grouped one, a transposed one and a Gemm a norm is folded, whatever stands in the bias."""
    channels = 12 if node.op_type == "Conv" and len(shape) == 3 else 6
    rank = len(shape)
    model = make_model([node, NORM], {"x": list(shape)}, {"y": [None] * rank}, weights | _norm(channels))
    result = FoldBatchNorms().run(model)
    assert result.modified
    assert list_operators(result.model) == [node.op_type]
    check_answers(model, result.model, {"x": RNG.normal(size=shape).astype(np.float32)}, atol=2e-5)


def test_weights_that_others_share_stay_theirs(make_model, check_answers) -> None:
    """A weight that a second convolution reads is copied before it is scaled."""
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"]), NORM, helper.make_node("Conv", ["x", "w"], ["z"])]
    model = make_model(nodes, {"x": [1, 4, 5, 5]}, {"y": [1, 6, 3, 3], "z": [1, 6, 3, 3]}, {"w": _weights(6, 4, 3, 3)} | _norm(6))
    result = FoldBatchNorms().run(model)
    assert result.modified
    check_answers(model, result.model, {"x": RNG.normal(size=(1, 4, 5, 5)).astype(np.float32)}, atol=2e-5)


def test_norm_of_what_others_read_stays(make_model) -> None:
    """Where the convolution's own result is needed too, the norm stays."""
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"]), NORM]
    model = make_model(nodes, {"x": [1, 4, 5, 5]}, {"y": [1, 6, 3, 3], "a": [1, 6, 3, 3]}, {"w": _weights(6, 4, 3, 3)} | _norm(6))
    assert not FoldBatchNorms().run(model).modified


def test_norm_that_learns_stays(make_model) -> None:
    """A norm in training mode takes the batch's own mean, which no weight can hold."""
    outputs = ["y", "running_mean", "running_variance"]
    norm = helper.make_node("BatchNormalization", list(NORM.input), outputs, training_mode=1)
    model = make_model(
        [helper.make_node("Conv", ["x", "w"], ["a"]), norm], {"x": [2, 4, 5, 5]}, {"y": [2, 6, 3, 3]}, {"w": _weights(6, 4, 3, 3)} | _norm(6)
    )
    assert not FoldBatchNorms().run(model).modified


def test_weights_in_integers_stay(make_model) -> None:
    """Behind a convolution whose weights are int8 the norm stays."""
    nodes = [helper.make_node("DequantizeLinear", ["q", "s"], ["w"]), helper.make_node("Conv", ["x", "w"], ["a"]), NORM]
    weights = {"q": np.ones((6, 4, 3, 3), np.int8), "s": np.float32(0.1)} | _norm(6)
    model = make_model(nodes, {"x": [1, 4, 5, 5]}, {"y": [1, 6, 3, 3]}, weights)
    result = FoldBatchNorms().run(model)
    assert not result.modified
    assert result.model is model
