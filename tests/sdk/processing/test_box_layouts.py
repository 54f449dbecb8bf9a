"""Detectors of every layout, run by their own runtimes, and what is refused of a layout."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.arrays import Arrays
from edgekit.contract import Cast, Detect, Feature, Layout, Processing, Resize, Scale
from edgekit.errors import InputError
from edgekit.processing.box_layouts import prepare_layout
from edgekit.processing.pipeline import open_pipeline
from edgekit.runtimes.registry import find_runtime
from edgekit.tensors import TensorSpec

SSD = Path(__file__).parents[2] / "converters" / "data" / "detector.tflite"
SIDE, CELL = 32, 8
PREFIX = "TFLite_Detection_PostProcess"


def spec(name: str, *shape: int | str) -> TensorSpec:
    return TensorSpec(name=name, dtype="float32", shape=("n", *shape))


def decode(reading: Detect, answers: Arrays, labels: tuple[str, ...] = ()) -> tuple[list[list[float]], list[int], list[float]]:
    specs = [spec(name, *array.shape[1:]) for name, array in answers.items()]
    found = prepare_layout(reading, Processing(answer=reading, labels=labels), specs)(answers)
    return found.corners.tolist(), found.classes.tolist(), np.round(found.scores.astype(float), 4).tolist()


def square_finder(path: Path) -> Path:
    """A detector of squares in pure red or green, 8 pixels wide, in the form of Ultralytics: (1, 4 + 2, 16), pixels, centre and size.

    The score of a cell is how red it is, or how green, on average.
    """
    middles = (np.arange(SIDE // CELL) + 0.5) * CELL
    rows, columns = np.meshgrid(middles, middles, indexing="ij")
    boxes = np.stack([columns.ravel(), rows.ravel(), np.full(16, CELL), np.full(16, CELL)])[None].astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["image"], ["means"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        helper.make_node("Slice", ["means", "start", "end", "axis"], ["two"]),
        helper.make_node("Reshape", ["two", "rows"], ["scores"]),
        helper.make_node("Concat", ["boxes", "scores"], ["found"], axis=1),
    ]
    numbers = {"start": [0], "end": [2], "axis": [1], "rows": [1, 2, 16]}
    constants = [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in numbers.items()]
    graph = helper.make_graph(
        nodes,
        "squares",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("found", TensorProto.FLOAT, [1, 6, 16])],
        [numpy_helper.from_array(boxes, "boxes"), *constants],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return path


def test_a_yolo_model_finds_objects_in_the_callers_picture(tmp_path: Path) -> None:
    """Of two squares in a picture of 128 x 96, letterboxed to 32 x 32 and run by ONNX Runtime, the likely one is found where it lies."""
    steps = (Resize(width=SIDE, height=SIDE, fit="letterbox", interpolation="area"), Scale(factor=1 / 255), Cast(dtype="float32"), Layout(axes="CHW"))
    contract = Processing(
        task="detect",
        inputs=(Feature(name="picture", kind="image", feeds="image", steps=steps),),
        answer=Detect(boxes="found", layout="yolo", form="cxcywh", threshold=0.6),
        labels=("red", "green"),
    )
    pixels = np.zeros((96, 128, 3), np.uint8)
    # The model's picture is a quarter of it, with four black rows above: the red square fills one of its cells, the green one half of one.
    pixels[16:48, 32:64, 0] = 255
    pixels[80:96, 96:128, 1] = 255
    session = find_runtime("onnx").open(square_finder(tmp_path / "squares.onnx"), 1)
    pipeline = open_pipeline(contract, session.inputs, session.outputs, tmp_path)
    fed = pipeline.feed({"picture": pixels})
    answer = pipeline.read({"found": session.run([fed.inputs["image"]])[0]}, fed)
    session.close()
    assert answer["labels"].tolist() == [b"red"]
    np.testing.assert_allclose(answer["boxes"], [[32, 16, 64, 48]])
    np.testing.assert_allclose(answer["scores"], [1.0], atol=1e-6)


def test_a_tflite_detector_with_its_own_post_processing_is_read() -> None:
    """Of TFLite_Detection_PostProcess, run by LiteRT, boxes come as y before x in shares, with classes, scores and their number."""
    session = find_runtime("tflite").open(SSD, 1)
    names = [one.name for one in session.outputs]
    picture = np.random.default_rng(2).random((1, 4, 4, 3), np.float32)
    answers = dict(zip(names, session.run([picture]), strict=True))
    boxes, classes, scores, counts = (f"{PREFIX}{suffix}" for suffix in ("", ":1", ":2", ":3"))
    reading = Detect(
        boxes=boxes, classes=classes, scores=scores, counts=counts, layout="classified", form="yxyx", unit="shares", first_class=1, threshold=0.0
    )
    steps = (Resize(width=4, height=4), Cast(dtype="float32"))
    contract = Processing(inputs=(Feature(name="picture", kind="image", feeds="image", steps=steps),), answer=reading, labels=("none", "cat", "dog"))
    pipeline = open_pipeline(contract, session.inputs, session.outputs, SSD.parent)
    answer = pipeline.read(answers, pipeline.feed({"picture": np.zeros((40, 80, 3), np.uint8)}))
    session.close()
    count = int(answers[counts][0])
    assert count == 5
    best = int(np.argmax(answers[scores][0, :count]))
    y0, x0, y1, x1 = np.clip(answers[boxes][0, best], 0, 1)
    np.testing.assert_allclose(answer["boxes"][0], [80 * x0, 40 * y0, 80 * x1, 40 * y1], rtol=1e-5)
    np.testing.assert_allclose(answer["scores"][0], answers[scores][0, best])
    assert answer["classes"][0] == answers[classes][0, best] + 1
    assert set(answer["labels"].tolist()) <= {b"cat", b"dog"}


def test_each_box_has_its_best_class() -> None:
    """Boxes and scores side by side: each box has the class with the highest score."""
    answers = {"b": np.arange(8.0).reshape(1, 2, 4), "s": np.array([[[0.1, 0.6], [0.9, 0.3]]])}
    assert decode(Detect(boxes="b", scores="s"), answers) == ([[0, 1, 2, 3], [4, 5, 6, 7]], [1, 0], [0.6, 0.9])


def test_a_transformers_no_object_is_the_last_class() -> None:
    """As DETR has it, the softmax is over all classes with the last for none, and the best of the others is taken."""
    answers = {"b": np.zeros((1, 2, 4)), "s": np.log(np.array([[[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]]]))}
    reading = Detect(boxes="b", scores="s", activation="softmax", background=-1)
    assert decode(reading, answers, labels=("cat", "dog"))[1:] == ([1, 0], [0.3, 0.6])


def test_a_background_at_the_front_leaves_the_numbers() -> None:
    """Where the first class is the background, the others keep their numbers and it its label."""
    answers = {"b": np.zeros((1, 1, 4)), "s": np.array([[[0.9, 0.2, 0.3]]])}
    assert decode(Detect(boxes="b", scores="s", background=0), answers, labels=("none", "cat", "dog"))[1:] == ([2], [0.3])


@pytest.mark.parametrize(("activation", "score"), [("none", 2.0), ("sigmoid", 0.8808)])
def test_scores_go_through_the_activation(activation: str, score: float) -> None:
    """A sigmoid is taken of the best score alone, which is the same as the best of all sigmoids."""
    answers = {"b": np.zeros((1, 1, 4)), "s": np.array([[[1.0, 2.0, -3.0]]])}
    assert decode(Detect(boxes="b", scores="s", activation=activation), answers)[1:] == ([1], [score])


@pytest.mark.parametrize(("activation", "scores"), [("none", [0.45, 0.06]), ("sigmoid", [round(0.6225 * 0.7109, 4), round(0.525 * 0.6457, 4)])])
def test_objectness_weighs_the_scores(activation: str, scores: list[float]) -> None:
    """As YOLOv5 has it, a score is that of the class times that of there being anything."""
    rows = np.array([[[1, 2, 3, 4, 0.5, 0.1, 0.9], [5, 6, 7, 8, 0.1, 0.6, 0.2]]])
    corners, classes, found = decode(Detect(boxes="b", layout="yolo-objectness", activation=activation), {"b": rows})
    assert (corners, classes) == ([[1, 2, 3, 4], [5, 6, 7, 8]], [1, 0])
    assert found == pytest.approx(scores, abs=2e-4)


def test_the_number_of_boxes_decides_how_many_count() -> None:
    """What lies behind the number of boxes is not read; a number that is none, or beyond the rows, is held in their range."""
    answers = {"b": np.zeros((1, 3, 4)), "s": np.full((1, 3), 0.5), "c": np.array([[0.0, 1.0, 2.0]])}
    reading = Detect(boxes="b", scores="s", classes="c", counts="k", layout="classified", first_class=1)
    found = {count: decode(reading, answers | {"k": np.array([count])})[1] for count in (2.0, 0.0, 99.0, -1.0, np.inf)}
    assert found == {2.0: [1, 2], 0.0: [], 99.0: [1, 2, 3], -1.0: [], np.inf: [1, 2, 3]}
    assert decode(reading, answers | {"k": np.array([np.nan])})[1] == []


@pytest.mark.filterwarnings("error")
def test_classes_that_are_none_have_the_number_below_zero() -> None:
    """A class that is NaN, infinite or the background is -1, which no reading keeps."""
    answers = {"b": np.zeros((1, 4, 4)), "s": np.full((1, 4), 0.5), "c": np.array([[np.nan, np.inf, 0.0, 1.0]])}
    reading = Detect(boxes="b", scores="s", classes="c", layout="classified", background=0)
    assert decode(reading, answers)[1] == [-1, -1, -1, 1]


def test_a_box_with_a_score_that_is_no_number_has_none() -> None:
    """One NaN among the scores of a box makes its score NaN, and no other's."""
    answers = {"b": np.zeros((1, 2, 4)), "s": np.array([[[0.9, np.nan], [0.9, 0.1]]])}
    scores = decode(Detect(boxes="b", scores="s"), answers)[2]
    assert np.isnan(scores[0])
    assert scores[1] == 0.9


SPLIT = [spec("b", 10, 4), spec("s", 10, 3)]


@pytest.mark.parametrize(
    ("reading", "outputs", "message"),
    [
        (Detect(boxes="b"), SPLIT, r"answer\.scores: the layout 'split' needs scores"),
        (Detect(boxes="b", scores="s", counts="s"), SPLIT, r"answer\.counts: the layout 'split' has no counts"),
        (Detect(boxes="y", scores="s", layout="yolo"), SPLIT, r"answer\.scores: the layout 'yolo' has no scores"),
        (Detect(boxes="b", scores="z"), SPLIT, r"answer\.scores: it names 'z'"),
        (Detect(boxes="s", scores="b"), SPLIT, r"answer\.boxes: .*\[boxes, 4\] is expected"),
        (Detect(boxes="b", scores="s"), [SPLIT[0], spec("s", 10)], r"answer\.scores: .*\[boxes, classes\] is expected"),
        (Detect(boxes="b", scores="s"), [SPLIT[0], spec("s", 10, "c")], r"answer\.scores: .*fixed number of classes"),
        (Detect(boxes="b", scores="s", background=3), SPLIT, r"answer\.background: it is 3, .*3 classes"),
        (Detect(boxes="b", layout="yolo"), [spec("b", 4, 8400)], r"answer\.boxes: .*fixed number of classes"),
        (Detect(boxes="b", layout="yolo"), [spec("b", 8400)], r"answer\.boxes: .*\[4 \+ classes, boxes\] is expected"),
        (Detect(boxes="b", layout="yolo-objectness"), [spec("b", 100, 5)], r"answer\.boxes: .*fixed number of classes"),
        (Detect(boxes="b", scores="s", classes="s", layout="classified"), SPLIT, r"answer\.scores: .*\[boxes\] is expected"),
        (
            Detect(boxes="b", scores="c", classes="c", counts="b", layout="classified"),
            [SPLIT[0], spec("c", 10)],
            r"answer\.counts: .*one row of numbers is expected",
        ),
        (Detect(boxes="b", scores="s", classes="s", layout="classified", activation="softmax"), SPLIT, r"answer\.activation"),
        (Detect(boxes="b", scores="s", classes="s", layout="classified", background=-1), SPLIT, r"answer\.background"),
    ],
)
def test_layouts_that_the_outputs_do_not_have_are_refused(reading: Detect, outputs: list[TensorSpec], message: str) -> None:
    """Each field that does not fit the model's outputs is named, with what is there and what is expected."""
    with pytest.raises(InputError, match=f"^{message}"):
        prepare_layout(reading, Processing(answer=reading), outputs)


def test_labels_of_another_model_are_refused() -> None:
    """A yolo head of 84 rows has 80 classes, and 79 labels are none of its own."""
    reading = Detect(boxes="b", layout="yolo")
    with pytest.raises(InputError, match=r"labels: there are 79, .*80 classes"):
        prepare_layout(reading, Processing(answer=reading, labels=tuple(map(str, range(79)))), [spec("b", 84, 8400)])


def test_outputs_of_different_lengths_are_refused() -> None:
    """A model that answers with more boxes than scores is refused with both numbers."""
    reading = Detect(boxes="b", scores="s")
    read = prepare_layout(reading, Processing(answer=reading), [spec("b", "n1", 4), spec("s", "n2", 3)])
    with pytest.raises(InputError, match="output 's': it has 2 boxes, and 'b' has 3"):
        read({"b": np.zeros((1, 3, 4)), "s": np.zeros((1, 2, 3))})
