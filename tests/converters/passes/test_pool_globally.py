"""Pooling: one window over everything is global pooling, and every other window stays."""

import numpy as np
import pytest
from onnx import helper

from edgekit_converters.passes.pool_globally import PoolGlobally

X = np.random.default_rng(6).normal(size=(2, 3, 7, 7)).astype(np.float32)


def _model(make_model, size=7, opset=17, **options):
    nodes = [helper.make_node("AveragePool", ["x"], ["y"], **options)]
    return make_model(nodes, {"x": ["n", 3, size, size]}, {"y": ["n", 3, None, None]}, opset=opset)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_shape": [7, 7]},
        {"kernel_shape": [7, 7], "strides": [2, 2], "count_include_pad": 1},
        {"kernel_shape": [7, 7], "auto_pad": "VALID"},
        {"kernel_shape": [1280, 1280], "strides": [1280, 1280], "ceil_mode": 1, "count_include_pad": 1},
        {"kernel_shape": [9, 7], "strides": [9, 7], "ceil_mode": 1, "pads": [0, 0, 0, 0]},
    ],
)
def test_window_over_everything_is_global(options, make_model, check_answers, list_operators) -> None:
    """A window that covers the whole picture, or reaches beyond it and is rounded up, becomes global pooling."""
    model = _model(make_model, **options)
    result = PoolGlobally().run(model)
    assert result.modified
    assert list_operators(result.model) == ["GlobalAveragePool"]
    check_answers(model, result.model, {"x": X}, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_shape": [3, 3]},
        {"kernel_shape": [7, 3]},
        {"kernel_shape": [7, 7], "pads": [1, 1, 1, 1]},
        {"kernel_shape": [7, 7], "auto_pad": "SAME_UPPER"},
        {"kernel_shape": [4, 4], "dilations": [2, 2], "opset": 19},
    ],
)
def test_other_windows_stay(options, make_model) -> None:
    """A smaller window, one that counts what is added at the borders, and one with holes stay."""
    model = _model(make_model, **options)
    result = PoolGlobally().run(model)
    assert not result.modified
    assert result.model is model


def test_picture_of_any_size_keeps_its_window(make_model) -> None:
    """Where the picture's size may vary the window may not cover it."""
    assert not PoolGlobally().run(_model(make_model, size="side", kernel_shape=[7, 7])).modified
