"""Integers for OpenVINO: weights alone in int8 and int4, activations at each inference, and detectors whose scores survive."""

import numpy as np
import pytest
from onnx import helper

from edgekit.conversion import Calibration
from edgekit.errors import ConversionError
from edgekit.runtimes.openvino_runtime import find_core
from edgekit_converters.openvino_quantising import has_attention, measure_weights
from edgekit_converters.openvino_reading import read_graph
from edgekit_converters.openvino_target import OpenVINOTarget

RNG = np.random.default_rng(11)
WIDTH = 256


def _floats(*shape: int, scale: float = 1.0) -> np.ndarray:
    return (RNG.normal(size=shape) * scale).astype(np.float32)


@pytest.fixture(scope="module")
def products(make_model):
    """Four products of 256x256 with a ReLU between them, on a sequence of any length."""
    weights = {f"w{index}": _floats(WIDTH, WIDTH, scale=0.09) for index in range(4)}
    nodes = []
    for index in range(4):
        nodes += [helper.make_node("MatMul", [f"h{index}", f"w{index}"], [f"p{index}"]), helper.make_node("Relu", [f"p{index}"], [f"h{index + 1}"])]
    shape = ["batch", "sequence", WIDTH]
    return make_model(nodes, {"h0": shape}, {"h4": shape}, weights)


@pytest.mark.parametrize(("precision", "bounds"), [("int8-weights", (0.27, 0.01)), ("int8-dynamic", (0.27, 0.01)), ("int4-weights", (0.18, 0.05))])
def test_weights_are_integers(products, read, make_variant, answer, precision, bounds) -> None:
    """Weights take a quarter of their room in int8 and less in int4, and the answers deviate by a share of their range."""
    share, most = bounds
    source = read(products)
    artifact, directory = make_variant(OpenVINOTarget(), source, precision)
    assert (directory / "model.bin").stat().st_size < share * source.path.stat().st_size
    inputs = {"h0": _floats(3, 5, WIDTH)}
    wanted, found = answer(source, inputs)["h4"], answer(source, inputs, artifact, directory)["h4"]
    assert 0 < np.abs(wanted - found).mean() < most * np.ptp(wanted)


def test_the_file_says_whether_activations_are_quantised(products, read, make_variant) -> None:
    """The runtime's option for it comes from the file: off where weights alone are integers, on where it is dynamic."""
    source = read(products)
    for precision, group in (("int8-weights", 0), ("int8-dynamic", 32), ("int4-weights", 0)):
        _, directory = make_variant(OpenVINOTarget(), source, precision)
        compiled = find_core().compile_model(directory / "model.xml", "CPU")
        assert int(compiled.get_property("DYNAMIC_QUANTIZATION_GROUP_SIZE")) == group


def test_convolutions_are_not_worth_it(make_conv, read, make_variant) -> None:
    """Of a convolutional model the weights alone are not made integers, and the refusal counts them."""
    with pytest.raises(ConversionError, match="0 of its 800 weights"):
        make_variant(OpenVINOTarget(), read(make_conv()), "int8-weights")


def test_embeddings_count_as_products(make_model, read) -> None:
    """A table that tokens are looked up in counts with the products, a bias does not."""
    weights = {"table": _floats(50, 8), "w": _floats(8, 4), "bias": _floats(4)}
    nodes = [
        helper.make_node("Cast", ["ids"], ["whole"], to=7),
        helper.make_node("Gather", ["table", "whole"], ["rows"]),
        helper.make_node("MatMul", ["rows", "w"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["y"]),
    ]
    source = read(make_model(nodes, {"ids": ["batch", 6]}, {"y": ["batch", 6, 4]}, weights))
    assert measure_weights(read_graph(source, "onnx")) == (50 * 8 + 8 * 4, 50 * 8 + 8 * 4 + 4)


def test_attention_is_seen(make_model, read, products) -> None:
    """A softmax that weighs a product is attention; products one after the other are not."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["x", "turned"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["weights"], axis=-1),
        helper.make_node("MatMul", ["weights", "x"], ["y"]),
    ]
    attention = read(make_model(nodes, {"x": ["batch", 5, 8]}, {"y": ["batch", 5, 8]}))
    assert has_attention(read_graph(attention, "onnx"))
    assert not has_attention(read_graph(read(products), "onnx"))


@pytest.fixture(scope="module")
def detector(make_model):
    """A head as Ultralytics exports it, [batch, 4 + classes, anchors]: boxes in pixels and scores up to 1 in one output.

    Each side of a box is a softmax over 16 distances, weighed by a convolution, from the middle of its cell.
    """
    middle = np.arange(8, dtype=np.float32) + 0.5
    weights = {
        "backbone": _floats(16, 3, 3, 3, scale=0.3),
        "sides": _floats(64, 16, 1, 1, scale=0.5),
        "classes": _floats(3, 16, 1, 1, scale=0.5),
        "distances": np.arange(16, dtype=np.float32).reshape(1, 16, 1, 1),
        "anchors": np.stack(np.meshgrid(middle, middle)).reshape(1, 2, 64),
        "two": np.array(2, np.float32),
        "stride": np.full((1, 64), 80, np.float32),
        "by_side": np.array([0, 4, 16, 64]),
        "flat": np.array([0, 4, 64]),
        "by_class": np.array([0, 3, 64]),
        "halves": np.array([2, 2]),
    }
    nodes = [
        helper.make_node("Conv", ["image", "backbone"], ["f"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["f"], ["features"]),
        helper.make_node("Conv", ["features", "sides"], ["s0"]),
        helper.make_node("Reshape", ["s0", "by_side"], ["s1"]),
        helper.make_node("Transpose", ["s1"], ["s2"], perm=[0, 2, 1, 3]),
        helper.make_node("Softmax", ["s2"], ["s3"], axis=1),
        helper.make_node("Conv", ["s3", "distances"], ["s4"]),
        helper.make_node("Reshape", ["s4", "flat"], ["s5"]),
        helper.make_node("Split", ["s5", "halves"], ["left_top", "right_bottom"], axis=1),
        helper.make_node("Sub", ["anchors", "left_top"], ["first"]),
        helper.make_node("Add", ["anchors", "right_bottom"], ["second"]),
        helper.make_node("Add", ["first", "second"], ["sum"]),
        helper.make_node("Div", ["sum", "two"], ["middle"]),
        helper.make_node("Sub", ["second", "first"], ["extent"]),
        helper.make_node("Concat", ["middle", "extent"], ["cells"], axis=1),
        helper.make_node("Mul", ["cells", "stride"], ["pixels"]),
        helper.make_node("Conv", ["features", "classes"], ["c0"]),
        helper.make_node("Reshape", ["c0", "by_class"], ["c1"]),
        helper.make_node("Sigmoid", ["c1"], ["scores"]),
        helper.make_node("Concat", ["pixels", "scores"], ["output0"], axis=1),
    ]
    return make_model(nodes, {"image": ["batch", 3, 16, 16]}, {"output0": ["batch", 7, 64]}, weights)


def test_scores_of_a_detector_survive(detector, read, make_variant, answer) -> None:
    """In int8, where one scale for boxes and scores would have steps of ten, scores deviate by a twentieth at most, boxes by 1 %."""
    source = read(detector)
    inputs = {"image": _floats(32, 3, 16, 16)}
    artifact, directory = make_variant(OpenVINOTarget(), source, "int8", Calibration(inputs))
    wanted, found = answer(source, inputs)["output0"], answer(source, inputs, artifact, directory)["output0"]
    deviation = np.abs(wanted - found)
    assert deviation[:, 4:].max() < 0.05
    assert deviation[:, :4].mean() < 0.01 * np.ptp(wanted)
    assert "FakeQuantize" in (directory / "model.xml").read_text()
