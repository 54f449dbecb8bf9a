"""A card says what was measured, calls the rest unknown, and shows what it was given as text."""

import re

import pytest
from msgspec.structs import replace

from edgekit.contract import Classify, Feature, Processing, Resize
from edgekit.files import digest_bytes
from edgekit.manifest import DataUse, Metric
from edgekit.model_card import CARD, escape_text, list_limits, render_card, write_card

DIGEST = digest_bytes(b"data")
HOSTILE = "<script>alert(1)</script> | [x](javascript:alert(2)) `code`\n# Heading https://evil.example"


def test_the_card_has_every_part(make_manifest):
    """What it is, what it takes, the data, the variants, what they cost, the limits and where it came from each have a part."""
    card = render_card(make_manifest())
    heads = ["What it takes and gives", "Data", "Variants", "What it costs", "Limits", "Where it came from"]
    assert re.findall(r"^## (.*)$", card, re.MULTILINE) == heads
    assert card.startswith("# digits\n\n5 variants of digits.onnx (onnx, 118 KiB)")
    assert render_card(make_manifest()) == card


def test_figures_are_those_that_were_measured(make_manifest):
    """A variant's row has its size, its metric with the change from the source, and what it cost on the machine named."""
    card = render_card(make_manifest())
    assert "| tflite-int8 | int8 | 29.4 KiB | 0.9922 | \N{MINUS SIGN}0.0017 | 0.01 | top-1 100.0% |" in card
    assert "On Example CPU (x86-64):" in card
    assert "| tflite-int8 | engine 1.0 | 1 | 21.0 µs | 25.2 µs | 60.0 MiB | unknown |" in card
    assert "The default on x86-64 is **tflite-int8**: the fastest." in card


def test_what_was_not_measured_is_unknown(make_manifest):
    """Without labels the metric is unknown, and without a machine so is what it costs; neither is shown as a figure."""
    manifest = make_manifest(metric=None)
    bare = replace(manifest, variants=tuple(replace(variant, measured=()) for variant in manifest.variants), defaults={})
    card = render_card(bare)
    assert "| tflite-int8 | int8 | 29.4 KiB | unknown | unknown | 0.01 |" in card
    assert "Latency, memory and energy are unknown: no machine has measured it." in card
    assert "No metric was measured" in card
    assert "training data, its purpose and its fairness nothing is known" in card


def test_how_sure_a_metric_is_stands_beside_it(make_manifest):
    """A confidence interval is shown with its metric, and its absence is one of the limits."""
    manifest = make_manifest(("onnx-fp32",))
    assert "How sure the metric is was not computed." in list_limits(manifest)
    metric = Metric(name="wer", value=0.1, n=40, source_value=0.08, better="lower", interval=(0.05, 0.17))
    sure = replace(manifest, variants=(replace(manifest.variants[0], metric=metric),))
    assert "0.1000 (0.0500 to 0.1700) | +0.0200" in render_card(sure)
    assert "wer (lower is better) on 40 samples" in render_card(sure)
    assert "How sure the metric is was not computed." not in list_limits(sure)


def test_the_contract_is_told_step_by_step(make_manifest):
    """A processing contract stands in the card, each step with its number, and so do the first of its labels."""
    feature = Feature(name="photo", kind="image", feeds="x", steps=(Resize(width=3, height=1),))
    labels = tuple(f"class {index}" for index in range(25))
    contract = Processing(task="classify", inputs=(feature,), answer=Classify(output="y"), labels=labels)
    card = render_card(replace(make_manifest(), processing=contract))
    assert "photo: a picture, which becomes the model's input x\n\n1. resize: stretched to 3 x 1, bilinear with antialiasing (Pillow)" in card
    assert "Answers are read: classes of output y." in card
    assert "class 19 and 5 more." in card
    assert "There is no processing contract" not in card


def test_data_are_told_with_counts_and_digests(make_manifest):
    """Each set of data that took part has its samples of how many, what was skipped, its seed, and both digests."""
    manifest = make_manifest()
    counts = {"samples": 300, "available": 5000, "skipped": 2, "seed": 7}
    use = DataUse(role="calibration", name="photos", kind="class folders", digest=DIGEST, taken=DIGEST, **counts)
    card = render_card(replace(manifest, lineage=replace(manifest.lineage, data=(use,))))
    assert f"| calibration | photos | class folders | 300 of 5000 | 2 | 7 | `{DIGEST}` | `{DIGEST}` |" in card


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"golden_origin": "synthetic"}, "Golden samples were made up"),
        ({"golden_origin": "calibration"}, None),
    ],
)
def test_limits_follow_from_what_was_done(make_manifest, change, told):
    """Golden samples that were made up are a limit, and those of real data are none."""
    said = [sentence for sentence in list_limits(replace(make_manifest(), **change)) if "Golden samples" in sentence]
    assert [sentence.startswith(str(told)) for sentence in said] == ([True] if told else [])


def test_what_the_build_warned_of_is_a_limit(make_manifest):
    """A warning of the build stands first among the limits, as text."""
    manifest = replace(make_manifest(), warnings=("Only *four* samples calibrate it.",))
    assert list_limits(manifest)[0] == r"Only \*four\* samples calibrate it."


def test_how_to_make_it_again_is_told(make_manifest):
    """With a recipe in the lineage the card has the command that makes it again; without one it says so."""
    manifest = make_manifest()
    assert "cannot be made again by command" in render_card(manifest)
    again = replace(manifest, lineage=replace(manifest.lineage, recipe={"source": "digits.onnx", "calibration": "c.npz"}))
    assert "edgekit reproduce BUNDLE --source SOURCE --calibration CALIBRATION\n" in render_card(again)


def test_hostile_text_is_only_text(make_manifest):
    """A name from a stranger makes no element, no link, no heading and no cell of a table."""
    manifest = make_manifest(source=HOSTILE)
    card = render_card(replace(manifest, skipped=(replace(manifest.skipped[0], reason=HOSTILE),)))
    assert "<script" not in card
    assert not re.search(r"(?<!\\)\]\(javascript", card)
    assert "https://evil" not in card
    assert not re.search(r"^# Heading", card, re.MULTILINE)
    (row,) = [line for line in card.splitlines() if line.startswith("| openvino-int8 |")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 3


def test_escaped_text_has_one_line():
    """Line ends and control characters become spaces, and every mark of Markdown stands behind a backslash."""
    assert escape_text("a\n\x1b[31mb*") == r"a \[31mb\*"


def test_the_card_is_written(make_manifest, tmp_path):
    """The file holds the card as UTF-8."""
    write_card(make_manifest(), tmp_path / CARD)
    assert (tmp_path / CARD).read_text(encoding="utf-8") == render_card(make_manifest())
