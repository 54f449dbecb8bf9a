"""Contracts in words."""

import pytest

from edgekit.contract import (
    Cast,
    Classify,
    Color,
    Crop,
    Feature,
    Layout,
    Normalize,
    Processing,
    Quantize,
    Reshape,
    Resize,
    Scale,
    Spectrogram,
    Tokenize,
    Windows,
)
from edgekit.processing.wording import describe_contract, describe_feature, describe_reading, describe_step


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Resize(width=9, height=8), "stretched to 9 x 8, bilinear with antialiasing (Pillow)"),
        (
            Resize(width=9, height=8, fit="letterbox", antialias=False, fill=(114,)),
            "in its proportions into a border of 9 x 8, bilinear without antialiasing (OpenCV), the border 114, anchored at the centre",
        ),
        (Resize(width=9, height=8, fit="cover", interpolation="area"), "in its proportions until both sides are at least 9 x 8, area (OpenCV)"),
        (Crop(width=7, height=6), "the middle 7 x 6"),
        (Color(order="BGR"), "channels in the order BGR"),
        (Color(order="GRAY"), "one channel, the luma of ITU-R BT.601"),
        (Scale(factor=1 / 255), "divided by 255, as float32"),
        (Scale(factor=1 / 127.5, offset=-1.0), "divided by 127.5, plus -1, as float32"),
        (Scale(factor=0.3), "times 0.3, as float32"),
        (Scale(factor=0.0), "times 0, as float32"),
        (Scale(factor=2.0, offset=-1.0), "times 2, plus -1, as float32"),
        (Normalize(mean=(0.5, 0.25), std=(2.0,)), "less the mean 0.5 0.25, divided by 2"),
        (Layout(axes="CHW"), "axes in the order CHW"),
        (Reshape(shape=(1, -1)), "the same values in the shape [1, -1]"),
        (Quantize(dtype="int8", scale=0.5, zero_point=3), "divided by 0.5, rounded, plus 3, as int8"),
        (Cast(dtype="float16"), "as float16"),
        (Windows(length=26, hop=13), "length 26, hop 13"),
        (Spectrogram(frame=480, hop=320, fft=512, power=1), "frame 480, hop 320, fft 512, power 1"),
        (Tokenize(file="t.json", length=8, feeds={"a": "ids"}), "file t.json, length 8, feeds a=ids"),
    ],
)
def test_each_step_is_told(step, words):
    """A step is a phrase with what it leaves open, in the library's own terms."""
    assert describe_step(step) == words


def test_features_and_readings_are_told():
    """What callers give and what they get are phrases too."""
    assert describe_feature(Feature(name="p", kind="image", feeds="x")) == "a picture, which becomes the model's input x"
    assert describe_feature(Feature(name="p", kind="series", feeds="x", columns=("a", "b"))) == (
        "a table with the columns a, b, which becomes the model's input x"
    )
    assert describe_reading(Classify(output="y", activation="softmax")) == "classes of output y, activation softmax"
    assert describe_reading(None) == "the model's own tensors"


def test_a_contract_is_told_in_a_line():
    """What is given, what is answered, and how many labels there are; without a contract, what callers give instead."""
    photo = Feature(name="photo", kind="image", feeds="x", steps=(Color(order="BGR"), Layout(axes="CHW")))
    contract = Processing(task="classify", inputs=(photo,), answer=Classify(output="y"), labels=("a", "b"))
    assert describe_contract(contract) == "classify: photo, a picture, in 2 steps; answers: classes of output y; 2 labels"
    assert describe_contract(Processing(answer=Classify(output="y"), labels=("a",))) == (
        "the model's own tensors; answers: classes of output y; 1 label"
    )
    assert describe_contract(None) == "none: callers give the model's own tensors"
