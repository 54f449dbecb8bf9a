"""Contracts made for a task, and contracts read from files."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgekit.contract import (
    Anomaly,
    Classify,
    Crop,
    Detect,
    Embed,
    Feature,
    Layout,
    Normalize,
    Processing,
    Quantize,
    Resize,
    Scale,
    Segment,
    Transcribe,
)
from edgekit.errors import InputError, UnknownName
from edgekit.processing.pipeline import open_pipeline
from edgekit.processing.presets import make_preset, read_processing
from edgekit.tensors import Quantization, TensorSpec

pytest.importorskip("PIL.Image")
pytest.importorskip("cv2")

PICTURE = np.full((60, 90, 3), 200, np.uint8)


def spec(name, dtype, *shape, **fields):
    return TensorSpec(name=name, dtype=dtype, shape=("n", *shape), **fields)


LOGITS = spec("logits", "float32", 10)


def feed(task, inputs, outputs):
    """What a grey-white picture becomes by the preset, which must open for the model."""
    contract = make_preset(task, inputs, outputs)
    assert contract.task == task
    return open_pipeline(contract, inputs, outputs, Path()).feed({"image": PICTURE}).inputs[inputs[0].name]


def steps_of(task, inputs, outputs=(LOGITS,)):
    return make_preset(task, inputs, outputs).inputs[0].steps


def test_a_classifier_of_colours_sees_the_middle_as_imagenet_had_it():
    """Proportions are kept, 256 covered and 224 cut out, and ImageNet's mean and deviation are taken."""
    steps = steps_of("classify", [spec("x", "float32", 3, 224, 224)])
    assert steps[:2] == (Resize(width=256, height=256, fit="cover"), Crop(width=224, height=224))
    fed = feed("classify", [spec("x", "float32", 3, 224, 224)], [LOGITS])
    np.testing.assert_allclose(fed[0, :, 0, 0], (200 / 255 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225], atol=1e-5)


def test_small_pictures_are_not_cut():
    """Below 64 pixels the whole picture is fed."""
    assert steps_of("classify", [spec("x", "float32", 32, 32, 3)])[0] == Resize(width=32, height=32)


@pytest.mark.parametrize(("shape", "axes"), [((1, 28, 28), "CHW"), ((28, 28, 1), "HWC"), ((28, 28), "HW")])
def test_one_channel_is_grey_from_zero_to_one(shape, axes):
    """A model of one channel gets the luma from 0 to 1, in its own layout."""
    fed = feed("classify", [spec("x", "float32", *shape)], [LOGITS])
    assert fed.shape == (1, *shape)
    np.testing.assert_allclose(fed, 200 / 255, atol=1e-6)
    assert steps_of("classify", [spec("x", "float32", *shape)])[-1] == Layout(axes=axes)


def test_a_layout_that_is_known_decides():
    """Where both ends could be channels, the spec's layout tells."""
    assert steps_of("classify", [spec("x", "float32", 3, 80, 3, layout="NHWC")])[-1] == Layout(axes="HWC")
    assert steps_of("classify", [spec("x", "float32", 3, 80, 3)])[-1] == Layout(axes="CHW")


def test_bytes_are_pixels():
    """An input of uint8 takes raw pixels."""
    assert (feed("classify", [spec("x", "uint8", 96, 96, 3)], [LOGITS]) == 200).all()


@pytest.mark.parametrize(
    ("scale", "zero_point", "expected"),
    [(1 / 255, -128, 72), (1 / 127.5, 0, 72), (1.0, -128, 72), (1.0, 0, 72)],
)
def test_of_int8_the_quantisation_tells_the_unit(scale, zero_point, expected):
    """From 0 to 1, -1 to 1, 0 to 255 or -128 to 127: each is told by what the lowest and highest integer stand for."""
    quantised = spec("x", "int8", 96, 96, 3, quantization=Quantization(scale=(scale,), zero_point=(zero_point,)))
    fed = feed("classify", [quantised], [LOGITS])
    assert fed.dtype == np.int8
    assert np.abs(fed.astype(int) - expected).max() <= 1


def test_other_quantisations_are_of_imagenet():
    """A range of about -2 to 2.6 is that of normalised pictures."""
    quantised = spec("x", "int8", 96, 96, 3, quantization=Quantization(scale=(0.0187,), zero_point=(-14,)))
    steps = steps_of("classify", [quantised])
    assert any(isinstance(step, Normalize) for step in steps)
    assert Quantize(dtype="int8", scale=0.0187, zero_point=-14) in steps


def test_half_precision():
    """An input of float16 gets float16."""
    assert feed("classify", [spec("x", "float16", 3, 96, 96)], [LOGITS]).dtype == np.float16


@pytest.mark.parametrize(("name", "activation"), [("logits", "softmax"), ("probabilities", "none")])
def test_scores_are_read_by_their_name(name, activation):
    """Logits go through softmax, and whatever else is taken as it is."""
    answer = make_preset("classify", [spec("x", "uint8", 96, 96, 3)], [spec(name, "float32", 3)]).answer
    assert answer == Classify(output=name, activation=activation, top=3)


def test_labels_tell_which_output_has_the_classes():
    """Of two rows that is taken which has as many scores as there are labels."""
    outputs = [spec("a", "float32", 5), spec("b", "float32", 2)]
    contract = make_preset("classify", [spec("x", "uint8", 96, 96, 3)], outputs, ("no", "yes"))
    assert contract.answer.output == "b"
    assert contract.labels == ("no", "yes")
    with pytest.raises(InputError, match="which output has a score for each class cannot be told"):
        make_preset("classify", [spec("x", "uint8", 96, 96, 3)], outputs)


TFLITE = "TFLite_Detection_PostProcess"


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ([spec("output0", "float32", 84, 8400)], Detect(boxes="output0", layout="yolo", form="cxcywh")),
        ([spec("output", "float32", 25200, 85)], Detect(boxes="output", layout="yolo-objectness", form="cxcywh")),
        (
            [spec("logits", "float32", 100, 92), spec("pred_boxes", "float32", 100, 4)],
            Detect(boxes="pred_boxes", scores="logits", form="cxcywh", unit="shares", activation="softmax", background=-1, threshold=0.5, iou=None),
        ),
        (
            [spec(TFLITE, "float32", 10, 4), spec(f"{TFLITE}:1", "float32", 10), spec(f"{TFLITE}:2", "float32", 10), spec(f"{TFLITE}:3", "float32")],
            Detect(
                boxes=TFLITE,
                classes=f"{TFLITE}:1",
                scores=f"{TFLITE}:2",
                counts=f"{TFLITE}:3",
                layout="classified",
                form="yxyx",
                unit="shares",
                threshold=0.5,
                iou=None,
            ),
        ),
    ],
)
def test_detectors_are_known_by_their_outputs(outputs, expected):
    """Ultralytics' one output, old and new, transformers' DETR and TFLite's own post-processing are told apart."""
    inputs = [spec("x", "float32", 3, 640, 640)]
    contract = make_preset("detect", inputs, outputs)
    assert contract.answer == expected
    open_pipeline(contract, inputs, outputs, Path()).feed({"image": PICTURE})


def test_yolo_gets_a_grey_border():
    """Ultralytics' detectors are fed with the whole picture in a border of 114, values from 0 to 1."""
    fed = feed("detect", [spec("x", "float32", 3, 640, 640)], [spec("output0", "float32", 84, 8400)])
    np.testing.assert_allclose(fed[0, :, 0, 0], 114 / 255, atol=1e-6)
    np.testing.assert_allclose(fed[0, :, 320, 320], 200 / 255, atol=1e-6)


@pytest.mark.parametrize(("shape", "axis"), [((19, 128, 64), "first"), ((128, 64, 19), "last")])
def test_masks_are_known_by_their_proportions(shape, axis):
    """The axes that have the picture's proportions are its sides, and the third has the classes."""
    answer = make_preset("segment", [spec("x", "float32", 3, 512, 256)], [spec("y", "float32", *shape)]).answer
    assert answer == Segment(output="y", axis=axis)


def test_embeddings():
    """A vector is taken as it is, of one for each token the mean, and of both that whose name says that it is pooled."""
    inputs, tokens, pooled = [spec("x", "float32", 3, 224, 224)], spec("last_hidden_state", "float32", 50, 768), spec("pooler_output", "float32", 768)
    assert make_preset("embed", inputs, [pooled]).answer == Embed(output="pooler_output")
    assert make_preset("embed", inputs, [tokens]).answer == Embed(output="last_hidden_state", pool="mean")
    assert make_preset("embed", inputs, [tokens, pooled]).answer == Embed(output="pooler_output")


def test_anomalies():
    """A picture rebuilt is held against the one that was fed, and a single figure is taken as it is; sounds by their shape."""
    picture, sound = spec("x", "float32", 1, 64, 64), spec("x", "float32", 640)
    assert make_preset("anomaly", [picture], [spec("y", "float32", 1, 64, 64)]).answer == Anomaly(output="y", of="x")
    assert make_preset("anomaly", [picture], [spec("score", "float32", 1)]).answer == Anomaly(output="score")
    contract = make_preset("anomaly", [sound], [spec("y", "float32", 640)])
    assert contract.inputs[0].kind == "audio"
    assert contract.answer == Anomaly(output="y", of="x")


def test_sounds():
    """Keywords are classified and speech is transcribed, with the blank and the space that the labels name."""
    contract = make_preset("audio", [spec("x", "float32", 49, 10, 1)], [spec("y", "float32", 12)])
    assert (contract.inputs[0].kind, contract.answer) == ("audio", Classify(output="y"))
    labels = ("<pad>", "|", "A", "B")
    contract = make_preset("transcribe", [spec("x", "float32", 16_000)], [spec("y", "float32", 49, 4)], labels)
    assert contract.answer == Transcribe(output="y", blank=0, space="|")


@pytest.mark.parametrize(
    ("task", "inputs", "outputs", "told"),
    [
        ("text", [spec("ids", "int64", 8)], [LOGITS], "the tokeniser is missing"),
        ("classify", [spec("x", "float32", 3, "h", "w")], [LOGITS], "the size of the model's picture is missing.*--shape"),
        ("classify", [spec("x", "float32", 40)], [LOGITS], "one picture of one or three channels, and this one takes x"),
        ("classify", [spec("x", "float32", 3, 64, 64), spec("z", "float32", 3, 64, 64)], [LOGITS], "takes one picture"),
        ("classify", [spec("x", "int8", 64, 64, 3)], [LOGITS], "the quantisation of the model's input .* is missing"),
        ("classify", [spec("x", "int32", 64, 64, 3)], [LOGITS], "what the numbers of the model's input .* stand for is missing"),
        (
            "detect",
            [spec("x", "uint8", 64, 64, 3)],
            [spec("a", "float32", 9, 4), spec("b", "float32", 9, 3)],
            "which output has boxes and which scores",
        ),
        ("segment", [spec("x", "uint8", 64, 64, 3)], [LOGITS], "which output has a score for each class and pixel"),
        ("embed", [spec("x", "uint8", 64, 64, 3)], [spec("a", "float32", 9), spec("b", "float32", 9)], "which output is the vector"),
        ("anomaly", [spec("x", "uint8", 64, 64, 3)], [LOGITS], "which output is the input rebuilt"),
        ("transcribe", [spec("x", "float32", 16_000)], [LOGITS], "which output has one of the 0 labels for each step"),
    ],
)
def test_what_cannot_be_told_is_named(task, inputs, outputs, told):
    """A preset that would have to guess is refused, and the message says what is missing."""
    with pytest.raises(InputError, match=f"--task {task}.*{told}"):
        make_preset(task, inputs, outputs)


def test_an_unknown_task_is_refused():
    """A task that there is not is answered with those that there are."""
    with pytest.raises(UnknownName, match=r"task 'fly'.*anomaly, audio, classify"):
        make_preset("fly", [], [])


TOML = """
task = "classify"
labels = ["cat", "dog"]

[[inputs]]
name = "photo"
kind = "image"
feeds = "x"
steps = [
    { step = "resize", width = 40, height = 32, interpolation = "bicubic" },
    { step = "scale", factor = 0.00392156862745098 },
    { step = "layout", axes = "CHW" },
]

[answer]
read = "classes"
output = "y"
"""
STEPS = (Resize(width=40, height=32, interpolation="bicubic"), Scale(factor=1 / 255), Layout(axes="CHW"))
WRITTEN = Processing(
    task="classify",
    labels=("cat", "dog"),
    inputs=(Feature(name="photo", kind="image", feeds="x", steps=STEPS),),
    answer=Classify(output="y"),
)


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_contract_is_read_from_toml_and_from_json(tmp_path):
    """Both forms give the same record, and what a record encodes is read again."""
    assert read_processing(write(tmp_path / "contract.toml", TOML)) == WRITTEN
    assert read_processing(write(tmp_path / "contract.json", WRITTEN.encode().decode())) == WRITTEN


def test_the_contract_in_the_documentation_is_one(tmp_path):
    """The TOML in docs/concepts/processing.md is read, and opens for the model that it speaks of."""
    page = (Path(__file__).parents[3] / "docs" / "concepts" / "processing.md").read_text(encoding="utf-8")
    contract = read_processing(write(tmp_path / "contract.toml", page.partition("```toml\n")[2].partition("```")[0]))
    inputs, outputs = [spec("x", "float32", 3, 224, 224)], [spec("logits", "float32", 3)]
    assert open_pipeline(contract, inputs, outputs, tmp_path).feed({"image": PICTURE}).n == 1


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("interpolation", "interpolaton", r"\$\.inputs\[0\]\.steps\[0\] has no field 'interpolaton'.*Its fields are .*antialias"),
        ("task =", "tsk =", r"\$ has no field 'tsk'"),
        ('output = "y"', 'output = "y"\ntopk = 3', r"\$\.answer has no field 'topk'"),
        ("bicubic", "cubic", r"Invalid enum value 'cubic' - at `\$\.inputs\[0\]\.steps\[0\]\.interpolation`"),
        ("width = 40, ", "", r"missing required field `width` - at `\$\.inputs\[0\]\.steps\[0\]`"),
        ("width = 40", "width = 0", r"Expected `int` >= 1 - at .*width"),
        ('"resize"', '"rezise"', r"Invalid value 'rezise' - at .*step"),
        ("0.00392156862745098", "inf", "factor is not a finite number"),
        ("[[inputs]]", "[[inputs", "it is no TOML"),
    ],
)
def test_a_wrong_field_is_named(old, new, told, tmp_path):
    """What is misspelt, missing or out of range is refused with the file, the field's place and what is expected."""
    with pytest.raises(InputError, match=rf"contract\.toml: .*{told}"):
        read_processing(write(tmp_path / "contract.toml", TOML.replace(old, new)))


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("contract.json", b"[1, 2]", "Expected `object`, got `array`"),
        ("contract.json", b"{\xff", "it is no JSON"),
        ("contract.json", b"[" * 200_000, "it is no JSON"),
        ("contract.yaml", b"task: classify", r"neither in \.toml nor in \.json"),
        ("contract.json", b" " * ((16 << 20) + 1), "larger than 16 MiB"),
    ],
)
def test_hostile_files_are_refused(name, data, told, tmp_path):
    """Other types, bytes that are no text, deep nesting and huge files end in an InputError that names the file."""
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=rf"{name}: .*{told}"):
        read_processing(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    """A path with nothing is refused."""
    with pytest.raises(InputError, match=r"no\.toml: it cannot be read"):
        read_processing(tmp_path / "no.toml")


def texts(file):
    step = {"step": "tokenize", "file": file, "feeds": {"ids": "ids"}}
    return json.dumps({"inputs": [{"name": "text", "kind": "text", "steps": [step]}]})


def test_files_beside_a_contract_are_entered(tmp_path):
    """A tokeniser is found beside the contract, and its entry has digest and length, whatever the file itself says."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "tokenizer.json").write_bytes(b"{}")
    contract = read_processing(write(tmp_path / "contract.json", texts("parts/tokenizer.json")))
    ((path, length),) = [(entry.path, entry.length) for entry in contract.files]
    assert (path, length) == ("parts/tokenizer.json", 2)


@pytest.mark.parametrize("name", ["tokenizer.json", "link.json", "parts"])
def test_files_outside_the_directory_are_refused(name, tmp_path):
    """A file that is not there, a link that leads out of the directory, and a directory are refused."""
    inside = tmp_path / "inside"
    (inside / "parts").mkdir(parents=True)
    (tmp_path / "secret.json").write_text("{}")
    (inside / "link.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(InputError, match=f"it names the file '{name}', which is not in its directory"):
        read_processing(write(inside / "contract.json", texts(name)))


def test_paths_that_climb_are_refused(tmp_path):
    """A path with dots is refused by its field."""
    with pytest.raises(InputError, match=r"steps\[0\]\.file"):
        read_processing(write(tmp_path / "contract.json", texts("../tokenizer.json")))


def test_every_preset_can_be_written_and_read(tmp_path):
    """What a preset makes is a contract that a person may save, change and give again."""
    contract = make_preset("detect", [spec("x", "float32", 3, 64, 64)], [spec("y", "float32", 84, 8400)])
    path = tmp_path / "contract.json"
    path.write_bytes(msgspec.json.format(contract.encode(), indent=2))
    assert read_processing(path) == contract
