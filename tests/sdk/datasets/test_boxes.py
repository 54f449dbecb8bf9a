"""Objects in pictures."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.datasets.base import BadSample, Boxes
from edgekit.datasets.boxes import check_boxes, read_size


def _boxes(*corners: tuple[float, float, float, float]) -> Boxes:
    return Boxes(np.array(corners, np.float64).reshape(-1, 4), np.zeros(len(corners), np.int64), np.zeros(len(corners), bool))


def test_size(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """A picture's size is that of its upright form."""
    draw(tmp_path / "a.jpg", size=(64, 48))
    assert read_size("a", (tmp_path / "a.jpg").read_bytes()) == (64, 48)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(tmp_path / "a.jpg").save(tmp_path / "lying.jpg", exif=exif)
    assert read_size("lying", (tmp_path / "lying.jpg").read_bytes()) == (48, 64)


def test_no_picture() -> None:
    """What is no picture, and a bomb of 200 megapixels, are refused by their headers."""
    bomb = io.BytesIO()
    Image.new("1", (20_000, 10_000)).save(bomb, "PNG")
    with pytest.raises(BadSample, match="too many pixels"):
        read_size("bomb", bomb.getvalue())
    with pytest.raises(BadSample, match="no picture"):
        read_size("text", b"no picture at all")


def test_cut() -> None:
    """A box that stands out by a rounding error is cut at the border, and one inside stays as it is."""
    checked = check_boxes("a", (64, 48), _boxes((-0.5, 3, 10, 48.9), (1, 2, 3, 4)))
    assert checked.corners.tolist() == [[0, 3, 10, 48], [1, 2, 3, 4]]
    assert len(check_boxes("a", (64, 48), _boxes()).corners) == 0


@pytest.mark.parametrize(
    ("corners", "message"),
    [
        ((10, 10, 10, 20), "box 2 .* has no area"),
        ((20, 10, 10, 20), "has no area"),
        ((70, 10, 80, 20), "outside the picture of 64 x 48"),
        ((10, 10, 100, 20), "outside the picture"),
        ((-1.5, 10, -0.5, 20), "outside the picture"),
        ((0, 0, float("inf"), 20), "no area|outside"),
        ((0, 0, float("nan"), 20), "has no area"),
    ],
)
def test_impossible(corners: tuple[float, float, float, float], message: str) -> None:
    """A box without area, or one that is not in its picture, is named."""
    with pytest.raises(BadSample, match=message):
        check_boxes("a", (64, 48), _boxes((0, 0, 5, 5), corners))
