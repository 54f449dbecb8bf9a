"""A detector is held to the boxes that its source finds."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, quantize_static

from edgekit.arrays import Array, Arrays
from edgekit.box_parity import BoxReader, prepare_box_reader, swap_classes
from edgekit.contract import Classify, Detect, Feature, Processing, Resize
from edgekit.errors import InputError
from edgekit.gate import find_parity_fault
from edgekit.overlap import BoxSet
from edgekit.parity import find_range, measure_parity
from edgekit.runtimes.registry import find_runtime
from edgekit.tensors import Quantization, TensorSpec

PICTURE = Feature(name="picture", kind="image", feeds="x", steps=(Resize(width=640, height=640),))
YOLO = Detect(boxes="y", layout="yolo", form="cxcywh")


def reader(reading: Detect = YOLO, **shapes: tuple[int, ...]) -> BoxReader:
    specs = [TensorSpec(name=name, dtype="float32", shape=("n", *shape)) for name, shape in shapes.items()]
    found = prepare_box_reader(Processing(inputs=(PICTURE,), answer=reading), specs)
    assert found is not None
    return found


def head(samples: int = 32, objects: int = 3, classes: int = 4, seed: int = 0) -> Array:
    """Outputs of a yolo head (samples, 4 + classes, 50): *objects* boxes with high scores far from each other, and 47 with low ones."""
    rng = np.random.default_rng(seed)
    rows = rng.uniform(0, 0.05, (samples, 4 + classes, 50))
    rows[:, 0] = 40 + 12 * np.arange(50)
    rows[:, 1] = rng.uniform(100, 500, (samples, 50))
    rows[:, 2:4] = rng.uniform(20, 60, (samples, 2, 50))
    for sample in rows:
        for column in range(objects):
            sample[4 + rng.integers(classes), 20 * column] = rng.uniform(0.5, 0.95)
    return rows.astype(np.float32)


def share(array: Array) -> Array:
    """*array* in the 256 steps that one scale for boxes and scores leaves it, as a careless quantiser would have it."""
    return (np.rint(array / (640 / 255)) * (640 / 255)).astype(np.float32)


def test_boxes_are_read_sample_by_sample() -> None:
    """Each golden sample has the boxes that its own output says, in pixels of the model's picture."""
    found = reader(y=(8, 50)).read({"y": head()})
    assert [one.n for one in found] == [3] * 32
    assert all((one.corners >= 0).all() and (one.corners <= 640).all() for one in found)


def test_the_same_answers_agree_entirely() -> None:
    """The source agrees with itself, and so does an answer that is a little off."""
    boxes, answers = reader(y=(8, 50)), head()
    assert boxes.measure_agreement({"y": answers}, {"y": answers}) == 1.0
    assert boxes.measure_agreement({"y": answers}, {"y": answers * np.float32(1.01)}) == 1.0


def test_scores_that_are_lost_are_no_agreement() -> None:
    """One scale for coordinates and scores rounds every score to zero: nothing is found again, though on average it deviates by little."""
    answers = head()
    lost = share(answers)
    assert np.abs(lost - answers).mean() < 0.002 * np.ptp(answers)
    assert reader(y=(8, 50)).measure_agreement({"y": answers}, {"y": lost}) == 0.0


@pytest.mark.parametrize("turned", [False, True])
def test_missing_and_extra_boxes_count(turned: bool) -> None:
    """A variant that misses one of three boxes agrees on four of five, and so does one that finds one more."""
    few, many = {"y": head(objects=2)}, {"y": head(objects=2)}
    many["y"][:, 4, 40] = 0.9
    pair = (many, few) if turned else (few, many)
    assert reader(y=(8, 50)).measure_agreement(*pair) == pytest.approx(4 / 5)


def test_detectors_that_find_nothing_are_unknown() -> None:
    """Where no score reaches the threshold on either side nothing was compared, and nobody says that it agrees."""
    nothing = {"y": head(objects=0)}
    assert reader(y=(8, 50)).measure_agreement(nothing, nothing) is None


def test_quantised_outputs_are_read_in_real_numbers() -> None:
    """A source whose own outputs are int8 is read by their scales."""
    spec = TensorSpec(name="y", dtype="int8", shape=("n", 5, 1), quantization=Quantization(scale=(0.01,), zero_point=(0,)))
    contract = Processing(inputs=(PICTURE,), answer=Detect(boxes="y", layout="yolo", form="cxcywh", unit="shares"))
    boxes = prepare_box_reader(contract, [spec])
    assert boxes is not None
    (found,) = boxes.read({"y": np.array([[[50], [50], [20], [20], [90]]], np.int8)})
    np.testing.assert_allclose(found.corners, [[256, 256, 384, 384]], rtol=1e-5)
    np.testing.assert_allclose(found.scores, [0.9], rtol=1e-5)


def test_only_detectors_have_boxes() -> None:
    """Without a contract, or with one that reads something else, there is nothing to compare."""
    spec = TensorSpec(name="y", dtype="float32", shape=("n", 3))
    assert prepare_box_reader(None, [spec]) is None
    assert prepare_box_reader(Processing(answer=Classify(output="y")), [spec]) is None


def test_outputs_that_hold_no_boxes_are_refused() -> None:
    """A contract that does not fit the model is told as it is anywhere else."""
    with pytest.raises(InputError, match=r"answer\.boxes"):
        prepare_box_reader(Processing(inputs=(PICTURE,), answer=YOLO), [TensorSpec(name="y", dtype="float32", shape=("n", 3))])


def test_outputs_that_are_sorted_are_known() -> None:
    """What the model itself sorts by score are the outputs of a detector with its own post-processing, and no others."""
    sorted_reading = Detect(boxes="b", scores="s", classes="c", layout="classified")
    assert reader(sorted_reading, b=(5, 4), s=(5,), c=(5,)).sorted_outputs == {"b", "s", "c"}
    assert reader(y=(8, 50)).sorted_outputs == set()
    assert reader(Detect(boxes="b", scores="s"), b=(5, 4), s=(5, 2)).sorted_outputs == set()


def boxes_of(*classes: int) -> BoxSet:
    return BoxSet(np.zeros((len(classes), 4)), np.array(classes, np.int64), np.ones(len(classes)))


def test_each_two_frequent_classes_are_swapped() -> None:
    """Two classes change places in every picture; two with too few boxes together are left alone."""
    answers = [boxes_of(0, 1, 1, 0), boxes_of(0, 7), boxes_of()]
    swapped = {(first, second): [one.classes.tolist() for one in found] for first, second, found in swap_classes(answers, 0.5)}
    assert swapped == {(0, 1): [[1, 0, 0, 1], [1, 7], []], (0, 7): [[7, 1, 1, 7], [7, 0], []]}
    assert list(swap_classes([boxes_of()], 0.1)) == []


def sorted_answers(seed: int = 4) -> Arrays:
    """A detector's own post-processing: ten boxes for each of 32 samples, the highest score first."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 500, (32, 10, 2))
    corners = np.concatenate([low, low + rng.uniform(20, 80, (32, 10, 2))], axis=2)
    return {"b": corners, "s": -np.sort(-rng.uniform(0.3, 0.9, (32, 10))), "c": rng.integers(0, 5, (32, 10)).astype(float)}


def test_rows_that_change_places_agree() -> None:
    """Two boxes whose nearly equal scores change places are the same boxes, though every number in their rows differs."""
    answers = sorted_answers()
    turned = {name: array.copy() for name, array in answers.items()}
    for array in (turned["b"], turned["c"]):
        array[:, [3, 4]] = array[:, [4, 3]]
    boxes = reader(Detect(boxes="b", scores="s", classes="c", layout="classified", iou=None), b=(10, 4), s=(10,), c=(10,))
    assert boxes.measure_agreement(answers, turned) == 1.0


class Pictures(CalibrationDataReader):
    """Hands samples to ONNX Runtime's quantiser."""

    def __init__(self, samples: Array) -> None:
        self.samples = iter(samples)

    def get_next(self) -> dict[str, Array] | None:
        sample = next(self.samples, None)
        return None if sample is None else {"x": sample[None]}


def test_a_real_quantiser_that_loses_scores_is_caught(tmp_path: Path) -> None:
    """ONNX Runtime's int8 of a head that joins coordinates and scores deviates little, and is refused for its boxes alone."""
    answers = head(classes=2)
    nodes = [helper.make_node("Concat", ["boxes", "x"], ["y"], axis=1)]
    borders = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, rows, 50])] for name, rows in (("x", 2), ("y", 6))]
    graph = helper.make_graph(nodes, "head", *borders, [numpy_helper.from_array(answers[:1, :4], "boxes")])
    source, variant = tmp_path / "source.onnx", tmp_path / "int8.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), source)
    quantize_static(str(source), str(variant), Pictures(answers[:, 4:]), op_types_to_quantize=["Concat"])
    found = {}
    for path in (source, variant):
        session = find_runtime("onnx").open(path, 1)
        found[path] = {"y": np.concatenate([session.run([sample[None]])[0] for sample in answers[:, 4:]])}
        session.close()
    boxes = reader(y=(6, 50))
    parity = measure_parity(found[source], found[variant], "v", boxes)
    ranges = {"y": find_range(found[source]["y"])}
    assert find_parity_fault("int8", measure_parity(found[source], found[variant], "v"), ranges) is None
    assert find_parity_fault("int8", parity, ranges, boxes) == "it finds 0.0% of the boxes again, and 50.0% is the least for int8"
