"""Pictures as callers give them: the bytes of a file, or pixels. Their size is known before anything is unpacked.

Files are read by Pillow as training code reads them (``Image.open(path).convert("RGB")``): palettes become colours, CMYK becomes
RGB without a profile, grey becomes three equal channels, and what is transparent shows the colour that lies beneath. Beyond
that, the picture is turned as its EXIF orientation says, of an animation the first frame is taken, and of 16 bits a channel
the higher 8.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from edgekit.arrays import Array
from edgekit.errors import InputError
from edgekit.processing.base import Raw, Scene
from edgekit.processing.libraries import load_library

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")
#: The most pixels that a picture may have, before and after each step. As floats of 32 bits in three channels they take 768 MiB.
MAX_PIXELS = 64_000_000
#: The most scans of a progressive JPEG: a file of some kilobytes could ask for as many passes over all pixels as it likes.
#: Encoders write about ten.
MAX_SCANS = 100
#: EXIF 2.32, 4.6.5: how the camera was held.
_ORIENTATION = 0x0112
_START_OF_SCAN = b"\xff\xda"
_REMEDY = "Give a whole JPEG, PNG, BMP, GIF, WebP or TIFF file."

Order: TypeAlias = Literal["RGB", "BGR", "GRAY"]


@dataclass(frozen=True)
class Picture:
    """A picture on its way to the model, with *scene* saying how it came from the caller's.

    *content* is Pillow's image, or the pixels (rows, columns, channels) as uint8: whichever the last step made, since to turn
    one into the other costs a copy. *order* is that of the channels; an image of Pillow's never has BGR.
    """

    content: Any
    scene: Scene
    order: Order = "RGB"

    @property
    def size(self) -> tuple[int, int]:
        """Its width and height in pixels."""
        return self.scene.model_size

    def to_image(self) -> "Image":
        """It as Pillow's image, in mode L where it is grey; channels in the order BGR stand as if they were RGB."""
        if not isinstance(self.content, np.ndarray):
            image: Image = self.content
            return image
        pixels = np.ascontiguousarray(self.content[..., 0] if self.order == "GRAY" else self.content)
        made: Image = load_library("PIL.Image", "images").fromarray(pixels)
        return made

    def to_pixels(self) -> Array:
        """Its pixels: (rows, columns, channels) as uint8."""
        pixels = np.asarray(self.content)
        return pixels if pixels.ndim == 3 else pixels[..., None]

    def become(self, content: Any) -> "Picture":
        """It with other pixels in the same place."""
        return replace(self, content=content)


def open_picture(raw: Raw, subject: str) -> Picture:
    """The picture in *raw*, which the message calls *subject* where it cannot be used.

    Raises:
        InputError: it is no picture, is damaged, or has more than MAX_PIXELS pixels.
        DeviceError: Pillow is not installed here.
    """
    if isinstance(raw, np.ndarray):
        content: Any = _check_pixels(raw, subject)
        height, width = content.shape[:2]
    elif isinstance(raw, bytes | bytearray | memoryview):
        content = decode_picture(bytes(raw), subject)
        width, height = content.size
    else:
        raise InputError(subject, f"it is a {type(raw).__name__}, and a picture is expected", "Give the bytes of a file, or an array of pixels.")
    size = (width, height)
    return Picture(content, Scene(size, size, (1.0, 1.0), (0.0, 0.0)))


def check_size(width: int, height: int, subject: str) -> None:
    """Refuse a picture of no pixels, or of more than MAX_PIXELS."""
    if width < 1 or height < 1:
        raise InputError(subject, f"it is {width} x {height} pixels large", _REMEDY)
    if width * height > MAX_PIXELS:
        megapixels = f"{width * height / 1e6:.0f} megapixels ({width} x {height})"
        raise InputError(subject, f"it has {megapixels}, and {MAX_PIXELS // 1_000_000} are the most", "Give a smaller picture.")


def _check_pixels(array: Array, subject: str) -> Array:
    """*array* as (rows, columns, 3), a grey one with three equal channels."""
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        found = f"it is {array.dtype}{list(array.shape)}, and uint8[rows, columns, 3] or uint8[rows, columns] is expected"
        raise InputError(subject, found, "Give pixels from 0 to 255, red first.")
    check_size(array.shape[1], array.shape[0], subject)
    return array if array.ndim == 3 else np.repeat(array[..., None], 3, axis=2)


def decode_picture(data: bytes, subject: str) -> "Image":
    """The picture in the file's bytes *data*, upright and in mode RGB; raises as open_picture does."""
    pillow = load_library("PIL.Image", "images")
    with _naming_damage(subject):
        image = pillow.open(io.BytesIO(data), formats=FORMATS)
        check_size(image.size[0], image.size[1], subject)
        _check_scans(image, data, subject)
        image.load()
        return _to_rgb(_turn_upright(image), subject)


def read_image(image: "Image", subject: str) -> Array:
    """The pixels of Pillow's *image*, which a caller has opened or made, as those of its file would be: upright, (rows, columns, RGB).

    Raises:
        InputError: its file is damaged, or it has more than MAX_PIXELS pixels; the message calls it *subject*.
    """
    check_size(image.size[0], image.size[1], subject)
    with _naming_damage(subject):
        image.load()
        return np.asarray(_to_rgb(_turn_upright(image), subject))


@contextmanager
def _naming_damage(subject: str) -> Iterator[None]:
    """Turn what Pillow raises of a damaged picture into an InputError."""
    pillow = load_library("PIL.Image", "images")
    try:
        yield
    except (InputError, MemoryError):
        raise
    except pillow.DecompressionBombError as error:
        raise InputError(subject, f"it has too many pixels: {error}", "Give a smaller picture.") from error
    except Exception as error:
        # What damage makes Pillow's readers raise has no common root: OSError, SyntaxError, struct.error, ValueError and more.
        raise InputError(subject, f"it is no picture that can be read: {_summarize(error)}", _REMEDY) from error


def _summarize(error: Exception) -> str:
    """What Pillow says, but for the address of the buffer that it could not identify."""
    return "its format is none of those" if type(error).__name__ == "UnidentifiedImageError" else str(error) or type(error).__name__


def _check_scans(image: Any, data: bytes, subject: str) -> None:
    if "progressive" in image.info and data.count(_START_OF_SCAN) > MAX_SCANS:
        problem = f"it is a JPEG of {data.count(_START_OF_SCAN)} scans, and {MAX_SCANS} are the most"
        raise InputError(subject, problem, "Save it again.")


def _turn_upright(image: Any) -> Any:
    # TIFF is turned by its reader, and before Pillow 10.1 what is turned still says that it is not.
    if image.format == "TIFF" or image.getexif().get(_ORIENTATION, 1) == 1:
        return image
    return load_library("PIL.ImageOps", "images").exif_transpose(image)


def _to_rgb(image: Any, subject: str) -> "Image":
    if image.mode == "F":
        raise InputError(subject, "its pixels are floats, which have no range of their own", "Save it with 8 or 16 bits a channel.")
    if image.mode.startswith("I"):
        # Pillow would clip 16 bits to 255 instead of keeping the higher byte. Mode I is how it reads grey PNG of 16 bits before 11.
        higher = (np.clip(np.asarray(image), 0, 0xFFFF) >> 8).astype(np.uint8)
        image = load_library("PIL.Image", "images").fromarray(higher)
    in_rgb: Image = image if image.mode == "RGB" else image.convert("RGB")
    return in_rgb
