"""A contract in words, for people who look at a bundle."""

from collections.abc import Callable, Mapping
from math import isclose
from typing import Any

import msgspec

from edgekit.contract import Cast, Color, Crop, Feature, Layout, Normalize, Processing, Quantize, Reading, Reshape, Resize, Scale, Step

_FITS = {
    "stretch": "stretched to",
    "cover": "in its proportions until both sides are at least",
    "contain": "in its proportions until it fits into",
    "letterbox": "in its proportions into a border of",
}
#: Factors below it are told as they are.
_SMALLEST = 1e-9
_KINDS = {"image": "a picture", "audio": "a sound", "text": "a text", "series": "a table"}


def describe_contract(contract: Processing | None) -> str:
    """The whole contract in a line: ``classify: photo, a picture, in 5 steps; answers: classes of output y; 10 labels``."""
    if contract is None:
        return "none: callers give the model's own tensors"
    given = [f"{feature.name}, {_KINDS[feature.kind]}, in {format_count(len(feature.steps), 'step')}" for feature in contract.inputs]
    parts = [*(given or ["the model's own tensors"]), f"answers: {describe_reading(contract.answer)}"]
    labels = [format_count(len(contract.labels), "label")] if contract.labels else []
    return f"{f'{contract.task}: ' if contract.task else ''}{'; '.join(parts + labels)}"


def describe_feature(feature: Feature) -> str:
    """What callers give, as a phrase: ``a picture, which becomes the model's input x``."""
    columns = f" with the columns {', '.join(feature.columns)}" if feature.columns else ""
    becomes = "" if feature.feeds is None else f", which becomes the model's input {feature.feeds}"
    return f"{_KINDS[feature.kind]}{columns}{becomes}"


def describe_step(step: Step) -> str:
    """What *step* does, as a phrase."""
    describe = _STEPS.get(type(step))
    return describe(step) if describe is not None else describe_fields(step)


def describe_reading(reading: Reading | None) -> str:
    """How the answer is read, as a phrase."""
    return "the model's own tensors" if reading is None else f"{reading.__struct_config__.tag} of {describe_fields(reading)}"


def format_count(count: int, noun: str) -> str:
    """``1 step``, ``2 steps``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def describe_fields(record: Step | Reading) -> str:
    """The fields of *record* that say more than their defaults: ``frame 480, hop 320``."""
    values = msgspec.structs.asdict(record)
    usual = {field.name: field.default for field in msgspec.structs.fields(record)}
    return ", ".join(f"{name} {_format(value)}" for name, value in values.items() if usual[name] is msgspec.NODEFAULT or value != usual[name])


def _describe_resize(step: Resize) -> str:
    by_opencv = not step.antialias or step.interpolation == "area"
    way = (
        step.interpolation
        if step.interpolation in ("nearest", "area")
        else f"{step.interpolation} with{'' if step.antialias else 'out'} antialiasing"
    )
    border = f", the border {_format(step.fill)}, anchored at the {step.anchor}" if step.fit == "letterbox" else ""
    return f"{_FITS[step.fit]} {step.width} x {step.height}, {way} ({'OpenCV' if by_opencv else 'Pillow'}){border}"


def _describe_scale(step: Scale) -> str:
    offset = "" if step.offset == 0 else f", plus {_format(step.offset)}"
    divisor = 1 / step.factor if abs(step.factor) > _SMALLEST else 0.0
    # 1/255 is told as people write it.
    divides = abs(divisor) > 1 and isclose(divisor, round(divisor * 2) / 2, rel_tol=1e-6)
    return f"{f'divided by {_format(divisor)}' if divides else f'times {_format(step.factor)}'}{offset}, as float32"


_STEPS: Mapping[type, Callable[[Any], str]] = {
    Resize: _describe_resize,
    Crop: lambda step: f"the middle {step.width} x {step.height}",
    Color: lambda step: "one channel, the luma of ITU-R BT.601" if step.order == "GRAY" else f"channels in the order {step.order}",
    Scale: _describe_scale,
    Normalize: lambda step: f"less the mean {_format(step.mean)}, divided by {_format(step.std)}",
    Layout: lambda step: f"axes in the order {step.axes}",
    Reshape: lambda step: f"the same values in the shape {list(step.shape)}",
    Quantize: lambda step: f"divided by {_format(step.scale)}, rounded, plus {step.zero_point}, as {step.dtype}",
    Cast: lambda step: f"as {step.dtype}",
}


def _format(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple):
        return " ".join(map(_format, value)) if len(value) != 1 else _format(value[0])
    if isinstance(value, dict):
        return " ".join(f"{name}={_format(item)}" for name, item in value.items())
    return str(value)
