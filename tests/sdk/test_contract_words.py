"""A contract's words name every setting, so that two contracts that differ read differently."""

import pytest
from msgspec.structs import replace

from edgekit.contract import Classify, Feature, Layout, Normalize, Processing, Resize, Tokenize
from edgekit.contract_words import describe_answer, describe_feature, describe_step

RESIZE = Resize(width=224, height=160, fit="cover")


def test_a_step_is_told_with_all_its_settings() -> None:
    """A line has the step's name and every setting, also those that were left to their defaults."""
    told = "resize: width 224, height 160, fit cover, interpolation bilinear, antialias yes, fill 0, anchor centre"
    assert describe_step(RESIZE) == told
    assert describe_step(Layout(axes="CHW")) == "layout: axes CHW"


@pytest.mark.parametrize("change", [{"antialias": False}, {"interpolation": "bicubic"}, {"height": 161}, {"fill": (0, 0, 1)}])
def test_what_differs_reads_differently(change: dict[str, object]) -> None:
    """Any one setting that differs shows."""
    assert describe_step(replace(RESIZE, **change)) != describe_step(RESIZE)


def test_figures_keep_what_float32_has() -> None:
    """Means and scales are told to nine figures, which tell any two values of float32 apart."""
    step = Normalize(mean=(0.485, 0.456), std=(0.229000002, 0.225))
    assert describe_step(step) == "normalize: mean 0.485 0.456, std 0.229000002 0.225"


def test_a_feature_is_told_with_what_it_feeds() -> None:
    """The first line says what callers give and which input it becomes; a text's step names the inputs itself."""
    picture = Feature(name="photo", kind="image", feeds="pixels", steps=(RESIZE, Layout(axes="CHW")))
    assert describe_feature(picture)[0] == "photo: image, which becomes the input pixels"
    assert [line.partition(":")[0] for line in describe_feature(picture)] == ["photo", "resize", "layout"]
    text = Feature(name="text", kind="text", steps=(Tokenize(file="tokenizer.json", feeds={"ids": "ids", "mask": "mask"}),))
    assert describe_feature(text)[0] == "text: text"
    assert "feeds ids ids and mask mask" in describe_feature(text)[1]
    table = Feature(name="motion", kind="series", feeds="x", columns=("ax", "ay"))
    assert describe_feature(table) == ["motion: series with the columns ax, ay, which becomes the input x"]


def test_an_answer_is_told_as_a_step_is() -> None:
    """How answers are read has its settings too; without a way to read them they are the model's tensors."""
    assert describe_answer(Processing(answer=Classify(output="scores", top=3))) == "classes: output scores, activation none, top 3"
    assert "own tensors" in describe_answer(Processing())
