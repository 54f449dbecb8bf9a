"""TOML from files that may come from anybody: read in bounded time, and refused in one way."""

import re
import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: The most parts of a dotted key. The reader's time grows with the square of their number: a key of a mebibyte would take hours.
MAX_PARTS = 64
_PART = r"(?:[\w-]+|\"[^\"\n]*\"|'[^'\n]*')"
_LONG_KEY = re.compile(rf"(?<![\w-]){_PART}(?:[ \t]*\.[ \t]*{_PART}){{{MAX_PARTS}}}", re.ASCII)


def decode_toml(data: bytes) -> dict[str, Any]:
    """The fields of the TOML document *data*.

    Raises:
        ValueError: it is no TOML, no UTF-8, nested too deeply, or has a key of more than MAX_PARTS parts.
    """
    text = data.decode()
    if _LONG_KEY.search(text):
        raise ValueError(f"it has a dotted key of more than {MAX_PARTS} parts")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("its values are nested too deeply") from error
