"""Resizing, cutting and reordering pictures, and the way back for boxes."""

import numpy as np
import pytest

from edgekit.contract import Color, Crop, Resize
from edgekit.errors import InputError
from edgekit.processing.picture_steps import find_scaled_size, prepare_picture_step
from edgekit.processing.pictures import Picture, open_picture

Image = pytest.importorskip("PIL.Image")
cv2 = pytest.importorskip("cv2")

PIXELS = np.random.default_rng(3).integers(0, 256, (48, 64, 3), np.uint8)


def given(pixels=PIXELS, *, by_pillow=False):
    """A picture that is held as pixels, or by Pillow."""
    picture = open_picture(pixels, "photo")
    return Picture(picture.to_image(), picture.scene) if by_pillow else picture


def run(*steps, pixels=PIXELS, by_pillow=False):
    picture = given(pixels, by_pillow=by_pillow)
    for step in steps:
        picture = prepare_picture_step(step)(picture)
    return picture


@pytest.mark.parametrize(
    ("fit", "size", "expected"),
    [
        ("stretch", (640, 480), (224, 224)),
        ("cover", (640, 480), (298, 224)),
        ("cover", (480, 640), (224, 298)),
        ("cover", (100, 100), (224, 224)),
        ("contain", (640, 480), (224, 168)),
        ("contain", (500, 333), (224, 149)),
        ("letterbox", (100, 400), (56, 224)),
        ("letterbox", (1, 4000), (1, 224)),
    ],
)
def test_sizes_follow_from_the_fit(fit, size, expected):
    """A size is met, covered or kept within, in whole pixels and never in none."""
    assert find_scaled_size(size, Resize(width=224, height=224, fit=fit)) == expected


@pytest.mark.parametrize("size", [(641, 479), (333, 500), (7, 1000), (1000, 7), (255, 256)])
def test_cover_is_what_torchvision_does(size):
    """The short side is met exactly, and of the long one the fraction is dropped (torchvision.transforms.v2.functional.resize)."""
    short, long = sorted(size)
    expected = (256, int(256 * long / short)) if size[0] == short else (int(256 * long / short), 256)
    assert find_scaled_size(size, Resize(width=256, height=256, fit="cover")) == expected


@pytest.mark.parametrize("size", [(64, 48), (48, 64), (33, 20), (20, 33), (100, 7), (1, 50)])
def test_letterbox_is_what_ultralytics_does(size):
    """The pixels are those of ultralytics.data.augment.LetterBox (8.3): its sizes, its borders, and OpenCV's resize."""
    width, height = size
    pixels = np.random.default_rng(9).integers(0, 256, (height, width, 3), np.uint8)
    ratio = min(40 / height, 61 / width)
    unpadded = round(width * ratio), round(height * ratio)
    across, along = (61 - unpadded[0]) / 2, (40 - unpadded[1]) / 2
    scaled = pixels if unpadded == size else cv2.resize(pixels, unpadded, interpolation=cv2.INTER_LINEAR)
    borders = round(along - 0.1), round(along + 0.1), round(across - 0.1), round(across + 0.1)
    expected = cv2.copyMakeBorder(scaled, *borders, cv2.BORDER_CONSTANT, value=(114, 114, 114))
    picture = run(Resize(width=61, height=40, fit="letterbox", antialias=False, fill=(114,)), pixels=pixels)
    assert (picture.to_pixels() == expected).all()
    assert picture.scene.offset == (borders[2], borders[0])


@pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("by_pillow", [False, True])
def test_with_antialiasing_it_is_pillows_resize(name, by_pillow):
    """Whoever holds the picture, the pixels are those of Pillow's own call."""
    expected = np.asarray(Image.fromarray(PIXELS).resize((20, 30), Image.Resampling[name.upper()]))
    assert (run(Resize(width=20, height=30, interpolation=name), by_pillow=by_pillow).to_pixels() == expected).all()


@pytest.mark.parametrize(
    ("name", "flag"), [("nearest", "NEAREST"), ("bilinear", "LINEAR"), ("bicubic", "CUBIC"), ("lanczos", "LANCZOS4"), ("area", "AREA")]
)
@pytest.mark.parametrize("by_pillow", [False, True])
def test_without_antialiasing_it_is_opencvs_resize(name, flag, by_pillow):
    """Without antialiasing, and for areas, the pixels are those of OpenCV's own call."""
    expected = cv2.resize(PIXELS, (20, 30), interpolation=getattr(cv2, f"INTER_{flag}"))
    step = Resize(width=20, height=30, interpolation=name, antialias=False)
    assert (run(step, by_pillow=by_pillow).to_pixels() == expected).all()


def test_areas_know_no_antialiasing():
    """Areas are OpenCV's whatever antialias says."""
    steps = (Resize(width=20, height=30, interpolation="area", antialias=antialias) for antialias in (True, False))
    first, second = (run(step).to_pixels() for step in steps)
    assert (first == second).all()


@pytest.mark.parametrize("antialias", [True, False])
def test_a_picture_of_the_right_size_is_left_alone(antialias):
    """Nothing is done to a picture that has its size already."""
    picture = given()
    assert prepare_picture_step(Resize(width=64, height=48, antialias=antialias))(picture).content is picture.content


@pytest.mark.parametrize("by_pillow", [False, True])
@pytest.mark.parametrize(("width", "height"), [(30, 20), (31, 21), (64, 48), (70, 60), (71, 20), (30, 61)])
def test_a_crop_is_the_middle(width, height, by_pillow):
    """The middle is cut out, and what is missing is black; both holders agree, also where halves are odd."""
    left, top = (64 - width) // 2, (48 - height) // 2
    expected = np.asarray(Image.fromarray(PIXELS).crop((left, top, left + width, top + height)))
    picture = run(Crop(width=width, height=height), by_pillow=by_pillow)
    assert picture.size == (width, height)
    assert (picture.to_pixels() == expected).all()


@pytest.mark.parametrize(("anchor", "rows"), [("centre", slice(16, 48)), ("corner", slice(0, 32))])
def test_a_letterbox_has_its_colour_around(anchor, rows):
    """A picture of 2 to 1 lies in the middle of a square, or in its corner, and the rest has the colour that was given."""
    pixels = np.full((32, 64, 3), 200, np.uint8)
    filled = run(Resize(width=64, height=64, fit="letterbox", fill=(1, 2, 3), anchor=anchor), pixels=pixels).to_pixels()
    assert (filled[rows] == 200).all()
    border = np.delete(filled, np.arange(64)[rows], axis=0)
    assert (border == [1, 2, 3]).all()
    assert len(border) == 32


def test_a_fill_must_fit_the_channels():
    """Three values for the border of a grey picture are refused."""
    with pytest.raises(InputError, match="fill: it has 3 values, and the picture has 1 channels"):
        run(Color(order="GRAY"), Resize(width=64, height=64, fit="letterbox", fill=(1, 2, 3)))


@pytest.mark.parametrize("by_pillow", [False, True])
def test_orders_of_colours(by_pillow):
    """BGR is RGB the other way round, twice is as before, and grey is the luma of BT.601 from whichever order."""
    assert (run(Color(order="BGR"), by_pillow=by_pillow).to_pixels() == PIXELS[..., ::-1]).all()
    assert (run(Color(order="BGR"), Color(order="RGB"), by_pillow=by_pillow).to_pixels() == PIXELS).all()
    luma = np.rint(PIXELS @ np.array([0.299, 0.587, 0.114]))
    for steps in ((Color(order="GRAY"),), (Color(order="BGR"), Color(order="GRAY"))):
        grey = run(*steps, by_pillow=by_pillow).to_pixels()
        assert grey.shape == (48, 64, 1)
        assert np.abs(grey[..., 0] - luma).max() <= 1


def test_grey_in_three_channels():
    """A grey picture that is asked for in colours has three equal channels."""
    for order in ("RGB", "BGR"):
        pixels = run(Color(order="GRAY"), Color(order=order)).to_pixels()
        assert (pixels == run(Color(order="GRAY")).to_pixels()).all()
        assert pixels.shape == (48, 64, 3)


@pytest.mark.parametrize("antialias", [True, False])
def test_colours_may_change_before_they_are_resized(antialias):
    """To resize BGR gives the same pixels as to reverse what was resized: channels do not mix."""
    resize = Resize(width=20, height=14, antialias=antialias)
    assert (run(Color(order="BGR"), resize).to_pixels() == run(resize, Color(order="BGR")).to_pixels()).all()


CHAINS = [
    (Resize(width=50, height=30),),
    (Resize(width=60, height=60, fit="cover"), Crop(width=40, height=44)),
    (Resize(width=80, height=80, fit="letterbox"),),
    (Resize(width=80, height=80, fit="letterbox", anchor="corner"),),
    (Crop(width=700, height=300), Resize(width=175, height=150, antialias=False)),
    (Resize(width=100, height=100, fit="letterbox", antialias=False), Crop(width=80, height=90), Resize(width=160, height=90)),
]


@pytest.mark.parametrize("steps", CHAINS)
@pytest.mark.parametrize("by_pillow", [False, True])
def test_boxes_go_back_to_where_they_were(steps, by_pillow):
    """A bright box in the caller's picture lies in the model's where the scene says, whatever steps there were."""
    pixels = np.zeros((480, 640, 3), np.uint8)
    pixels[120:360, 200:440] = 255
    picture = run(*steps, pixels=pixels, by_pillow=by_pillow)
    rows, columns = np.nonzero(picture.to_pixels()[..., 0] > 127)
    found = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], float).reshape(2, 2)
    scene = picture.scene
    assert scene.model_size == (picture.to_pixels().shape[1], picture.to_pixels().shape[0])
    back = (found - scene.offset) / scene.scale
    # One pixel of the model's picture is 1 / scale of the caller's.
    assert np.abs(back - [[200, 120], [440, 360]]).max() <= 1 / min(scene.scale) + 1e-9


def test_a_strip_is_not_made_to_cover():
    """A picture of one pixel by sixty thousand would cover 224 x 224 with 3 gigapixels: it is refused."""
    strip = np.zeros((1, 60_000, 3), np.uint8)
    with pytest.raises(InputError, match=r"covers 224 x 224: it has 3011 megapixels"):
        run(Resize(width=224, height=224, fit="cover"), pixels=strip)


@pytest.mark.parametrize("step", [Resize(width=16_000, height=16_000), Crop(width=16_000, height=16_000)])
def test_a_contract_for_huge_pictures_is_refused(step):
    """A step that asks for more than 64 megapixels is refused when it is prepared."""
    with pytest.raises(InputError, match="256 megapixels"):
        prepare_picture_step(step)
