"""NNCF's floors for ranges: relative while we quantise, its own again afterwards."""

import numpy as np
import pytest
from nncf.quantization import fake_quantize
from onnx import helper

from edgekit.conversion import Calibration
from edgekit_converters.openvino_ranges import relative_floors
from edgekit_converters.openvino_target import OpenVINOTarget

RNG = np.random.default_rng(17)


@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e-20])
def test_small_numbers_are_quantised_as_well_as_large_ones(make_model, read, make_variant, answer, scale) -> None:
    """A model whose numbers are far below one deviates in int8 by the same share of its range as one around one."""
    weights = {"first": RNG.normal(0, 0.3, (16, 3, 3, 3)).astype(np.float32) * np.float32(scale)}
    weights["second"] = RNG.normal(0, 0.2, (8, 16, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second"], ["y"], pads=[1, 1, 1, 1]),
    ]
    source = read(make_model(nodes, {"x": ["batch", 3, 8, 8]}, {"y": ["batch", 8, 8, 8]}, weights))
    inputs = {"x": RNG.normal(size=(16, 3, 8, 8)).astype(np.float32)}
    artifact, directory = make_variant(OpenVINOTarget(), source, "int8", Calibration(inputs))
    wanted, found = answer(source, inputs)["y"], answer(source, inputs, artifact, directory)["y"]
    assert 0 < np.abs(wanted - found).mean() < 0.01 * np.ptp(wanted)


def test_nncf_is_left_as_it_was() -> None:
    """After the block, also after a failure in it, NNCF has its own functions."""
    own = fake_quantize.fix_zero_filters_symmetric, fake_quantize.fix_zero_filters_asymmetric
    with pytest.raises(ValueError, match="inside"), relative_floors():
        assert fake_quantize.fix_zero_filters_symmetric is not own[0]
        raise ValueError("inside")
    assert (fake_quantize.fix_zero_filters_symmetric, fake_quantize.fix_zero_filters_asymmetric) == own


def test_a_tensor_of_zeros_has_a_scale() -> None:
    """Where a tensor is zero throughout, or the same throughout, its range is not empty."""
    from nncf.tensor import Tensor

    zeros, ones = Tensor(np.zeros(4, np.float32)), Tensor(np.ones(4, np.float32))
    with relative_floors():
        assert (fake_quantize.fix_zero_filters_symmetric(zeros).data > 0).all()
        for low, high in ((zeros, zeros), (ones, ones)):
            lowest, highest = fake_quantize.fix_zero_filters_asymmetric(low, high)
            assert (highest.data > lowest.data).all()
