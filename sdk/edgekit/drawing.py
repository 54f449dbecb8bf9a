"""An answer drawn into the picture that it was given to: boxes with their labels, or a mask over it."""

import io
from typing import Any

import numpy as np

from edgekit.answers import Answer
from edgekit.arrays import Array
from edgekit.errors import InputError
from edgekit.processing.libraries import load_library

#: Okabe and Ito's colours, which those with colour blindness tell apart; a class has that of its number.
_COLOURS = np.array([(0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (213, 94, 0), (240, 228, 66)], np.uint8)
#: So much of a pixel is its class's colour, in 256ths.
_COVER = 128
_PAPER = (255, 255, 255)


def draw_answer(pixels: Array, answer: Answer) -> bytes:
    """The PNG of the picture *pixels*, (rows, columns, RGB) as uint8, with the boxes or the mask of *answer* in it.

    Raises:
        InputError: the answer has neither.
        DeviceError: Pillow is not installed.
    """
    pillow = load_library("PIL.Image", "images")
    if answer.boxes is not None:
        image = pillow.fromarray(pixels)
        _draw_boxes(image, answer)
    elif answer.mask is not None:
        image = pillow.fromarray(_cover(pixels, answer.mask))
    else:
        raise InputError("answer", "it has no boxes and no mask that could be drawn", "Leave the picture out.")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _draw_boxes(image: Any, answer: Answer) -> None:
    pen = load_library("PIL.ImageDraw", "images").Draw(image)
    width = max(1, round(max(image.size) / 300))
    font = load_library("PIL.ImageFont", "images").load_default(max(10, round(max(image.size) / 50)))
    found = zip(
        answer.arrays["boxes"].tolist(), answer.arrays["classes"].tolist(), answer.labels or (), answer.arrays["scores"].tolist(), strict=True
    )
    # The likeliest is drawn last, so that it lies above the others.
    for box, number, label, score in reversed(list(found)):
        colour = tuple(_COLOURS[number % len(_COLOURS)].tolist())
        # A model may give its corners the wrong way round, which Pillow does not draw.
        left, top, right, bottom = min(box[0], box[2]), min(box[1], box[3]), max(box[0], box[2]), max(box[1], box[3])
        pen.rectangle((left, top, right, bottom), outline=colour, width=width)
        # Pillow's own font has Latin letters alone.
        words = f"{label} {score:.2f}".encode("latin-1", "replace").decode("latin-1")
        pen.rectangle(pen.textbbox((left, top), words, font=font), fill=colour)
        pen.text((left, top), words, fill=_PAPER, font=font)


def _cover(pixels: Array, mask: Array) -> Array:
    """*pixels* under the colours of their classes; where *mask* is negative nothing is known, and nothing covers them."""
    colours = _COLOURS[np.maximum(mask, 0) % len(_COLOURS)]
    blended = ((pixels.astype(np.uint16) * (256 - _COVER) + colours.astype(np.uint16) * _COVER) >> 8).astype(np.uint8)
    covered: Array = np.where((mask < 0)[..., None], pixels, blended)
    return covered
