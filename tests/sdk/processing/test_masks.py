"""Masks lie over the caller's picture, whatever was done to it."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.arrays import Array
from edgekit.contract import Cast, Crop, Feature, Layout, Processing, Resize, Segment
from edgekit.errors import InputError
from edgekit.processing.base import Fed, Scene
from edgekit.processing.masks import UNKNOWN, prepare_masks
from edgekit.processing.pipeline import open_pipeline
from edgekit.tensors import TensorSpec

PICTURE = Feature(name="picture", kind="image", feeds="x")


def spec(shape: tuple[int | str, ...]) -> TensorSpec:
    return TensorSpec(name="y", dtype="float32", shape=shape)


def contract(axis: str = "first", labels: tuple[str, ...] = (), steps: tuple[object, ...] = ()) -> Processing:
    feature = Feature(name="picture", kind="image", feeds="x", steps=steps)
    return Processing(inputs=(feature,), answer=Segment(output="y", axis=axis), labels=labels)


def one_hot(classes: Array, count: int) -> Array:
    """Scores (1, C, H, W) whose highest is *classes*."""
    return np.eye(count, dtype=np.float32)[classes].transpose(2, 0, 1)[None]


def read(scores: Array, scene: Scene, axis: str = "first") -> Array:
    wanted = contract(axis)
    return prepare_masks(wanted.answer, wanted, [spec(("n", *scores.shape[1:]))])({"y": scores}, Fed({}, scene))["mask"]


def scene(size: tuple[int, int], model_size: tuple[int, int], scale: tuple[float, float], offset: tuple[float, float] = (0.0, 0.0)) -> Scene:
    return Scene(size=size, model_size=model_size, scale=scale, offset=offset)


CLASSES = np.array([[0, 1, 2], [2, 1, 0]])


@pytest.mark.parametrize("axis", ["first", "last"])
def test_each_pixel_has_its_highest_class(axis: str) -> None:
    """Without any change of size the mask is the highest class of each pixel, as int32, whichever axis holds the classes."""
    scores = one_hot(CLASSES, 3) if axis == "first" else one_hot(CLASSES, 3).transpose(0, 2, 3, 1)
    mask = read(scores, scene((3, 2), (3, 2), (1, 1)), axis)
    assert mask.dtype == np.int32
    np.testing.assert_array_equal(mask, CLASSES)


def test_a_stretched_picture_goes_back() -> None:
    """Each pixel has the class of the cell in which its middle lies, where the cells are coarser than the model's picture."""
    mask = read(one_hot(CLASSES, 3), scene((12, 4), (6, 8), (0.5, 2.0)))
    np.testing.assert_array_equal(mask, CLASSES.repeat(2, 0).repeat(4, 1))


def test_what_was_cut_away_is_unknown() -> None:
    """Pixels that a crop cut away have no class."""
    mask = read(one_hot(CLASSES, 3), scene((5, 2), (3, 2), (1, 1), (-1, 0)))
    np.testing.assert_array_equal(mask, [[UNKNOWN, 0, 1, 2, UNKNOWN], [UNKNOWN, 2, 1, 0, UNKNOWN]])


def test_of_equal_scores_the_lower_class_is_taken() -> None:
    """Ties are decided the same way on every machine."""
    assert read(np.zeros((1, 4, 1, 1), np.float32), scene((1, 1), (1, 1), (1, 1))).tolist() == [[0]]


def test_a_pixel_with_a_score_that_is_no_number_is_unknown() -> None:
    """One NaN among a pixel's scores makes its class unknown, and no other's."""
    scores = one_hot(CLASSES, 3)
    scores[0, 1, 0, 2] = np.nan
    assert read(scores, scene((3, 2), (3, 2), (1, 1))).tolist() == [[0, 1, UNKNOWN], [2, 1, 0]]


@pytest.mark.parametrize("resize", [("letterbox", "centre"), ("letterbox", "corner"), ("stretch", "centre"), ("cover", "centre")], ids=str)
@pytest.mark.parametrize("size", [(90, 60), (61, 97), (40, 40)], ids=str)
def test_a_real_picture_and_its_mask_agree(resize: tuple[str, str], size: tuple[int, int], tmp_path: Path) -> None:
    """A PNG goes through the contract's steps; told apart by brightness where it was fed, its mask is the picture's own halves."""
    fit, anchor = resize
    steps = (Resize(width=48, height=48, fit=fit, anchor=anchor, interpolation="nearest", antialias=False, fill=(255,)), Crop(width=48, height=48))
    wanted = contract(steps=(*steps, Cast(dtype="float32"), Layout(axes="CHW")))
    inputs, outputs = [TensorSpec(name="x", dtype="float32", shape=("n", 3, 48, 48))], [spec(("n", 2, 48, 48))]
    pipeline = open_pipeline(wanted, inputs, outputs, tmp_path)
    width, height = size
    pixels = np.full((height, width, 3), 200, np.uint8)
    pixels[: height // 2, : width // 2] = 30
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG")
    fed = pipeline.feed({"picture": encoded.getvalue()})
    dark = fed.inputs["x"][:, :1] < 128
    mask = pipeline.read({"y": np.concatenate([~dark, dark], axis=1).astype(np.float32)}, fed)["mask"]
    assert mask.shape == (height, width)
    seen = mask != UNKNOWN
    assert seen.all() == (fit != "cover" or width == height)
    # A cell is up to two pixels wide, so the edge between the halves may lie one off.
    sure = np.ones((height, width), bool)
    sure[height // 2 - 2 : height // 2 + 2] = sure[:, width // 2 - 2 : width // 2 + 2] = False
    np.testing.assert_array_equal(mask[seen & sure], (pixels[..., 0] < 128)[seen & sure])


@pytest.mark.parametrize(
    ("shape", "labels", "inputs", "message"),
    [
        (("n", 3), (), (PICTURE,), r"answer\.output: .*\[classes, rows, columns\] is expected"),
        (("n", 1, 8, 8), (), (PICTURE,), r"answer\.output: .*several classes is expected"),
        (("n", 3, 8, 8), ("a",), (PICTURE,), "labels: there are 1"),
        (("n", 3, 8, 8), (), (), r"answer: .*no input of the contract is one"),
        (("n", 3, 8, 8), (), (PICTURE, Feature(name="other", kind="image", feeds="z")), r"answer: .*there are 2 \(picture, other\)"),
    ],
)
def test_contracts_that_cannot_be_carried_out_are_refused(shape, labels, inputs, message) -> None:
    """A mask needs scores of several classes in two dimensions, as many labels, and exactly one picture."""
    wanted = Processing(inputs=inputs, answer=Segment(output="y"), labels=labels)
    with pytest.raises(InputError, match=message):
        prepare_masks(wanted.answer, wanted, [spec(shape)])


def test_without_a_picture_there_is_nowhere_to_lie() -> None:
    """What was fed without a picture has no mask."""
    wanted = contract()
    with pytest.raises(InputError, match="none was fed"):
        prepare_masks(wanted.answer, wanted, [spec(("n", 2, 1, 1))])({"y": np.zeros((1, 2, 1, 1))}, Fed({}))
