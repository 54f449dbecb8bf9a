"""Claims about signed desired states: a stolen broker can neither invent, choose, replay nor redirect."""

import base64
import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner

from edgekit.deployment import TrialTerms
from edgekit.desired import (
    MAX_MESSAGE_BYTES,
    PAYLOAD_TYPE,
    DesiredModel,
    DesiredState,
    UnknownDirector,
    next_counter,
    sign_desired,
    verify_desired,
)
from edgekit.errors import TrustError, WireError

#: A busy machine makes no claim untrue.
unhurried = settings(deadline=None)
NOW = 1_800_000_000_000
DIRECTOR, STRANGER = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()
KEYS = [DIRECTOR.public_key]
MODEL = DesiredModel(model="digits", deployment="r1", release="digits@1.1.0", digest="sha256:" + "0" * 64, trial=TrialTerms(min_s=1), floor="1.1.0")
DESIRED = DesiredState(device="roof-1", counter=NOW, issued_ms=NOW, expires_ms=NOW + 1000, models=(MODEL,))
MESSAGE = sign_desired(DESIRED, DIRECTOR)


def verify(message: bytes = MESSAGE, device: str = "roof-1", last: int = 0, now_ms: int | None = NOW) -> DesiredState:
    return verify_desired(message, KEYS, device, last, now_ms)


def sign_payload(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """An envelope by the director round any bytes."""
    envelope = Envelope(payload, payload_type, {})
    envelope.sign(DIRECTOR)
    return json.dumps(envelope.to_dict()).encode()


def change(**fields: Any) -> bytes:
    """The envelope with other fields, and the old signature."""
    return json.dumps({**json.loads(MESSAGE), **fields}).encode()


def test_what_is_signed_is_what_is_read() -> None:
    """All that the director said comes out as it went in."""
    assert verify() == DESIRED
    assert verify().find_model("digits") == MODEL
    assert verify().find_model("letters") is None


def test_the_envelope_is_dsse() -> None:
    """Anybody's DSSE library finds payload, type and signatures (DSSE, protocol version 1)."""
    fields = json.loads(MESSAGE)
    assert fields["payloadType"] == PAYLOAD_TYPE
    assert DesiredState.decode(base64.b64decode(fields["payload"])) == DESIRED
    assert len(fields["signatures"]) == 1


def test_another_devices_state_is_refused() -> None:
    """A message cannot be led to another device."""
    with pytest.raises(TrustError, match="for the device 'roof-1', and this is 'roof-2'"):
        verify(device="roof-2")


def test_a_replay_is_refused_and_a_repetition_is_not() -> None:
    """Below the highest counter seen it is a replay; the same again is the server repeating itself."""
    assert verify(last=NOW) == DESIRED
    with pytest.raises(TrustError, match="a replay"):
        verify(last=NOW + 1)


def test_an_expired_state_is_refused() -> None:
    """After its end it is worth nothing, unless the clock is not to be trusted."""
    assert verify(now_ms=NOW + 1000) == DESIRED
    with pytest.raises(TrustError, match="expired 2 s ago"):
        verify(now_ms=NOW + 3000)
    assert verify(now_ms=None) == DESIRED


def test_a_stranger_is_refused() -> None:
    """A good signature by another key is none, and is told from other refusals."""
    with pytest.raises(UnknownDirector, match="not signed by the fleet's director"):
        verify(sign_desired(DESIRED, STRANGER))


def test_during_a_change_of_keys_either_is_obeyed() -> None:
    """With the old and the new key known, a signature by one of them is enough."""
    keys = [STRANGER.public_key, DIRECTOR.public_key]
    assert verify_desired(MESSAGE, keys, "roof-1", 0, NOW) == DESIRED


def test_without_keys_nobody_is_obeyed() -> None:
    """A device that knows no director refuses everything."""
    with pytest.raises((WireError, TrustError)):
        verify_desired(MESSAGE, [], "roof-1", 0, NOW)


@pytest.mark.parametrize(
    "make",
    [
        lambda: change(signatures=[]),
        lambda: change(payload=base64.b64encode(replace(DESIRED, device="roof-2").encode()).decode()),
        lambda: change(payloadType="application/json"),
        lambda: change(signatures=[{"keyid": DIRECTOR.public_key.keyid, "sig": base64.b64encode(b"\0" * 64).decode()}]),
        lambda: change(signatures=[{"keyid": STRANGER.public_key.keyid, "sig": json.loads(MESSAGE)["signatures"][0]["sig"]}]),
    ],
    ids=["unsigned", "other payload", "other type", "zero signature", "other key id"],
)
def test_what_the_director_did_not_sign_is_refused(make: Callable[[], bytes]) -> None:
    """No signature, or one over something else, is never obeyed."""
    with pytest.raises(TrustError):
        verify(make())


@pytest.mark.parametrize(
    "payload",
    [b"", b"{}", b"[]", b"null", b"\xff", b'{"device": "roof-1", "counter": 0, "issued_ms": 0, "expires_ms": 1}', b"[" * 10_000],
)
def test_signed_nonsense_is_said_to_be_unreadable(payload: bytes) -> None:
    """A signature makes no sense of bytes: a newer director may say what this device cannot read."""
    with pytest.raises(WireError, match="it is signed and cannot be read"):
        verify(sign_payload(payload))


def test_another_kind_of_message_is_no_desired_state() -> None:
    """What the director signed as something else cannot be passed off."""
    with pytest.raises(WireError, match="its payload is 'text/plain'"):
        verify(sign_payload(DESIRED.encode(), "text/plain"))


def test_a_message_that_is_too_long_is_not_even_read() -> None:
    """Its length is looked at first."""
    with pytest.raises(WireError, match="is the most"):
        verify(b" " * (MAX_MESSAGE_BYTES + 1))


def test_fields_of_a_newer_director_are_passed_over() -> None:
    """An old device obeys a new server."""
    fields = json.loads(DESIRED.encode())
    assert verify(sign_payload(json.dumps({**fields, "window": "02:00"}).encode())) == DESIRED


def test_the_greatest_state_fits_into_a_message() -> None:
    """64 models with the longest names are within the limit, so that no device can be given what it must refuse."""
    long = DesiredModel(
        model="m" * 64, deployment="d" * 64, release="r" * 160, digest="sha256:" + "0" * 64, variant="v" * 64, trial=MODEL.trial, floor="1" * 64
    )
    message = sign_desired(replace(DESIRED, models=(long,) * 64), DIRECTOR)
    assert len(message) <= MAX_MESSAGE_BYTES
    assert verify(message).models == (long,) * 64


@unhurried
@given(st.binary(max_size=300))
def test_garbage_is_refused(message: bytes) -> None:
    """Whatever bytes come, the answer is one of two errors."""
    with pytest.raises((WireError, TrustError)):
        verify(message)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda children: st.lists(children, max_size=3), max_leaves=5)


@unhurried
@given(st.dictionaries(st.sampled_from(["payload", "payloadType", "signatures", "other"]), JSON))
def test_envelopes_with_anything_in_them_are_refused(fields: dict[str, Any]) -> None:
    """Fields of any type in the place of the right ones do no harm."""
    with pytest.raises((WireError, TrustError)):
        verify(change(**fields) if "other" not in fields and fields else json.dumps(fields).encode())


@unhurried
@given(st.integers(0, len(MESSAGE) - 1), st.integers(1, 255))
def test_a_changed_byte_never_changes_what_is_desired(index: int, flip: int) -> None:
    """One byte that differs is refused, or changes nothing that was signed."""
    changed = bytearray(MESSAGE)
    changed[index] ^= flip
    with contextlib.suppress(WireError, TrustError):
        assert verify(bytes(changed)) == DESIRED


@unhurried
@given(st.integers(0, 1 << 50), st.integers(0, 1 << 50))
def test_counters_only_grow(last: int, now_ms: int) -> None:
    """Above the last one, whatever the clock says, and never below the clock, which a restored server relies on."""
    counter = next_counter(last, now_ms)
    assert counter > last
    assert counter >= now_ms
