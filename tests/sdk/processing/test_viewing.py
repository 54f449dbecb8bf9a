"""What a model is fed as a picture."""

from pathlib import Path

import numpy as np
import pytest

from edgekit.contract import Cast, Color, Feature, Layout, Level, Normalize, Processing, Quantize, Reshape, Resize, Scale, Windows
from edgekit.errors import InputError
from edgekit.processing.pipeline import open_pipeline
from edgekit.processing.viewing import draw_fed
from edgekit.tensors import TensorSpec

pytest.importorskip("PIL.Image")

PIXELS = np.random.default_rng(4).integers(0, 256, (12, 10, 3), np.uint8)
IMAGENET = (Scale(factor=1 / 255), Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)))


def draw(raw, *steps, kind="image", dtype="float32", shape=("a", "b", "c")):
    spec = TensorSpec(name="x", dtype=dtype, shape=("n", *shape))
    feature = Feature(name="photo", kind=kind, feeds="x", steps=steps)
    pipeline = open_pipeline(Processing(inputs=(feature,)), (spec,), (spec,), Path())
    return draw_fed(feature, [(step, values) for _, step, values in pipeline.watch({"photo": raw})])


@pytest.mark.parametrize(
    ("steps", "fields"),
    [
        ((*IMAGENET, Layout(axes="CHW")), {}),
        ((*IMAGENET, Cast(dtype="float16")), {"dtype": "float16"}),
        ((Scale(factor=1 / 127.5, offset=-1.0), Quantize(dtype="int8", scale=1 / 127.5)), {"dtype": "int8"}),
        ((Scale(factor=1 / 255), Layout(axes="CHW"), Reshape(shape=(-1, 10))), {"shape": ("a", "b")}),
    ],
)
def test_the_steps_are_undone(steps, fields):
    """What the model is fed becomes the very pixels again, whatever numbers were made of them."""
    size = (Resize(width=10, height=12),)
    pixels, how = draw(PIXELS, *size, *steps, **fields)
    assert "undone" in how
    assert np.abs(pixels.astype(int) - PIXELS).max() <= 1


def test_a_wrong_order_of_colours_is_no_secret():
    """BGR is shown in its true colours, since that is what the model was told to expect."""
    pixels, _ = draw(PIXELS, Color(order="BGR"), Scale(factor=1 / 255))
    assert (pixels == PIXELS).all()


def test_grey_pictures_stay_grey():
    """A grey picture without an axis for its channel is shown with one."""
    pixels, _ = draw(PIXELS, Color(order="GRAY"), Scale(factor=1 / 255), Layout(axes="HW"), shape=("a", "b"))
    assert pixels.shape == (12, 10, 1)


def test_what_cannot_be_undone_is_stretched():
    """Where a step takes something away, the lowest value becomes black and the highest white, and the figures are told."""
    pixels, how = draw(PIXELS, Scale(factor=1.0), Level())
    assert (pixels.min(), pixels.max(), pixels.shape) == (0, 255, (12, 30))
    assert "black is" in how


def test_of_a_table_the_first_window_is_shown():
    """A window of rows is a picture of its rows; one value for all is black."""
    rows = np.arange(24, dtype=np.float32).reshape(8, 3)
    pixels, how = draw(rows, Windows(length=4, hop=2), kind="series", shape=(4, 3))
    assert pixels.tolist() == np.rint(np.arange(12).reshape(4, 3) / 11 * 255).tolist()
    assert "black is 0, its lowest value, and white 11" in how
    assert (draw(np.ones((8, 3), np.float32), Windows(length=4, hop=2), kind="series", shape=(4, 3))[0] == 0).all()


def test_a_text_is_no_picture():
    """A text cannot be drawn."""
    with pytest.raises(InputError, match="input 'words': a text is no picture"):
        draw_fed(Feature(name="words", kind="text"), [(None, np.zeros((1, 4), np.int64))])
