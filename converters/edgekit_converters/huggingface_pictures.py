"""The contract of a picture processor of transformers, from its ``preprocessor_config.json``.

What the file leaves out is what the processor's class assumes (transformers 5.23, ``image_processing_pil_*.py``). What it does
is done by Pillow there, and by Pillow here.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edgekit.contract import Color, Crop, Feature, Interpolation, Layout, Normalize, Resize, Scale, Step
from edgekit.tensors import TensorSpec
from edgekit_converters.huggingface_notes import Notes

_HALF = {"image_mean": (0.5, 0.5, 0.5), "image_std": (0.5, 0.5, 0.5)}
_IMAGENET = {"image_mean": (0.485, 0.456, 0.406), "image_std": (0.229, 0.224, 0.225)}
_CLIP = {"image_mean": (0.48145466, 0.4578275, 0.40821073), "image_std": (0.26862954, 0.26130258, 0.27577711)}
#: Pillow's numbers of filters (PIL.Image.Resampling).
_FILTERS: Mapping[int, Interpolation] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
_BILINEAR, _BICUBIC = 2, 3


def _square(side: int) -> dict[str, int]:
    return {"height": side, "width": side}


def _short(side: int) -> dict[str, int]:
    return {"shortest_edge": side}


_ALWAYS = {"do_resize": True, "do_rescale": True, "do_normalize": True, "rescale_factor": 1 / 255, "default_to_square": True}
_MIDDLE = {"do_center_crop": True, "crop_size": _square(224), "default_to_square": False}
_DETECTOR = _IMAGENET | {"size": {"shortest_edge": 800, "longest_edge": 1333}, "resample": _BILINEAR, "default_to_square": False}

#: What each class of processor assumes, by its name without its ending.
# fmt: off
PROCESSORS: dict[str, dict[str, Any]] = {
    "Beit":            _ALWAYS | _HALF     | {"size": _square(224), "resample": _BICUBIC, "crop_size": _square(224)},
    "Bit":             _ALWAYS | _CLIP     | _MIDDLE | {"size": _short(224), "resample": _BICUBIC},
    "Blip":            _ALWAYS | _CLIP     | {"size": _square(384), "resample": _BICUBIC},
    "CLIP":            _ALWAYS | _CLIP     | _MIDDLE | {"size": _short(224), "resample": _BICUBIC},
    "ConditionalDetr": _ALWAYS | _DETECTOR,
    "ConvNext":        _ALWAYS | _HALF     | {"size": _short(384), "resample": _BICUBIC, "crop_pct": 224 / 256, "default_to_square": False},
    "DeformableDetr":  _ALWAYS | _DETECTOR,
    "DeiT":            _ALWAYS | _HALF     | _MIDDLE | {"size": _square(256), "resample": _BICUBIC, "default_to_square": True},
    "Detr":            _ALWAYS | _DETECTOR,
    "EfficientNet":    _ALWAYS | _HALF     | {"size": _square(346), "resample": _BICUBIC, "crop_size": _square(289), "include_top": True},
    "Levit":           _ALWAYS | _IMAGENET | _MIDDLE | {"size": _short(224), "resample": _BICUBIC},
    "MobileNetV1":     _ALWAYS | _HALF     | _MIDDLE | {"size": _short(256), "resample": _BILINEAR},
    "MobileNetV2":     _ALWAYS | _HALF     | _MIDDLE | {"size": _short(256), "resample": _BILINEAR},
    "MobileViT":       _ALWAYS | _HALF     | _MIDDLE | {"size": _short(224), "resample": _BICUBIC, "crop_size": _square(256),
                                                        "do_normalize": False, "do_flip_channel_order": True},
    "Pvt":             _ALWAYS | _IMAGENET | {"size": _square(224), "resample": _BICUBIC},
    "RTDetr":          _ALWAYS | _IMAGENET | {"size": _square(640), "resample": _BILINEAR, "do_normalize": False, "default_to_square": False},
    "Segformer":       _ALWAYS | _IMAGENET | {"size": _square(512), "resample": _BILINEAR},
    "Siglip":          _ALWAYS | _HALF     | {"size": _square(224), "resample": _BICUBIC, "default_to_square": False},
    "ViT":             _ALWAYS | _HALF     | {"size": _square(224), "resample": _BILINEAR},
    "Yolos":           _ALWAYS | _DETECTOR,
}
# fmt: on
_ENDINGS = ("ImageProcessorFast", "ImageProcessorPil", "ImageProcessor", "FeatureExtractor")


def read_picture(notes: Notes, spec: TensorSpec) -> Feature:
    """How a picture becomes *spec*, the model's ``pixel_values``.

    Raises:
        InputError: the processor is none of those that are known, or does what a contract does not have; the message names the field.
    """
    name = _find_name(notes)
    notes = replace(notes, assumed=PROCESSORS[name])
    channels_last = spec.layout == "NHWC"
    grey: tuple[Step, ...] = (Color(order="GRAY"),) if spec.shape[-1 if channels_last else 1] == 1 else ()
    numbers = (*_find_numbers(name, notes), Layout(axes="HWC" if channels_last else "CHW"))
    return Feature(name="image", kind="image", feeds=spec.name, steps=(*grey, *_find_sizes(name, notes), *_find_order(notes), *numbers))


def _find_name(notes: Notes) -> str:
    """The class of the processor, without its ending."""
    field = "image_processor_type" if notes.find("image_processor_type") is not None else "feature_extractor_type"
    kind = notes.find(field)
    for ending in _ENDINGS:
        if isinstance(kind, str) and kind.endswith(ending) and kind.removesuffix(ending) in PROCESSORS:
            return kind.removesuffix(ending)
    raise notes.refuse(field, f"processors of pictures that are read are those of {', '.join(PROCESSORS)}")


def _find_sizes(name: str, notes: Notes) -> list[Step]:
    """Resize and crop. A processor of ConvNeXT has its crop in its size: below 384 pixels it cuts *crop_pct* out of the middle."""
    steps: list[Step] = []
    if notes.is_set("do_resize"):
        steps += _crop_by_share(notes) if name == "ConvNext" else [_resize(name, notes)]
    if notes.is_set("do_center_crop") and name != "Segformer":
        height, width = _read_sides(notes, "crop_size")
        steps.append(Crop(width=width, height=height))
    if notes.is_set("do_pad") and notes.find("pad_size") is not None:
        raise notes.refuse("pad_size", "a border that depends on the picture is not expressed")
    return steps


def _resize(name: str, notes: Notes) -> Resize:
    size, interpolation = _read_size(notes), _find_filter(notes)
    if set(size) == {"height", "width"}:
        return Resize(width=size["width"], height=size["height"], interpolation=interpolation)
    if set(size) == {"shortest_edge"} and (notes.is_set("do_center_crop") or name == "Levit"):
        # LeViT's processor makes it an eighth larger than it says.
        edge = int(256 / 224 * size["shortest_edge"]) if name == "Levit" else size["shortest_edge"]
        return Resize(width=edge, height=edge, fit="cover", interpolation=interpolation)
    raise notes.refuse("size", "it gives each picture a size of its own, while the model's input has one; 'height' and 'width' are expected")


def _crop_by_share(notes: Notes) -> list[Step]:
    size, interpolation = _read_size(notes), _find_filter(notes)
    if set(size) != {"shortest_edge"}:
        raise notes.refuse("size", "'shortest_edge' alone is expected")
    edge = size["shortest_edge"]
    if edge >= 384:
        return [Resize(width=edge, height=edge, interpolation=interpolation)]
    share = notes.read_number("crop_pct")
    if not 0.1 <= share <= 1:
        raise notes.refuse("crop_pct", "a share from 0.1 to 1 is expected")
    whole = int(edge / share)
    return [Resize(width=whole, height=whole, fit="cover", interpolation=interpolation), Crop(width=edge, height=edge)]


def _read_size(notes: Notes) -> dict[str, int]:
    """Field ``size`` by its sides; a bare number is a square's, or the shorter side's."""
    size = notes.find("size")
    if isinstance(size, int) and not isinstance(size, bool):
        size = _square(size) if notes.is_set("default_to_square") else _short(size)
    if isinstance(size, list) and len(size) == 2:
        size = {"height": size[0], "width": size[1]}
    if not isinstance(size, dict):
        raise notes.refuse("size", "'height' and 'width', or 'shortest_edge', are expected")
    sides = {side: value for side, value in size.items() if value is not None}
    if not all(map(_is_side, sides.values())):
        raise notes.refuse("size", "whole numbers of pixels are expected")
    return sides


def _read_sides(notes: Notes, field: str) -> tuple[int, int]:
    size = notes.find(field)
    sides: tuple[Any, Any] = (size.get("height"), size.get("width")) if isinstance(size, dict) else (size, size)
    if not all(map(_is_side, sides)):
        raise notes.refuse(field, "'height' and 'width' in pixels are expected")
    return sides


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _find_filter(notes: Notes) -> Interpolation:
    number = notes.find("resample")
    if not isinstance(number, int) or number not in _FILTERS:
        known = ", ".join(f"{key} ({name})" for key, name in _FILTERS.items())
        raise notes.refuse("resample", f"one of Pillow's filters is expected: {known}")
    return _FILTERS[number]


def _find_order(notes: Notes) -> list[Step]:
    return [Color(order="BGR")] if notes.is_set("do_flip_channel_order") else []


def _find_numbers(name: str, notes: Notes) -> list[Step]:
    steps: list[Step] = [Scale(factor=1.0)]
    if notes.is_set("do_rescale"):
        steps = [Scale(factor=notes.read_number("rescale_factor"), offset=-1.0 if notes.is_set("rescale_offset") else 0.0)]
    # MobileViT's processor never normalises, whatever its file says.
    if notes.is_set("do_normalize") and name != "MobileViT":
        steps.append(Normalize(mean=notes.read_numbers("image_mean"), std=_read_deviations(notes)))
    if notes.is_set("include_top"):
        steps.append(Normalize(mean=(0.0,), std=_read_deviations(notes)))
    return steps


def _read_deviations(notes: Notes) -> tuple[float, ...]:
    deviations = notes.read_numbers("image_std")
    if min(deviations) <= 0:
        raise notes.refuse("image_std", "numbers above 0 are expected")
    return deviations
