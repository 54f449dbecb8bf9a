"""How pictures are made ready where nobody says it: what most models of a task were trained with.

Each preset is a convention and no knowledge of the model. One that does not fit costs accuracy in silence, so what was chosen
is shown by edgekit inspect --processing, and edgekit convert names what looks wrong where it has labelled data.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from edgekit.contract import Cast, Color, Crop, Feature, Layout, Normalize, Quantize, Resize, Scale, Step
from edgekit.errors import InputError
from edgekit.processing.picture_tensors import PictureTensor, find_picture
from edgekit.tensors import TensorSpec

#: Of ImageNet's training pictures, by channel, as torchvision's reference training has them (references/classification).
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: What Ultralytics fills the border of a letterbox with.
LETTERBOX_GREY = 114
#: torchvision's evaluation makes the short side 256 and cuts 224 out of the middle.
CROPPED_SHARE = 224 / 256
#: Below it, pictures come in the model's own size (MNIST 28, CIFAR 32), and nothing is cut off.
_LEAST_CROPPED = 64
_REMEDY = "Write the contract down, and give it with --processing FILE."

Units: TypeAlias = Literal["imagenet", "unit", "signed", "raw", "centred"]
# fmt: off
_UNITS: dict[Units, tuple[Step, ...]] = {
    "imagenet": (Scale(factor=1 / 255), Normalize(mean=IMAGENET_MEAN, std=IMAGENET_STD)),
    "unit":     (Scale(factor=1 / 255),),
    "signed":   (Scale(factor=1 / 127.5, offset=-1.0),),
    "centred":  (Scale(factor=1.0, offset=-128.0),),
    "raw":      (),
}
#: What a quantised input stands for at its lowest and highest number.
_RANGES: dict[tuple[float, float], Units] = {
    (0.0, 1.0): "unit", (-1.0, 1.0): "signed", (0.0, 255.0): "raw", (-128.0, 127.0): "centred",
}
# fmt: on


def take_picture(subject: str, inputs: Sequence[TensorSpec]) -> PictureTensor:
    """The one picture that a model takes; InputError, which names *subject*, where it takes none, several, or one of no fixed size."""
    found = [picture for picture in map(find_picture, inputs) if picture is not None]
    listed = "; ".join(map(str, inputs))
    if len(inputs) != 1 or not found:
        raise InputError(subject, f"it is for a model that takes one picture of one or three channels, and this one takes {listed}", _REMEDY)
    (picture,) = found
    if not picture.height or not picture.width:
        raise InputError(subject, f"the size of the model's picture is missing: it takes {listed}", "Fix it with --shape, or give --processing FILE.")
    return picture


def feed_classifier(subject: str, picture: PictureTensor) -> Feature:
    """Proportions kept and the middle cut out, as torchvision evaluates; ImageNet's mean and deviation where there are colours."""
    return _make_feature(picture, _cut_middle(picture), _number_steps(subject, picture, "imagenet"))


def feed_whole(subject: str, picture: PictureTensor, units: Units = "imagenet") -> Feature:
    """The whole picture stretched to the model's size, since what lies at its borders counts too."""
    return _make_feature(picture, [Resize(width=picture.width, height=picture.height)], _number_steps(subject, picture, units))


def feed_letterboxed(subject: str, picture: PictureTensor) -> Feature:
    """The whole picture in its proportions in a grey border, values from 0 to 1, as Ultralytics feeds its detectors."""
    resize = Resize(width=picture.width, height=picture.height, fit="letterbox", antialias=False, fill=(LETTERBOX_GREY,))
    return _make_feature(picture, [resize], _number_steps(subject, picture, "unit"))


def _make_feature(picture: PictureTensor, sizes: Sequence[Step], numbers: Sequence[Step]) -> Feature:
    grey: tuple[Step, ...] = (Color(order="GRAY"),) if picture.channels == 1 else ()
    return Feature(name="image", kind="image", feeds=picture.spec.name, steps=(*grey, *sizes, *numbers, Layout(axes=picture.axes)))


def _cut_middle(picture: PictureTensor) -> list[Step]:
    width, height = picture.width, picture.height
    if min(width, height) < _LEAST_CROPPED:
        return [Resize(width=width, height=height)]
    cover = Resize(width=round(width / CROPPED_SHARE), height=round(height / CROPPED_SHARE), fit="cover")
    return [cover, Crop(width=width, height=height)]


def _number_steps(subject: str, picture: PictureTensor, units: Units) -> list[Step]:
    """From pixels to the input's own numbers: those of uint8 are pixels, those of int8 what its quantisation says, floats *units*."""
    dtype, quantization = picture.spec.dtype, picture.spec.quantization
    if picture.channels == 1 and units == "imagenet":
        units = "unit"
    if dtype == "uint8":
        return []
    if dtype == "int8":
        return _quantize(subject, picture, units)
    if dtype not in ("float32", "float16") or quantization is not None:
        raise InputError(subject, f"what the numbers of the model's input {picture.spec} stand for is missing", _REMEDY)
    if dtype == "float16":
        return [*_UNITS[units], Cast(dtype="float16")]
    return list(_UNITS[units]) or [Cast(dtype="float32")]


def _quantize(subject: str, picture: PictureTensor, units: Units) -> list[Step]:
    quantization = picture.spec.quantization
    if quantization is None or len(quantization.scale) != 1:
        raise InputError(subject, f"the quantisation of the model's input {picture.spec} is missing", _REMEDY)
    (scale,), (zero_point,) = quantization.scale, quantization.zero_point
    low, high = scale * (-128 - zero_point), scale * (127 - zero_point)
    # A step of the quantiser is what its range may be off.
    known = (name for (lowest, highest), name in _RANGES.items() if np.allclose((low, high), (lowest, highest), rtol=0, atol=1.5 * scale))
    return [*_UNITS[next(known, units)], Quantize(dtype="int8", scale=scale, zero_point=zero_point)]
