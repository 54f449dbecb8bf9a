"""Picture processors of transformers as contracts: field by field, and on real pictures as transformers itself makes them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.contract import Color, Crop, Layout, Normalize, Processing, Resize, Scale
from edgekit.errors import InputError
from edgekit.processing.pipeline import open_pipeline
from edgekit.tensors import TensorSpec
from edgekit_converters.huggingface_notes import Notes
from edgekit_converters.huggingface_pictures import PROCESSORS, read_picture


def make_spec(*shape: int, layout: str | None = None) -> TensorSpec:
    return TensorSpec(name="pixel_values", dtype="float32", shape=("batch", *shape), layout=layout)


def read(kind: str, spec: TensorSpec | None = None, **fields: Any):
    """The steps of the processor *kind* with *fields*, which the file has."""
    return read_picture(Notes(Path("preprocessor_config.json"), {"image_processor_type": kind, **fields}, {}), spec or make_spec(3, 224, 224)).steps


def test_a_processor_is_what_its_class_assumes():
    """A file that says nothing but the class means what transformers assumes: ViT stretches, and scales to -1 to 1."""
    assert read("ViTImageProcessor") == (
        Resize(width=224, height=224),
        Scale(factor=1 / 255),
        Normalize(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        Layout(axes="CHW"),
    )


def test_old_files_mean_the_same():
    """Names and numbers of older versions are read: a feature extractor, and a side instead of two."""
    notes = Notes(Path("x"), {"feature_extractor_type": "ViTFeatureExtractor", "size": 224, "resample": 2}, {})
    assert read_picture(notes, make_spec(3, 224, 224)).steps == read("ViTImageProcessorFast")
    assert read("MobileNetV2ImageProcessor", size=256, crop_size=224) == read("MobileNetV2ImageProcessor")


def test_the_short_side_is_met_and_the_middle_cut_out():
    """MobileNetV2 covers a square with the short side, and cuts its middle out."""
    assert read("MobileNetV2ImageProcessor")[:2] == (Resize(width=256, height=256, fit="cover"), Crop(width=224, height=224))


def test_convnext_crops_by_a_share_when_it_is_small():
    """Below 384 pixels ConvNeXT cuts a share out of the middle; from there on it stretches."""
    small = read("ConvNextImageProcessor", size={"shortest_edge": 224}, crop_pct=0.875)
    assert small[:2] == (Resize(width=256, height=256, fit="cover", interpolation="bicubic"), Crop(width=224, height=224))
    assert read("ConvNextImageProcessor")[0] == Resize(width=384, height=384, interpolation="bicubic")


def test_mobilevit_takes_blue_first():
    """MobileViT turns colours round and never normalises."""
    steps = read("MobileViTImageProcessor", do_normalize=True)
    assert Color(order="BGR") in steps
    assert not any(isinstance(step, Normalize) for step in steps)


def test_efficientnet_normalises_twice():
    """EfficientNet shifts by one where its file says so, and divides by the deviation once more for its classes."""
    steps = read("EfficientNetImageProcessor", rescale_offset=True)
    assert Scale(factor=1 / 255, offset=-1.0) in steps
    assert steps[-2] == Normalize(mean=(0.0,), std=(0.5, 0.5, 0.5))


def test_steps_that_are_switched_off_are_left_out():
    """Without resizing, scaling and normalising nothing but floats in order is left."""
    steps = read("ViTImageProcessor", do_resize=False, do_rescale=False, do_normalize=False)
    assert steps == (Scale(factor=1.0), Layout(axes="CHW"))


def test_the_models_own_border_decides_channels_and_layout():
    """A model of one channel gets grey pictures, and one whose callers give channels last gets them last."""
    assert read("ViTImageProcessor", make_spec(1, 28, 28), image_mean=[0.5], image_std=[0.5])[0] == Color(order="GRAY")
    assert read("ViTImageProcessor", make_spec(224, 224, 3, layout="NHWC"))[-1] == Layout(axes="HWC")


@pytest.mark.parametrize(
    ("kind", "fields", "told"),
    [
        ("SamImageProcessor", {}, "field 'image_processor_type' is \"SamImageProcessor\", and processors of pictures that are read"),
        (7, {}, "field 'image_processor_type' is 7"),
        ("YolosImageProcessor", {}, "field 'size' is .*1333.*a size of its own"),
        ("DetrImageProcessor", {"size": {"height": 8, "width": 8}, "pad_size": {"height": 9, "width": 9}, "do_pad": True}, "field 'pad_size'"),
        ("ViTImageProcessor", {"size": {"shortest_edge": 224}}, "field 'size'"),
        ("ViTImageProcessor", {"size": {"height": "224", "width": 224}}, "field 'size'.*whole numbers of pixels"),
        ("ViTImageProcessor", {"size": "large"}, "field 'size' is \"large\""),
        ("ViTImageProcessor", {"resample": 17}, "field 'resample' is 17, and one of Pillow's filters"),
        ("ViTImageProcessor", {"do_resize": "no"}, "field 'do_resize'"),
        ("ViTImageProcessor", {"image_std": [0.5, 0, 0.5]}, "field 'image_std'.*above 0"),
        ("ViTImageProcessor", {"rescale_factor": "1/255"}, "field 'rescale_factor'"),
        ("CLIPImageProcessor", {"crop_size": {"height": -1, "width": 4}}, "field 'crop_size'"),
        ("ConvNextImageProcessor", {"size": {"shortest_edge": 224}, "crop_pct": 0}, "field 'crop_pct'"),
        ("ConvNextImageProcessor", {"size": {"height": 224, "width": 224}}, "field 'size'.*'shortest_edge' alone"),
    ],
)
def test_what_a_contract_has_no_words_for_is_named(kind, fields, told):
    """Unknown processors, sizes that follow each picture, and fields that are not what they should be are refused by their name."""
    with pytest.raises(InputError, match=f"preprocessor_config.json: {told}"):
        read(kind, **fields)


def make_pictures():
    """Pictures of several sizes and proportions, with edges, gradients and noise: (rows, columns, 3) as uint8."""
    rng = np.random.default_rng(0)
    for height, width in ((333, 500), (640, 480), (97, 131), (481, 1023)):
        y, x = np.mgrid[:height, :width]
        colours = np.stack([127 + 120 * np.sin(x / 17 + y / 31), 127 + 120 * np.cos(x / 7), (x * y) % 256], axis=-1)
        yield np.clip(colours + rng.normal(size=(height, width, 3)) * 10, 0, 255).astype(np.uint8)


#: What else than the assumed is tried: sizes that the model's input has, crops that are larger than the picture, odd sides.
VARIED: dict[str, list[dict[str, Any]]] = {
    "ConvNext": [{"size": {"shortest_edge": 224}}, {"size": {"shortest_edge": 160}, "crop_pct": 0.95}],
    "MobileNetV2": [{"size": {"shortest_edge": 100}}, {"crop_size": {"height": 191, "width": 190}}],
    "MobileViT": [{"size": {"shortest_edge": 288}, "crop_size": {"height": 255, "width": 255}}],
    "EfficientNet": [{"rescale_offset": True, "do_center_crop": True, "rescale_factor": 1 / 127.5}, {"include_top": False}],
    "Yolos": [{"size": {"height": 320, "width": 416}}],
    "Detr": [{"size": {"height": 320, "width": 416}}],
    "ConditionalDetr": [{"size": {"height": 320, "width": 416}}],
    "DeformableDetr": [{"size": {"height": 320, "width": 416}}],
}


@pytest.mark.heavy
@pytest.mark.torch
@pytest.mark.parametrize("name", PROCESSORS)
def test_pictures_are_those_of_transformers(name, tmp_path):
    """Each processor, as it is and with other sizes, makes of real pictures what its contract makes, within single precision."""
    transformers = pytest.importorskip("transformers")
    from PIL import Image

    kind = getattr(transformers, f"{name}ImageProcessorPil")
    follows = "longest_edge" in (kind.size or {})
    for fields in [*([] if follows else [{}]), *VARIED.get(name, [])]:
        kind(**fields).save_pretrained(tmp_path)
        theirs = kind.from_pretrained(tmp_path)
        notes = Notes(tmp_path / "preprocessor_config.json", json.loads((tmp_path / "preprocessor_config.json").read_text()), {})
        pictures = list(make_pictures())
        expected = [theirs(Image.fromarray(picture), return_tensors="np")["pixel_values"][0] for picture in pictures]
        spec = make_spec(*expected[0].shape)
        pipeline = open_pipeline(Processing(inputs=(read_picture(notes, spec),)), [spec], [], tmp_path)
        for picture, wanted in zip(pictures, expected, strict=True):
            np.testing.assert_allclose(pipeline.feed({"image": picture}).inputs["pixel_values"][0], wanted, atol=2e-6)


@pytest.mark.heavy
@pytest.mark.torch
@pytest.mark.parametrize("name", PROCESSORS)
def test_what_is_assumed_is_what_transformers_assumes(name):
    """The fields that a file leaves out are those of the processor's class, each of them."""
    transformers = pytest.importorskip("transformers")
    kind = getattr(transformers, f"{name}ImageProcessorPil")
    for field, value in PROCESSORS[name].items():
        theirs = getattr(kind, field, None)
        # None is false for transformers, true where a bare number is a square's side, and no crop where nothing is cropped.
        theirs = {"default_to_square": True, "crop_size": value, "do_normalize": False}.get(field) if theirs is None else theirs
        assert value == (tuple(theirs) if isinstance(theirs, list) else theirs), field
    for field in ("do_center_crop", "do_flip_channel_order", "rescale_offset", "include_top"):
        assert bool(getattr(kind, field, False)) == bool(PROCESSORS[name].get(field, False)), field
