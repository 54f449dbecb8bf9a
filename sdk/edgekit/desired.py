"""What a device should have, signed by the fleet's director for that one device.

A stolen broker can then neither choose among old releases, nor replay, nor speak to another device: the message names its
device, its counter only grows, and it expires. The signature is over the exact bytes (DSSE, protocol version 1).
"""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import Key, Signer

from edgekit.deployment import Millis, TrialTerms
from edgekit.errors import TrustError, WireError
from edgekit.records import Digest, Name, Record

PAYLOAD_TYPE = "application/vnd.edgekit.desired-state.v1+json"
MAX_MESSAGE_BYTES = 64 << 10

Counter = Annotated[int, Meta(ge=1, le=1 << 53)]
Version = Annotated[str, Meta(max_length=64)]


class UnknownDirector(TrustError):
    """A message is signed by nobody whom this device obeys; the director's keys may have changed since it learned them."""

    def __init__(self, error: Exception) -> None:
        super().__init__("desired state", f"it is not signed by the fleet's director: {error}", "Nothing was done.")


class DesiredModel(Record, frozen=True, kw_only=True):
    """One model: the release that is to serve it, with the digest of its manifest; None where none is to.

    *deployment* is the id under which the device reports on it. *floor* is the oldest version that may be installed at all.
    """

    model: Name
    deployment: Name
    release: Annotated[str, Meta(max_length=160)] | None = None
    digest: Digest | None = None
    variant: Name | None = None
    trial: TrialTerms = TrialTerms()
    floor: Version | None = None


class DesiredState(Record, frozen=True, kw_only=True):
    """Everything that *device* should have. *configuration* is the digest of pushed configuration, where there is one."""

    device: Name
    counter: Counter
    issued_ms: Millis
    expires_ms: Millis
    models: Annotated[tuple[DesiredModel, ...], Meta(max_length=64)] = ()
    configuration: Digest | None = None

    def find_model(self, model: str) -> DesiredModel | None:
        """What is desired of *model*; None where nothing is said of it."""
        return next((one for one in self.models if one.model == model), None)


def next_counter(last: int, now_ms: int) -> int:
    """The counter of the next message: it grows even when a server was restored from a backup, or its clock set back."""
    return max(last + 1, now_ms)


def sign_desired(desired: DesiredState, signer: Signer) -> bytes:
    """The message as it is sent: a DSSE envelope in JSON."""
    envelope = Envelope(desired.encode(), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return msgspec.json.encode(envelope.to_dict())


def verify_desired(message: bytes, keys: Sequence[Key], device: str, last_counter: int, now_ms: int | None) -> DesiredState:
    """The desired state in *message*, once everything about it was checked.

    Args:
        message: the bytes that came.
        keys: the director's public keys; one good signature is enough.
        device: the id of this device.
        last_counter: the highest counter accepted so far. The same counter again is accepted: the server repeats itself.
        now_ms: unix time, or None while the clock is not to be trusted, and then expiry is not looked at.

    Raises:
        WireError: it is no envelope, or what is in it is no desired state.
        TrustError: it is not signed by the director (then UnknownDirector), is for another device, is older than what was seen, or has expired.
    """
    desired = _open_envelope(message, keys)
    subject = f"desired state {desired.counter}"
    if desired.device != device:
        raise TrustError(subject, f"it is for the device {desired.device!r}, and this is {device!r}", "Nothing was done.")
    if desired.counter < last_counter:
        raise TrustError(subject, f"it is older than {last_counter}, which was seen before: a replay", "Nothing was done.")
    if now_ms is not None and desired.expires_ms < now_ms:
        raise TrustError(subject, f"it expired {(now_ms - desired.expires_ms) / 1000:.0f} s ago", "Check the clock of this device.")
    return desired


def _open_envelope(message: bytes, keys: Sequence[Key]) -> DesiredState:
    if len(message) > MAX_MESSAGE_BYTES:
        raise WireError("desired state", f"it has {len(message)} bytes, and {MAX_MESSAGE_BYTES} is the most")
    try:
        fields: dict[str, Any] = msgspec.json.decode(message, type=dict[str, Any])
        envelope = Envelope.from_dict(fields)
        envelope.verify(list(keys), 1)
    except (VerificationError, ValueError) as error:
        if isinstance(error, msgspec.MsgspecError) or not keys:
            raise WireError("desired state", f"it is no signed envelope: {error}") from error
        raise UnknownDirector(error) from error
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WireError("desired state", f"it is no signed envelope: {type(error).__name__} {error}") from error
    if envelope.payload_type != PAYLOAD_TYPE:
        raise WireError("desired state", f"its payload is {envelope.payload_type[:80]!r}, and {PAYLOAD_TYPE!r} is expected")
    try:
        return msgspec.json.decode(envelope.payload, type=DesiredState)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError("desired state", f"it is signed and cannot be read: {error}", "Update edgekit on this device.") from error
