"""A processing contract in words: a line for each step, with every setting that it has, so that two can be held side by side."""

from typing import Any

import msgspec

from edgekit.contract import Feature, Processing, Reading, Step

_TAGS = ("step", "read")


def describe_step(step: Step | Reading) -> str:
    """*step* as one line: its name, then each setting with its value, those that nobody set included."""
    fields: dict[str, Any] = msgspec.to_builtins(step)
    name = next(str(fields[tag]) for tag in _TAGS if tag in fields)
    settings = ", ".join(f"{key.replace('_', ' ')} {_say(value)}" for key, value in fields.items() if key not in _TAGS and value is not None)
    return f"{name}: {settings}" if settings else name


def describe_feature(feature: Feature) -> list[str]:
    """What *feature* is, and then a line for each of its steps."""
    fed = "" if feature.feeds is None else f", which becomes the input {feature.feeds}"
    columns = f" with the columns {', '.join(feature.columns)}" if feature.columns else ""
    return [f"{feature.name}: {feature.kind}{columns}{fed}", *map(describe_step, feature.steps)]


def describe_answer(contract: Processing) -> str:
    """How the model's answers are read."""
    return "as they are: the model's own tensors" if contract.answer is None else describe_step(contract.answer)


def _say(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, dict):
        return " and ".join(f"{key} {_say(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return " ".join(map(_say, value))
    return str(value)
