"""The steps of a contract that change pictures: size, cut, and order of channels. Boxes go back exactly by what the scene says."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from edgekit.arrays import Array
from edgekit.contract import Color, Crop, Resize
from edgekit.errors import InputError
from edgekit.processing.base import Scene
from edgekit.processing.libraries import load_library
from edgekit.processing.pictures import Picture, check_size

#: A step that was prepared: it makes a picture of a picture.
PictureStep: TypeAlias = Callable[[Picture], Picture]
Size: TypeAlias = tuple[int, int]

# fmt: off
_PILLOW = {"nearest": "NEAREST", "bilinear": "BILINEAR", "bicubic": "BICUBIC", "lanczos": "LANCZOS"}
_OPENCV = {"nearest": "INTER_NEAREST", "bilinear": "INTER_LINEAR", "bicubic": "INTER_CUBIC", "lanczos": "INTER_LANCZOS4", "area": "INTER_AREA"}
# fmt: on


def prepare_picture_step(step: Resize | Crop | Color) -> PictureStep:
    """What carries *step* out.

    Raises:
        InputError: it asks for a picture that is too large.
        DeviceError: the library that it needs is not installed here.
    """
    if isinstance(step, Resize):
        return _prepare_resize(step)
    if isinstance(step, Crop):
        check_size(step.width, step.height, "crop")
        return partial(_crop, step)
    return partial(_order, step)


def find_scaled_size(size: Size, step: Resize) -> Size:
    """The width and height to which *step* brings a picture of *size*, before any border.

    The side that decides is met exactly. Of the other, ``cover`` drops the fraction as torchvision and transformers do, and
    ``contain`` and ``letterbox`` round to the nearest, halves to even, as Ultralytics does; no side gets less than one pixel.
    """
    width, height = size
    if step.fit == "stretch":
        return step.width, step.height
    if step.fit == "cover":
        # In integers, since 640 * (256 / 480) is a little less than it should be.
        if step.width * height <= step.height * width:
            return step.height * width // height, step.height
        return step.width, step.width * height // width
    share = min(step.width / width, step.height / height)
    return max(1, round(width * share)), max(1, round(height * share))


def _prepare_resize(step: Resize) -> PictureStep:
    check_size(step.width, step.height, "resize")
    if step.antialias and step.interpolation != "area":
        resampling = load_library("PIL.Image", "images").Resampling
        return partial(_resize, step, partial(_scale_with_pillow, getattr(resampling, _PILLOW[step.interpolation])))
    flag = getattr(load_library("cv2", "images"), _OPENCV[step.interpolation])
    return partial(_resize, step, partial(_scale_with_opencv, flag))


def _resize(step: Resize, scale: Callable[[Picture, Size], Any], picture: Picture) -> Picture:
    size = find_scaled_size(picture.size, step)
    # A strip of one pixel by a million would be made to cover with a million times as many.
    check_size(size[0], size[1], f"the picture that covers {step.width} x {step.height}")
    content = picture.content if size == picture.size else scale(picture, size)
    (width, height), before = size, picture.scene
    by = (width / picture.size[0], height / picture.size[1])
    scene = replace(
        before,
        model_size=size,
        scale=(before.scale[0] * by[0], before.scale[1] * by[1]),
        offset=(before.offset[0] * by[0], before.offset[1] * by[1]),
    )
    scaled = replace(picture, content=content, scene=scene)
    return _fill(step, scaled) if step.fit == "letterbox" else scaled


def _scale_with_pillow(filter: Any, picture: Picture, size: Size) -> Any:
    return picture.to_image().resize(size, filter)


def _scale_with_opencv(flag: int, picture: Picture, size: Size) -> Array:
    pixels = np.ascontiguousarray(picture.to_pixels())
    scaled: Array = load_library("cv2", "images").resize(pixels, size, interpolation=flag)
    return scaled if scaled.ndim == 3 else scaled[..., None]


def _fill(step: Resize, picture: Picture) -> Picture:
    """*picture* inside one of the step's full size, the border in its colour."""
    if picture.size == (step.width, step.height):
        return picture
    pixels = picture.to_pixels()
    channels = pixels.shape[2]
    if len(step.fill) not in (1, channels):
        raise InputError("fill", f"it has {len(step.fill)} values, and the picture has {channels} channels", "Give one value, or one for each.")
    (width, height), centred = picture.size, step.anchor == "centre"
    left, top = ((step.width - width) // 2, (step.height - height) // 2) if centred else (0, 0)
    filled = np.empty((step.height, step.width, channels), np.uint8)
    filled[:] = step.fill
    filled[top : top + height, left : left + width] = pixels
    return replace(picture, content=filled, scene=_move(picture.scene, (left, top), (step.width, step.height)))


def _crop(step: Crop, picture: Picture) -> Picture:
    """The middle of *picture*; where what is cut away is odd, or what is added, the smaller half is at the left and the top, or the larger."""
    left, top = (picture.size[0] - step.width) // 2, (picture.size[1] - step.height) // 2
    scene = _move(picture.scene, (-left, -top), (step.width, step.height))
    if not isinstance(picture.content, np.ndarray):
        return replace(picture, content=picture.content.crop((left, top, left + step.width, top + step.height)), scene=scene)
    pixels, (width, height) = picture.content, picture.size
    cut = pixels[max(top, 0) : top + step.height, max(left, 0) : left + step.width]
    if cut.shape[:2] != (step.height, step.width):
        above, before = max(-top, 0), max(-left, 0)
        below, behind = max(top + step.height - height, 0), max(left + step.width - width, 0)
        cut = np.pad(cut, ((above, below), (before, behind), (0, 0)))
    return replace(picture, content=cut, scene=scene)


def _move(scene: Scene, by: Size, size: Size) -> Scene:
    """*scene* after its picture was laid into one of *size*, (0, 0) going to *by*."""
    return replace(scene, model_size=size, offset=(scene.offset[0] + by[0], scene.offset[1] + by[1]))


def _order(step: Color, picture: Picture) -> Picture:
    if step.order == picture.order:
        return picture
    if picture.order == "BGR":
        picture = replace(picture, content=picture.to_pixels()[..., ::-1], order="RGB")
    if step.order == "GRAY":
        return replace(picture, content=picture.to_image().convert("L"), order="GRAY")
    if picture.order == "GRAY":
        picture = replace(picture, content=picture.to_image().convert("RGB"), order="RGB")
    return replace(picture, content=picture.to_pixels()[..., ::-1], order="BGR") if step.order == "BGR" else picture
