"""Objects in pictures, as far as they can be true."""

import io

import numpy as np

from edgekit.datasets.base import BadSample, Boxes
from edgekit.errors import InputError
from edgekit.processing.libraries import load_library
from edgekit.processing.pictures import FORMATS, check_size

#: How far a box may stand out of its picture before it counts as wrong, in pixels and as a share of the side: rounding makes
#: boxes do so. It is cut at the picture's border.
MARGIN, MARGIN_SHARE = 2.0, 0.01
#: EXIF 2.32, 4.6.5: the orientation, of which those from 5 on lie on their side.
_ORIENTATION, _FIRST_LYING = 0x0112, 5


def read_size(key: str, data: bytes) -> tuple[int, int]:
    """Width and height of the picture in the file's bytes *data*, upright, from its header alone; BadSample where it is none or too large."""
    pillow = load_library("PIL.Image", "images")
    try:
        with pillow.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            check_size(width, height, key)
            return (height, width) if image.getexif().get(_ORIENTATION, 1) >= _FIRST_LYING else (width, height)
    except InputError as error:
        raise BadSample(key, error.problem, error.remedy) from error
    except pillow.DecompressionBombError as error:
        raise BadSample(key, f"it has too many pixels: {error}", "Give a smaller picture.") from error
    except Exception as error:
        # What damage makes Pillow's readers raise has no common root.
        raise BadSample(key, "it is no picture that can be read", "Replace it, or take it away.") from error


def check_boxes(key: str, size: tuple[int, int], objects: Boxes) -> Boxes:
    """*objects* cut at the border of a picture of *size* (width, height).

    Raises:
        BadSample: a box has no area, lies outside, or stands out by more than MARGIN pixels and MARGIN_SHARE of the side.
    """
    corners = objects.corners
    limits = np.array([*size, *size], np.float64)
    cut = np.clip(corners, 0, limits)
    flat = ~(np.isfinite(corners).all(axis=1) & (corners[:, 2:] > corners[:, :2]).all(axis=1))
    beyond = (np.abs(corners - cut) > np.maximum(MARGIN, MARGIN_SHARE * limits)).any(axis=1) | ~(cut[:, 2:] > cut[:, :2]).all(axis=1)
    for wrong, problem in ((flat, "has no area"), (beyond, f"is outside the picture of {size[0]} x {size[1]} pixels")):
        if wrong.any():
            number = int(np.argmax(wrong))
            where = ", ".join(f"{value:g}" for value in corners[number])
            raise BadSample(key, f"its box {number + 1} ({where}) {problem}", "Correct the box, or take it away.")
    return Boxes(cut, objects.classes, objects.crowds)
