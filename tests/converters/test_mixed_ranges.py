"""Detectors with boxes and scores in one output, made as Ultralytics exports them: [samples, 4 + classes, anchors]."""

import numpy as np
import onnx
import pytest
from onnx import helper

from edgekit.conversion import Calibration
from edgekit.errors import ConversionError
from edgekit_converters.mixed_ranges import find_final_concats, find_mixed_nodes, is_mixed, list_tail, measure_ranges
from edgekit_converters.onnx_graphs import name_nodes
from edgekit_converters.onnx_target import OnnxTarget

SIZE, CLASSES, STRIDE = 64, 3, 8.0
CELLS = SIZE // int(STRIDE)


def _floats(rng, *shape, scale=1.0):
    return (rng.normal(size=shape) * scale).astype(np.float32)


@pytest.fixture(scope="module")
def detector(make_model):
    """A backbone, distances to the sides of each box, and scores; boxes come out in pixels of a picture ten times as large."""
    rng = np.random.default_rng(5)
    grid = np.stack(np.meshgrid(np.arange(CELLS), np.arange(CELLS))).reshape(1, 2, -1).astype(np.float32)
    weights = {
        "first": _floats(rng, 8, 3, 8, 8, scale=0.07),
        "sides": _floats(rng, 4, 8, 1, 1, scale=0.5),
        "sides_bias": np.full(4, 2, np.float32),
        "classes": _floats(rng, CLASSES, 8, 1, 1, scale=2),
        "classes_bias": np.full(CLASSES, -2, np.float32),
        "anchors": grid + 0.5,
        "stride": np.array(STRIDE * 10, np.float32),
        "two": np.array(2, np.float32),
        "halves": np.array([2, 2], np.int64),
        "rows": np.array([0, 4, CELLS * CELLS], np.int64),
        "score_rows": np.array([0, CLASSES, CELLS * CELLS], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["a"], strides=[8, 8]),
        helper.make_node("Relu", ["a"], ["features"]),
        helper.make_node("Conv", ["features", "sides", "sides_bias"], ["side_map"]),
        helper.make_node("Conv", ["features", "classes", "classes_bias"], ["class_map"]),
        helper.make_node("Reshape", ["side_map", "rows"], ["distances"]),
        helper.make_node("Reshape", ["class_map", "score_rows"], ["logits"]),
        helper.make_node("Split", ["distances", "halves"], ["lt", "rb"], axis=1),
        helper.make_node("Sub", ["anchors", "lt"], ["from"]),
        helper.make_node("Add", ["anchors", "rb"], ["to"]),
        helper.make_node("Add", ["from", "to"], ["sum"]),
        helper.make_node("Div", ["sum", "two"], ["centre"]),
        helper.make_node("Sub", ["to", "from"], ["extent"]),
        helper.make_node("Concat", ["centre", "extent"], ["cells"], axis=1),
        helper.make_node("Mul", ["cells", "stride"], ["boxes"]),
        helper.make_node("Sigmoid", ["logits"], ["scores"]),
        helper.make_node("Concat", ["boxes", "scores"], ["found"], axis=1),
    ]
    return make_model(nodes, {"image": ["batch", 3, SIZE, SIZE]}, {"found": ["batch", 4 + CLASSES, CELLS * CELLS]}, weights, opset=13)


@pytest.fixture
def pictures():
    """Calibration data, and other pictures."""
    rng = np.random.default_rng(6)
    return Calibration({"image": _floats(rng, 16, 3, SIZE, SIZE)}), {"image": _floats(rng, 8, 3, SIZE, SIZE)}


def test_scores_survive_beside_boxes(detector, pictures, read, make_variant, answer) -> None:
    """In int8 boxes are within three in a hundred of the picture, and scores within five in a hundred of one."""
    source = read(detector)
    wanted = answer(source, pictures[1])["found"]
    found = answer(source, pictures[1], *make_variant(OnnxTarget(), source, "int8", pictures[0]))["found"]
    assert wanted[:, :4].max() > 600
    assert np.abs(wanted[:, :4] - found[:, :4]).max() < 0.03 * 640
    assert wanted[:, 4:].max() > 0.5
    assert np.abs(wanted[:, 4:] - found[:, 4:]).max() < 0.05


def test_scores_are_lost_without_it(detector, pictures, read, make_variant, answer, monkeypatch) -> None:
    """The same detector with one scale for both rounds every score to zero: there is something to prevent."""
    monkeypatch.setattr("edgekit_converters.onnx_quantising.find_mixed_nodes", lambda *_: [])
    source = read(detector)
    found = answer(source, pictures[1], *make_variant(OnnxTarget(), source, "int8", pictures[0]))["found"]
    assert not found[:, 4:].any()


def test_convolutions_are_quantised_all_the_same(detector, pictures, read, make_variant) -> None:
    """Only what follows the last convolutions stays in float."""
    artifact, directory = make_variant(OnnxTarget(), read(detector), "int8", pictures[0])
    graph = onnx.load(directory / artifact.files[0].path).graph
    makers = {name: node.op_type for node in graph.node for name in node.output}
    factors = [makers.get(name) for node in graph.node if node.op_type == "Conv" for name in node.input[:2]]
    assert factors == ["DequantizeLinear"] * 6


def test_tail_reaches_back_to_the_weighted_operators(detector, pictures) -> None:
    """What stays in float are the light operators between the convolutions and the output, in the graph's order."""
    model = onnx.ModelProto()
    model.CopyFrom(detector)
    name_nodes(model)
    found = find_mixed_nodes(model, pictures[0].samples())
    assert [node.output[0] for node in found] == [
        "distances", "logits", "lt", "from", "to", "sum", "centre", "extent", "cells", "boxes", "scores", "found",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ranges", "mixed"),
    [
        ([(0, 640), (0, 1)], True),
        ([(-640, 0), (0, 1)], True),
        ([(0, 640), (-41, 30)], False),
        ([(0, 640), (0, 0)], False),
        ([(0, 0), (0, 0)], False),
        ([(0, 1)], False),
    ],
)
def test_ranges_are_mixed_from_a_factor_of_sixteen_on(ranges, mixed) -> None:
    """One scale costs the narrower operand more than four of its eight bits; what is always zero loses nothing."""
    assert is_mixed(ranges) is mixed


def test_ranges_are_those_of_all_batches(make_model) -> None:
    """A tensor's range goes over all batches, a constant has its own, and what is no number is left out."""
    nodes = [helper.make_node("Log", ["x"], ["logs"]), helper.make_node("Concat", ["logs", "x", "two"], ["y"], axis=0)]
    model = make_model(nodes, {"x": ["n", 2]}, {"y": ["m", 2]}, {"two": np.array([[2, -2]], np.float32)})
    batches = [{"x": np.array([row], np.float32)} for row in ([1, np.e], [0, 1], [np.e**2, 1])]
    ranges = measure_ranges(model, ["logs", "x", "two"], iter(batches))
    assert ranges["two"] == (-2, 2)
    assert ranges["x"] == pytest.approx((0, np.e**2))
    assert ranges["logs"] == pytest.approx((0, 2))


def test_concats_inside_of_others_are_found(make_model) -> None:
    """A Concat for each level of a detector, joined by another, decides the output too; one in the backbone does not."""
    nodes = [
        helper.make_node("Concat", ["x", "x"], ["joined"], axis=1),
        helper.make_node("Relu", ["joined"], ["features"]),
        helper.make_node("Sigmoid", ["features"], ["scores"]),
        helper.make_node("Concat", ["features", "scores"], ["level"], axis=1),
        helper.make_node("Concat", ["level", "level"], ["levels"], axis=0),
        helper.make_node("Transpose", ["levels"], ["y"]),
    ]
    graph = make_model(nodes, {"x": ["n", 2]}, {"y": [8, "m"]}).graph
    concats = find_final_concats(graph)
    assert [node.output[0] for node in concats] == ["level", "levels"]
    assert [node.output[0] for node in list_tail(graph, concats[:1])] == ["joined", "features", "scores", "level", "levels", "y"]


def test_no_output_by_concat_costs_no_run(make_conv) -> None:
    """Without a Concat before an output the model is not run at all."""

    def batches():
        raise AssertionError("the calibration data were read")
        yield

    assert find_mixed_nodes(make_conv(classes=3), batches()) == []


def test_model_that_cannot_run_is_refused(detector) -> None:
    """Data that do not fit the model are told as the fault that ONNX Runtime names."""
    with pytest.raises(ConversionError, match="onnxruntime cannot run"):
        find_mixed_nodes(detector, [{"image": np.zeros((1, 1, 1, 1), np.float32)}])
