"""Pictures with masks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.datasets.base import VOID, BadSample
from edgekit.datasets.contact_sheet import draw_sheet
from edgekit.datasets.describing import list_classes
from edgekit.datasets.mask_folders import open_masks
from edgekit.datasets.registry import open_dataset
from edgekit.errors import InputError


@pytest.fixture
def masked(tmp_path: Path, draw: Callable[..., bytes]) -> Path:
    """A picture with a mask, half of class 2, with a border that is none."""
    draw(tmp_path / "set" / "images" / "deep" / "a.jpg")
    mask = np.zeros((48, 64), np.uint8)
    mask[:, 32:], mask[0] = 2, VOID
    (tmp_path / "set" / "masks" / "deep").mkdir(parents=True)
    Image.fromarray(mask).save(tmp_path / "set" / "masks" / "deep" / "a.png")
    return tmp_path / "set"


def test_masks(masked: Path) -> None:
    """Each picture has the mask of its name, as numbers of classes; what is void counts for no class."""
    dataset = open_dataset(masked)
    assert (dataset.kind, dataset.keys) == ("masks", ("images/deep/a.jpg",))
    sample = dataset.read("images/deep/a.jpg")
    assert isinstance(sample.truth, np.ndarray)
    assert (sample.truth.shape, sample.truth[1, 31:33].tolist()) == ((48, 64), [0, 2])
    assert list_classes(sample) == [0, 2]
    assert draw_sheet(dataset, {"2": dataset.keys}) != draw_sheet(dataset, {"2": ()})


def test_palette(masked: Path) -> None:
    """A mask with a palette has the numbers, and not the colours."""
    path = masked / "masks" / "deep" / "a.png"
    mask = np.asarray(Image.open(path))
    image = Image.fromarray(mask, "L").convert("P")
    image.putdata(mask.ravel().tolist())
    image.putpalette([value for number in range(256) for value in (255 - number, number, 7)])
    image.save(path)
    assert np.array_equal(np.asarray(open_masks(masked, "photo").read("images/deep/a.jpg").truth), mask)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((64, 48), np.uint8), "64 x 48 pixels large, and its mask 48 x 64"),
        (np.zeros((48, 64, 3), np.uint8), "the mode RGB, which are no numbers"),
        (np.full((48, 64), 3, np.uint8), "its mask has the class 3, and the classes are 0 to 2"),
    ],
)
def test_wrong(masked: Path, mask: np.ndarray, message: str) -> None:
    """A mask of another size, of colours, or of a class out of range makes a bad sample."""
    Image.fromarray(mask).save(masked / "masks" / "deep" / "a.png")
    with pytest.raises(BadSample, match=message):
        open_masks(masked, "photo", ("ground", "road", "car")).read("images/deep/a.jpg")


def test_damaged(masked: Path) -> None:
    """A mask that is cut makes a bad sample, and a picture without one is refused at once."""
    path = masked / "masks" / "deep" / "a.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(BadSample, match=r"images/deep/a\.jpg: its mask masks/deep/a\.png.* be read"):
        open_masks(masked, "photo").read("images/deep/a.jpg")
    path.unlink()
    with pytest.raises(InputError, match=r"1 of its 1 pictures have no mask, as deep/a\.jpg"):
        open_masks(masked, "photo")
