"""The base of all records: frozen, pure, and refusing numbers that JSON cannot carry.

Records are read with unknown fields ignored, so that an old reader survives a newer writer.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from edgekit.errors import InputError

R = TypeVar("R", bound="Record")

#: ``sha256:`` and 64 lower-case hexadecimal digits.
Digest = Annotated[str, Meta(pattern=r"^sha256:[0-9a-f]{64}\Z", description="SHA-256 of the bytes")]
#: A name that is safe as a file name, an MQTT topic level and a URL segment.
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")]
#: A relative POSIX path whose segments never climb and never hide.
RelativePath = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*\Z", max_length=255)]
#: A count of bytes.
Length = Annotated[int, Meta(ge=0, le=1 << 53)]
#: A number at least zero.
NonNegative = Annotated[float, Meta(ge=0)]
#: A share between zero and one.
Share = Annotated[float, Meta(ge=0, le=1)]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A frozen record that encodes and decodes itself as JSON.

    Raises:
        ValueError: when a float anywhere in a field is NaN or infinite, since JSON has neither
            (RFC 8259, section 6) and a reader could not get it back.
    """

    def __post_init__(self) -> None:
        for field in self.__struct_fields__:
            if not _is_finite(getattr(self, field)):
                raise ValueError(f"{field} is not a finite number")

    def encode(self) -> bytes:
        """The record as JSON, UTF-8."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls: type[R], data: bytes, subject: str = "record") -> R:
        """The record in *data*, or InputError that names *subject*, the field and what was expected."""
        try:
            return msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InputError(subject, f"it is not a valid {cls.__name__}: {error}", "Make it again, or correct the field named.") from error


def name_field(message: str) -> str:
    """A message of msgspec's, as "Expected `int`, got `str` - at `$.api.port`", with the field in front."""
    what, found, where = message.partition(" - at `")
    return f"{where.strip('`').removeprefix('$.')}: {what}" if found else what


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(_is_finite(item) for item in value.values())
    if isinstance(value, tuple | list):
        return all(_is_finite(item) for item in value)
    return True
