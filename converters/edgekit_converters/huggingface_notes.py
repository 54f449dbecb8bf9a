"""What a JSON file of a Hugging Face directory says, field by field: each is of the kind that is expected, or named with what it is."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.errors import InputError

MAX_BYTES = 16 << 20
_SAVE = "Save the processor again where it was made, or give a contract of your own with --processing FILE."


@dataclass(frozen=True)
class Notes:
    """The fields in *file*, and those that transformers itself assumes where the file leaves them out."""

    file: Path
    fields: Mapping[str, Any]
    assumed: Mapping[str, Any]

    def find(self, field: str) -> Any:
        """What *field* says; null counts as left out where transformers assumes something."""
        value = self.fields.get(field)
        return self.assumed.get(field) if value is None else value

    def is_set(self, field: str) -> bool:
        """Whether *field* is true."""
        value = self.find(field)
        if value is None or isinstance(value, bool):
            return bool(value)
        raise self.refuse(field, "true or false is expected")

    def read_number(self, field: str) -> float:
        """The finite number in *field*."""
        value = self.find(field)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return value
        raise self.refuse(field, "a number is expected")

    def read_count(self, field: str) -> int:
        """The whole number above zero in *field*."""
        value = self.find(field)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 31:
            return value
        raise self.refuse(field, "a whole number above 0 is expected")

    def read_numbers(self, field: str) -> tuple[float, ...]:
        """The numbers in *field*: one for each channel, or one for all."""
        value = self.find(field)
        numbers = value if isinstance(value, list | tuple) else [value]
        if numbers and all(isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) for one in numbers):
            return tuple(float(one) for one in numbers)
        raise self.refuse(field, "a number for each channel is expected")

    def refuse(self, field: str, problem: str) -> InputError:
        """The refusal of what *field* says."""
        return InputError(self.file, f"field {field!r} is {_shorten(self.find(field))}, and {problem}", _SAVE)


def _shorten(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 100 else text[:100] + "…"


def read_notes(file: Path, assumed: Mapping[str, Any] | None = None) -> Notes:
    """The JSON object in *file*; InputError where it is missing, damaged or too large."""
    read = read_json(file)
    if not isinstance(read, dict):
        raise InputError(file, "it holds no JSON object", _SAVE)
    return Notes(file, read, assumed or {})


def read_json(file: Path) -> Any:
    """What *file* holds; raises as read_notes does."""
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(file, f"it cannot be read: {error.strerror}", _SAVE) from error
    if len(data) > MAX_BYTES:
        raise InputError(file, f"it has more than {MAX_BYTES >> 20} MiB", _SAVE)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(file, f"it is not JSON: {error}", _SAVE) from error
