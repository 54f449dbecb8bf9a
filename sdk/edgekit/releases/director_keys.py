"""The director's public keys as the bytes of a TUF target: what signs the desired states that devices obey."""

from collections.abc import Iterable
from typing import Any

import msgspec
from securesystemslib.signer import Key

from edgekit.errors import TrustError

#: The most that the file may have: a few keys, each with its own certificate at worst.
MAX_BYTES = 64 << 10


def encode_keys(keys: Iterable[Key]) -> bytes:
    """*keys* by their ids, as JSON; the same keys give the same bytes."""
    return msgspec.json.encode({"keys": {key.keyid: key.to_dict() for key in sorted(keys, key=lambda key: key.keyid)}}, order="sorted")


def decode_keys(data: bytes, subject: str) -> list[Key]:
    """The keys in *data*, at least one; TrustError where it holds none that can be read."""
    try:
        listed: dict[str, dict[str, Any]] = msgspec.json.decode(data, type=dict[str, dict[str, dict[str, Any]]])["keys"]
        keys = [Key.from_dict(keyid, fields) for keyid, fields in listed.items()]
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise TrustError(
            subject, f"it is signed, and holds no keys of a director that this edgekit can read: {error!r}", "Update edgekit on this machine."
        ) from error
    if not keys:
        raise TrustError(subject, "it names no key", "Make the fleet's director known again with edgekit fleet init.")
    return keys
