"""A contract that is opened for a model: what it feeds, what it refuses, and when."""

import io
import threading
from pathlib import Path

import numpy as np
import pytest

from edgekit.contract import Classify, Color, Crop, Detect, Feature, Fit, Layout, Normalize, Processing, Reshape, Resize, Scale, Tokenize, Windows
from edgekit.errors import DeviceError, InputError
from edgekit.processing.pipeline import open_pipeline
from edgekit.tensors import TensorSpec

Image = pytest.importorskip("PIL.Image")

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
X = TensorSpec(name="x", dtype="float32", shape=("n", 3, 32, 40))
Y = TensorSpec(name="y", dtype="float32", shape=("n", 4))
STEPS = (Resize(width=40, height=32), Scale(factor=1 / 255), Normalize(mean=MEAN, std=STD), Layout(axes="CHW"))
ROOT = Path()


def contract(*steps, kind="image", feeds="x", **fields):
    return Processing(inputs=(Feature(name="photo", kind=kind, feeds=feeds, steps=steps),), **fields)


def opened(processing, inputs=(X,), outputs=(Y,)):
    return open_pipeline(processing, inputs, outputs, ROOT)


def encode(pixels, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


def by_hand(pixels):
    """What a careful person would write for STEPS."""
    resized = np.asarray(Image.fromarray(pixels).resize((40, 32), Image.Resampling.BILINEAR), np.float32)
    return ((resized / 255 - np.float32(MEAN)) / np.float32(STD)).transpose(2, 0, 1)[None]


def test_a_picture_becomes_what_a_careful_person_would_feed():
    """A PNG and its pixels become the tensor that Pillow and numpy give by hand, in one piece of memory."""
    pipeline = opened(contract(*STEPS))
    for raw in (encode(PIXELS), PIXELS):
        fed = pipeline.feed({"photo": raw})
        assert fed.n == 1
        assert fed.inputs["x"].dtype == np.float32
        assert fed.inputs["x"].flags["C_CONTIGUOUS"]
        np.testing.assert_allclose(fed.inputs["x"], by_hand(PIXELS), atol=2e-6)
        assert (fed.scene.size, fed.scene.model_size) == ((64, 48), (40, 32))


def test_what_is_shown_is_what_is_fed():
    """The last of the watched steps is the tensor itself, and before it stands each step in order."""
    pipeline = opened(contract(*STEPS))
    watched = list(pipeline.watch({"photo": PIXELS}))
    assert [step for _, step, _ in watched] == [None, *STEPS]
    assert (watched[-1][2] == pipeline.feed({"photo": PIXELS}).inputs["x"]).all()


def test_specs_name_what_callers_give_and_get():
    """Callers give one BYTES for each feature, and get the answer's own names."""
    pipeline = opened(contract(*STEPS, answer=Classify(output="y")))
    assert pipeline.inputs == (TensorSpec(name="photo", dtype="bytes", shape=(1,)),)
    assert [spec.name for spec in pipeline.answers] == ["labels", "classes", "scores"]
    assert pipeline.specs == (X,)


def test_answers_are_read():
    """The highest scores come back with their labels."""
    pipeline = opened(contract(*STEPS, answer=Classify(output="y", top=2), labels=("cat", "dog", "fox", "owl")))
    fed = pipeline.feed({"photo": PIXELS})
    answer = pipeline.read({"y": np.array([[0.1, 0.2, 0.6, 0.3]], np.float32)}, fed)
    assert answer["labels"].tolist() == [b"fox", b"owl"]


def test_without_a_reading_answers_are_the_tensors():
    """A contract that says nothing of answers gives the model's own outputs."""
    pipeline = opened(contract(*STEPS))
    outputs = {"y": np.ones((1, 4), np.float32)}
    assert pipeline.read(outputs, pipeline.feed({"photo": PIXELS})) == outputs
    assert pipeline.answers == (Y,)


def test_boxes_come_back_into_the_callers_picture():
    """A box that fills the model's picture fills the caller's, though a letterbox lay between them."""
    steps = (Resize(width=40, height=40, fit="letterbox"), Scale(factor=1 / 255), Layout(axes="CHW"))
    answer = Detect(boxes="boxes", scores="scores", threshold=0.5)
    outputs = (TensorSpec(name="boxes", dtype="float32", shape=("n", 1, 4)), TensorSpec(name="scores", dtype="float32", shape=("n", 1, 2)))
    pipeline = opened(contract(*steps, answer=answer), (TensorSpec(name="x", dtype="float32", shape=("n", 3, 40, 40)),), outputs)
    fed = pipeline.feed({"photo": PIXELS})
    found = pipeline.read({"boxes": np.array([[[0, 5, 40, 35]]], np.float32), "scores": np.array([[[0.1, 0.9]]], np.float32)}, fed)
    np.testing.assert_allclose(found["boxes"], [[0, 0, 64, 48]], atol=1e-4)


def test_a_contract_without_inputs_takes_tensors():
    """Where only the answer is declared, callers give the model's own tensors, and these are checked."""
    pipeline = opened(Processing(answer=Classify(output="y")))
    assert pipeline.inputs == (X,)
    tensor = np.zeros((2, 3, 32, 40), np.float32)
    assert pipeline.feed({"x": tensor}).n == 2
    for wrong in (tensor[:, :2], tensor.astype(np.float64), np.float32(1), b"bytes"):
        with pytest.raises(InputError, match="input 'x'"):
            pipeline.feed({"x": wrong})


@pytest.mark.parametrize(
    ("processing", "told"),
    [
        (contract(*STEPS, feeds="z"), r"input 'photo', feeds: it names 'z', and the model's inputs are x"),
        (contract(*STEPS, feeds=None), r"input 'photo': it does not say which of the model's inputs it becomes"),
        (
            contract(*STEPS[:-1]),
            r"input 'photo', steps: they make float32\[n, 32, 40, 3\] of it, and the model's input is x: float32\[n, 3, 32, 40\]",
        ),
        (contract(STEPS[0], STEPS[-1]), r"they make uint8\[n, 3, 32, 40\]"),
        (contract(Resize(width=41, height=32), *STEPS[1:]), r"they make float32\[n, 3, 32, 41\]"),
        (contract(STEPS[0], Scale(factor=1.0), Reshape(shape=(3, 32))), r"step 3 \(reshape\): shape: \[32, 40, 3\] cannot become \[3, 32\]"),
        (contract(STEPS[1], STEPS[0]), r"step 2 \(resize\): step: it changes pictures, and stands behind"),
        (contract(STEPS[0], Color(order="GRAY"), *STEPS[1:]), r"step 4 \(normalize\): mean: it has 3 values, and there are 1 channels"),
        (contract(Tokenize(file="t.json", feeds={"x": "ids"})), r"step 1 \(tokenize\): step: it is for texts, and the input is of the kind image"),
        (contract(*STEPS, answer=Classify(output="z")), r"answer\.output: it names 'z'"),
        (contract(*STEPS, answer=Classify(output="y"), labels=("a", "b")), r"labels: there are 2, and the output .* has 4 classes"),
        (contract(Fit(length=8), Layout(axes="CHW"), kind="series"), r"step 2 \(layout\)"),
        (contract(Color(order="BGR"), kind="series"), r"step 1 \(color\): step: it is for pictures, and the input is of the kind series"),
    ],
)
def test_a_contract_that_does_not_fit_is_refused_when_it_is_opened(processing, told):
    """What cannot fit the model is told before any caller comes, by input, step and field."""
    with pytest.raises(InputError, match=told):
        opened(processing)


def test_every_input_must_be_fed_once():
    """An input that no feature becomes is refused, and so is one that two become."""
    other = TensorSpec(name="z", dtype="float32", shape=("n", 3, 32, 40))
    with pytest.raises(InputError, match="nothing becomes the model's input z"):
        opened(contract(*STEPS), (X, other))
    both = Processing(inputs=tuple(Feature(name=name, kind="image", feeds="x", steps=STEPS) for name in ("left", "right")))
    with pytest.raises(InputError, match="input 'right', feeds: another feature becomes 'x' already"):
        opened(both)


def test_two_pictures_have_no_scene():
    """A model of two pictures is fed with both, and where a box would lie nobody can say."""
    other = TensorSpec(name="z", dtype="float32", shape=("n", 3, 32, 40))
    both = Processing(inputs=tuple(Feature(name=name, kind="image", feeds=feeds, steps=STEPS) for name, feeds in (("left", "x"), ("right", "z"))))
    fed = opened(both, (X, other)).feed({"left": PIXELS, "right": PIXELS[::-1]})
    assert fed.scene is None
    assert set(fed.inputs) == {"x", "z"}


def test_sizes_of_the_callers_are_held_against_the_model():
    """Without a resize a picture of the model's size is taken, and another is refused with both sizes."""
    pipeline = opened(contract(Scale(factor=1.0), Layout(axes="CHW")))
    assert pipeline.feed({"photo": PIXELS[:32, :40]}).inputs["x"].shape == (1, 3, 32, 40)
    with pytest.raises(InputError, match=r"it becomes float32\[1, 3, 48, 64\], and the model's input is x: float32\[n, 3, 32, 40\]"):
        pipeline.feed({"photo": PIXELS})


def test_a_picture_that_would_become_gigabytes_is_refused_before_it_does():
    """More values than an item may have are refused when the contract is opened, or where callers decide, when they give them."""
    huge = TensorSpec(name="x", dtype="float32", shape=("n", 3, 6000, 6000))
    with pytest.raises(InputError, match=r"input 'photo': size: it would become \[6000, 6000, 3\], and 67108864 values are the most"):
        opened(contract(Resize(width=6000, height=6000), Scale(factor=1.0), Layout(axes="CHW")), (huge,))
    any_size = opened(contract(Scale(factor=1.0)), (TensorSpec(name="x", dtype="float32", shape=("n", "h", "w", 3)),))
    with pytest.raises(InputError, match=r"\[6000, 6000, 3\].*Give a smaller picture"):
        any_size.feed({"photo": np.broadcast_to(np.uint8(0), (6000, 6000, 3))})


def test_a_size_that_varies_takes_any():
    """A model whose picture may have any size is fed with what comes."""
    pipeline = opened(contract(Scale(factor=1.0), Layout(axes="CHW")), (TensorSpec(name="x", dtype="float32", shape=("n", 3, "h", "w")),))
    assert pipeline.feed({"photo": PIXELS}).inputs["x"].shape == (1, 3, 48, 64)


def test_a_table_becomes_windows():
    """A table's windows are samples; what is no number on the way to the model is refused."""
    steps = (Normalize(mean=(1.0, 2.0, 3.0), std=(2.0,)), Windows(length=4, hop=2))
    pipeline = opened(contract(*steps, kind="series"), (TensorSpec(name="x", dtype="float32", shape=("n", 4, 3)),))
    rows = np.arange(30, dtype=np.float32).reshape(10, 3)
    fed = pipeline.feed({"photo": rows})
    assert fed.n == 4
    np.testing.assert_allclose(fed.inputs["x"][1], (rows[2:6] - [1, 2, 3]) / 2)
    with pytest.raises(InputError, match=r"step 2 \(windows\): length: there are 3, and a window takes 4"):
        pipeline.feed({"photo": rows[:3]})
    huge = contract(Scale(factor=1e38), Windows(length=4, hop=2), kind="series")
    with pytest.raises(InputError, match="NaN or infinite on its way to the model"):
        opened(huge, (TensorSpec(name="x", dtype="float32", shape=("n", 4, 3)),)).feed({"photo": rows})


def test_names_of_inputs_are_checked():
    """A missing input and one that nobody knows are told with those that there are."""
    pipeline = opened(contract(*STEPS))
    with pytest.raises(InputError, match="input 'photo': it is missing"):
        pipeline.feed({})
    with pytest.raises(InputError, match=r"input 'sound': there is no such input\. Give 'photo'"):
        pipeline.feed({"photo": PIXELS, "sound": b""})


def test_a_broken_picture_is_the_callers_fault():
    """Bytes that are no picture are refused by the input's name."""
    with pytest.raises(InputError, match="input 'photo': it is no picture"):
        opened(contract(*STEPS)).feed({"photo": b"no picture"})


def test_many_threads_feed_at_once():
    """Eight threads with different pictures get what each gets alone."""
    pipeline = opened(contract(Resize(width=60, height=60, fit="cover"), Crop(width=40, height=32), *STEPS[1:]))
    pictures = [encode(np.roll(PIXELS, shift, axis=1)) for shift in range(8)]
    alone = [pipeline.feed({"photo": data}).inputs["x"] for data in pictures]
    wrong: list[int] = []

    def feed(index):
        fed = [pipeline.feed({"photo": pictures[index]}).inputs["x"] for _ in range(5)]
        wrong.extend(index for found in fed if not (found == alone[index]).all())

    threads = [threading.Thread(target=feed, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_device_without_the_library_says_what_to_install(monkeypatch):
    """Where Pillow is missing, the contract is refused when it is opened, with the extra that brings it."""
    import sys

    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(DeviceError, match=r"library 'PIL.Image'.*pip install 'edgekit\[images\]'"):
        opened(contract(*STEPS))
