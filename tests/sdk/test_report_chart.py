import itertools

import pytest

from edgekit.report_chart import HEIGHT, WIDTH, Box, Point, draw_chart, place_labels


@pytest.fixture
def points(make_manifest):
    return [Point(variant, variant.measured[0].latency_ms, variant.id == "tflite-int8") for variant in make_manifest().variants]


def list_labels(figure):
    return [note for note in figure["layout"]["annotations"] if note.get("name") == "variant"]


def test_each_variant_is_drawn_and_named(points):
    """Every variant has a bubble in its format's trace, and its id beside it; the default says so."""
    figure = draw_chart(points, None)
    assert sorted(x for trace in figure["data"] for x in trace["x"]) == sorted(point.latency.p50 for point in points)
    assert [trace["name"] for trace in figure["data"]] == ["onnx", "tflite", "openvino"]
    assert {label["text"] for label in list_labels(figure)} >= {"onnx-fp32", "<b>tflite-int8 (default)</b>"}


def test_a_bubbles_area_is_the_size(points):
    """The square of a bubble's diameter grows with the variant's size."""
    sizes = {point.latency.p50: point.variant.size for point in points}
    drawn = {x: size for trace in draw_chart(points, None)["data"] for x, size in zip(trace["x"], trace["marker"]["size"], strict=True)}
    large, small = 0.042, 0.057
    assert (drawn[large] / drawn[small]) ** 2 == pytest.approx(sizes[large] / sizes[small])


def test_source_and_bound_are_lines(points):
    """The source model's metric and the bound of the gate are lines with their values."""
    layout = draw_chart(points, 0.9839)["layout"]
    assert [line["y0"] for line in layout["shapes"]] == [0.9939, 0.9839]
    assert [note["text"] for note in layout["annotations"][:2]] == ["source model 0.9939", "bound 0.9839"]


def test_a_bound_far_below_is_left_out(points):
    """A bound so low that the variants would crowd at the top is not drawn."""
    assert [line["y0"] for line in draw_chart(points, 0.5)["layout"]["shapes"]] == [0.9939]


def test_one_point_has_room_round_it(points):
    """With a single variant the axes still have a range, with the variant inside it."""
    layout = draw_chart(points[:1], None)["layout"]
    low, high = layout["yaxis"]["range"]
    assert low < 0.9939 < high
    assert layout["xaxis"]["range"][0] < layout["xaxis"]["range"][1]
    assert len(layout["xaxis"]["tickvals"]) >= 3


def test_labels_of_a_crowd_do_not_overlap():
    """Labels of bubbles that lie nearly on one another find places that cover no other label and no bubble."""
    bubbles = [Box(400 + 14 * index, 200 + 5 * index, 24, 24) for index in range(6)]
    boxes = place_labels(bubbles, [100.0] * len(bubbles))
    assert all(one.overlap(other) == 0 for one, other in itertools.combinations(boxes, 2))
    assert all(box.overlap(bubble) == 0 for box in boxes for bubble in bubbles)


def test_labels_stay_inside_the_plot():
    """A label of a bubble at the edge turns inwards."""
    plot = Box(WIDTH / 2, HEIGHT / 2, WIDTH, HEIGHT)
    bubbles = [Box(WIDTH - 10, 12, 20, 20), Box(8, HEIGHT - 8, 16, 16)]
    for box in place_labels(bubbles, [120.0, 120.0]):
        assert box.overlap(plot) == pytest.approx(box.width * box.height)
