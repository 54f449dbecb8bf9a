"""Wrong contracts are named by what they look like, on models that run in ONNX Runtime."""

from pathlib import Path

import numpy as np
import pytest

from edgekit.contract import Color, Crop, Feature, Layout, Normalize, Processing, Resize, Scale
from edgekit.errors import InputError
from edgekit.processing.diagnosing import name_suspects
from edgekit.processing.pipeline import open_pipeline
from edgekit.runtimes.onnx_runtime import OnnxRuntime

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("PIL.Image")
pytest.importorskip("cv2")

#: A plane of 324 pixels is a multiple of 3, so that channels which are mixed up mix evenly.
SIDE = 18
UNIT = Scale(factor=1 / 255)
RESIZE = Resize(width=SIDE, height=SIDE)
CHW = Layout(axes="CHW")
COLOURS = {"red": (220, 40, 30), "green": (40, 210, 60), "blue": (30, 50, 220), "dark": (15, 12, 14), "bright": (240, 245, 238)}
#: One row for each colour over the mean of red, green and blue from 0 to 1, and what is added to it.
WEIGHTS = np.array([[1, -0.5, -0.5], [-0.5, 1, -0.5], [-0.5, -0.5, 1], [-1, -1, -1], [1, 1, 1]], np.float32)
BIASES = np.array([0, 0, 0, 0.7, -2.2], np.float32)


def contract(*steps):
    return Processing(inputs=(Feature(name="photo", kind="image", feeds="x", steps=steps),))


def save_model(path, weights, biases=BIASES, *, contrast=False):
    """A model of (n, 3, 18, 18): scores by *weights* (classes, 972) over its values, or over their distance from a half."""
    helper, classes = onnx.helper, len(weights)
    shape = [onnx.numpy_helper.from_array(np.array([-1, 3 * SIDE * SIDE], np.int64), "flat")]
    tensors = {"weights": np.ascontiguousarray(weights.T, np.float32), "biases": biases, "half": np.array(0.5, np.float32)}
    nodes = [helper.make_node("Reshape", ["x", "flat"], ["row"])]
    if contrast:
        nodes += [helper.make_node("Sub", ["row", "half"], ["less"]), helper.make_node("Abs", ["less"], ["distance"])]
    nodes += [helper.make_node("MatMul", ["distance" if contrast else "row", "weights"], ["sum"]), helper.make_node("Add", ["sum", "biases"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", classes])],
        shape + [onnx.numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), path)
    return OnnxRuntime().open(path, 1)


@pytest.fixture
def open_model(tmp_path):
    """Makes sessions, and closes them at the end."""
    sessions = []

    def make(*arguments, **options):
        sessions.append(save_model(tmp_path / "model.onnx", *arguments, **options))
        return sessions[-1]

    yield make
    for session in sessions:
        session.close()


def make_judge(session, pictures, classes):
    """The share of *pictures* of which a contract makes the model answer the right one of *classes*."""

    def judge(processing):
        pipeline = open_pipeline(processing, session.inputs, session.outputs, Path())
        answers = [int(session.run([pipeline.feed({"photo": picture}).inputs["x"]])[0].argmax()) for picture in pictures]
        return float(np.mean(np.array(answers) == classes))

    return judge


def over_means():
    """WEIGHTS over the mean of each channel of a CHW tensor."""
    return np.repeat(WEIGHTS, SIDE * SIDE, axis=1) / (SIDE * SIDE)


def coloured(count=30, size=(40, 60)):
    """Noisy pictures of each colour in turn, and the numbers of their colours."""
    rng = np.random.default_rng(7)
    classes = np.arange(count) % len(COLOURS)
    tones = np.array(list(COLOURS.values()))
    noise = rng.normal(0, 12, (count, *size, 3))
    return [np.clip(tones[one] + noise[index], 0, 255).astype(np.uint8) for index, one in enumerate(classes)], classes


def suspects_of(session, declared, pictures, classes):
    return name_suspects(declared, make_judge(session, pictures, classes), len(pictures))


def test_the_right_contract_has_no_suspects(open_model):
    """Where the model answers rightly, nothing is suspected."""
    pictures, classes = coloured()
    session = open_model(over_means())
    assert make_judge(session, pictures, classes)(contract(RESIZE, UNIT, CHW)) == 1.0
    assert suspects_of(session, contract(RESIZE, UNIT, CHW), pictures, classes) == ()


@pytest.mark.parametrize(
    ("declared", "trained", "named"),
    [
        ((RESIZE, UNIT, CHW), (RESIZE, Color(order="BGR"), UNIT, CHW), "BGR"),
        ((RESIZE, Color(order="BGR"), UNIT, CHW), (RESIZE, UNIT, CHW), "RGB"),
        ((RESIZE, Scale(factor=1.0), CHW), (RESIZE, UNIT, CHW), "values from 0 to 1"),
    ],
)
def test_orders_and_units_are_named(declared, trained, named, open_model):
    """A model that was trained with one order or unit and is fed with another is answered with the one that it was trained with."""
    weights = over_means()
    if any(isinstance(step, Color) for step in trained):
        weights = weights.reshape(-1, 3, SIDE * SIDE)[:, ::-1].reshape(weights.shape)
    pictures, classes = coloured()
    session = open_model(weights)
    assert make_judge(session, pictures, classes)(contract(*trained)) == 1.0
    (suspect, *_) = suspects_of(session, contract(*declared), pictures, classes)
    assert suspect.name == named
    assert suspect.score == 1.0
    assert suspect.sentence.startswith(f"looks like {named}: 100 % of answers are right instead of ")


def test_values_from_0_to_255_are_named(open_model):
    """A model that was trained on bytes and is fed from 0 to 1 is said to look like values from 0 to 255."""
    pictures, classes = coloured()
    session = open_model(over_means() / 255)
    (suspect, *_) = suspects_of(session, contract(RESIZE, UNIT, CHW), pictures, classes)
    assert suspect.name == "values from 0 to 255"


def test_a_mean_that_was_left_out_is_named(open_model):
    """A model that was trained with ImageNet's mean and deviation and is fed from 0 to 1 is said to look like them."""
    pictures, classes = coloured()
    session = open_model(over_means(), np.array([0, 0, 0, -4, -5], np.float32))
    (suspect, *_) = suspects_of(session, contract(RESIZE, UNIT, CHW), pictures, classes)
    assert (suspect.name, suspect.score) == ("ImageNet's mean and deviation", 1.0)


def test_a_mean_that_should_not_be_there_is_named(open_model):
    """A model of values from 0 to 1 that is fed less a mean and divided by a deviation is said to look as if there were none."""
    pictures, classes = coloured()
    session = open_model(over_means(), np.array([0, 0, 0, 0.7, -1.6], np.float32))
    declared = contract(RESIZE, UNIT, Normalize(mean=(0.9, 0.9, 0.9), std=(0.1, 0.1, 0.1)), CHW)
    best = [suspect.name for suspect in suspects_of(session, declared, pictures, classes) if suspect.score == 1.0]
    assert set(best) & {"values from 0 to 1", "no mean and deviation"}


def test_a_crop_that_cuts_the_answer_off_is_named(open_model):
    """A model that looks at the left edge sees nothing of it in the middle of a wide picture."""
    edge = np.zeros((3, SIDE, SIDE), np.float32)
    edge[:, :, :2] = 1 / (2 * SIDE)
    weights = (WEIGHTS[:, :, None, None] * edge[None]).reshape(len(WEIGHTS), -1)
    pictures, classes = coloured(size=(40, 120))
    for picture in pictures:
        picture[:, 30:] = 128
    session = open_model(weights)
    declared = contract(Resize(width=SIDE, height=SIDE, fit="cover"), Crop(width=SIDE, height=SIDE), UNIT, CHW)
    (suspect, *_) = suspects_of(session, declared, pictures, classes)
    assert (suspect.name, suspect.score) == ("a picture that is stretched", 1.0)


def test_another_resize_is_named(open_model):
    """Where the nearest pixels keep a pattern that a mean over all of them makes grey, resizing without antialiasing is named."""
    fine = np.indices((160, 160)).sum(axis=0) % 2 * 255
    rng = np.random.default_rng(2)
    flat = [np.full((160, 160, 3), rng.integers(100, 156), np.uint8) for _ in range(15)]
    patterned = [np.repeat(np.roll(fine, shift, axis=1)[..., None], 3, axis=2).astype(np.uint8) for shift in range(15)]
    weights = np.stack([np.zeros(3 * SIDE * SIDE), np.full(3 * SIDE * SIDE, 1 / (3 * SIDE * SIDE))])
    session = open_model(weights, np.array([0.25, 0.0], np.float32), contrast=True)
    found = suspects_of(session, contract(RESIZE, UNIT, CHW), flat + patterned, np.repeat([0, 1], 15))
    names = [suspect.name for suspect in found]
    assert names
    assert all("nearest" in name or "without antialiasing" in name for name in names)


def test_values_in_the_other_layout_are_named(open_model):
    """A model that was trained on HWC values in a tensor that says CHW is recognised, which no shape tells."""
    weights = np.tile(WEIGHTS, SIDE * SIDE) / (SIDE * SIDE)
    pictures, classes = coloured()
    (suspect, *_) = suspects_of(open_model(weights), contract(RESIZE, UNIT, CHW), pictures, classes)
    assert (suspect.name, suspect.score) == ("HWC values in a tensor that says CHW", 1.0)


@pytest.mark.parametrize(("score", "items", "is_named"), [(0.60, 1000, True), (0.60, 30, False), (0.53, 100_000, False), (1.0, 30, True)])
def test_luck_names_nothing(score, items, is_named):
    """Another contract must be better by five points, and by more than so few items give by luck."""
    declared = contract(RESIZE, UNIT, CHW)

    def judge(processing):
        return score if any(isinstance(step, Color) for step in processing.inputs[0].steps) else 0.5

    assert [suspect.name for suspect in name_suspects(declared, judge, items)] == (["BGR"] if is_named else [])


def test_what_cannot_be_carried_out_is_no_suspect():
    """A guess by which the model cannot be fed is passed over; the declared contract that cannot is told."""
    declared = contract(RESIZE, UNIT, CHW)

    def judge(processing):
        if processing != declared:
            raise InputError("x", "it does not fit")
        return 0.1

    assert name_suspects(declared, judge, 100) == ()
    with pytest.raises(InputError, match="it does not fit"):
        name_suspects(contract(RESIZE, CHW), judge, 100)
