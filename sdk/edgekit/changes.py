"""What differs between two records, as text for people: each thing with what it was and what it is."""

from collections.abc import Mapping
from typing import Any

import msgspec

from edgekit.records import Record


class Change(Record, frozen=True, kw_only=True):
    """One thing that is not the same: *before* and *after* are in words, empty where it is not there."""

    what: str
    before: str
    after: str


def compare_values(before: Any, after: Any, subject: str = "") -> list[Change]:
    """Each field in which two records, or anything that JSON can express, differ. *subject* stands before the fields' names."""
    first, second = (dict(_flatten(msgspec.to_builtins(value), subject)) for value in (before, after))
    return compare_texts(first, second)


def compare_texts(before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    """Each name whose text differs, in the order of *before*, and then what came new."""
    names = dict.fromkeys((*before, *after))
    pairs = ((name, before.get(name, ""), after.get(name, "")) for name in names)
    return [Change(what=name, before=was, after=now) for name, was, now in pairs if was != now]


def _flatten(value: Any, name: str) -> list[tuple[str, str]]:
    """The values in *value* by what leads to them; a list of plain values is one, and what is None or empty is none."""
    if isinstance(value, Mapping):
        return [pair for key, item in value.items() for pair in _flatten(item, f"{name}.{key}" if name else str(key))]
    if isinstance(value, list | tuple) and any(isinstance(item, Mapping | list | tuple) for item in value):
        return [pair for index, item in enumerate(value) for pair in _flatten(item, f"{name}[{index}]")]
    text = format_value(value)
    return [(name, text)] if text else []


def format_value(value: Any) -> str:
    """A plain value, or a list of such, in words; empty for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(format_value, value))
    return str(value)
