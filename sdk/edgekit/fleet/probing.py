"""Whether an MQTT broker answers: one CONNECT, its answer, and nothing left behind."""

import asyncio
import contextlib
import struct

from edgekit.addresses import BrokerAddress
from edgekit.errors import InputError, TransferError

# MQTT 3.1.1, section 3.1: CONNECT with protocol level 4; flags for a clean session, a user name and a password.
_CONNECT, _LEVEL = 0x10, 4
_CLEAN, _USER, _PASSWORD = 0x02, 0x80, 0x40
_KEEP_ALIVE_S = 10
_DISCONNECT = b"\xe0\x00"
# Section 3.2.2.3, "Connect Return code"; 0 is accepted.
_REFUSALS = {
    1: "it does not speak MQTT 3.1.1",
    2: "it refuses the client id",
    3: "it is not available",
    4: "it refuses the user name or the password",
    5: "it does not let this user in",
}
_MENDED_BY_TIME = (3,)


async def probe_broker(address: BrokerAddress, seconds: float = 5.0) -> None:
    """Connect to the broker at *address*, and leave again.

    Raises:
        TransferError: nobody answers within *seconds*, or what answers is no MQTT broker.
        InputError: it answers, and refuses this user.
    """
    try:
        code = await asyncio.wait_for(_ask(address), seconds)
    except (asyncio.TimeoutError, TimeoutError) as error:
        raise TransferError(f"broker {address}", f"it did not answer within {seconds:g} s", "Check that it runs, and the address.") from error
    except (OSError, EOFError) as error:
        raise TransferError(f"broker {address}", f"it cannot be reached: {_describe(error)}", "Check that it runs, and the address.") from error
    if code is None:
        raise TransferError(f"broker {address}", "what answers there is no MQTT broker", "Check the port.")
    if code in _MENDED_BY_TIME:
        raise TransferError(f"broker {address}", _REFUSALS[code], "Try again.")
    if code != 0:
        raise InputError(f"broker {address}", _REFUSALS.get(code, f"it answers with code {code}"), "Correct the user and password in its address.")


async def is_answering(address: BrokerAddress) -> bool:
    """Whether the broker at *address* lets us in, within a second."""
    try:
        await probe_broker(address, 1.0)
    except (TransferError, InputError):
        return False
    return True


async def _ask(address: BrokerAddress) -> int | None:
    """The return code of the broker; None where the answer is no CONNACK."""
    reader, writer = await asyncio.open_connection(address.host, address.port, ssl=address.tls or None)
    try:
        writer.write(encode_connect(address.user, address.password))
        answer = await reader.readexactly(4)
    finally:
        await _leave(writer)
    return answer[3] if answer[:2] == b"\x20\x02" else None


async def _leave(writer: asyncio.StreamWriter) -> None:
    # A broker that refuses closes first (section 3.2.2.3), and then there is nobody to take leave of.
    with contextlib.suppress(OSError):
        writer.write(_DISCONNECT)
        writer.close()
        await writer.wait_closed()


def encode_connect(user: str | None = None, password: str | None = None) -> bytes:
    """A CONNECT packet with an empty client id, which the broker replaces by one of its own (MQTT 3.1.1, section 3.1.3.1)."""
    flags = _CLEAN | (_USER if user is not None else 0) | (_PASSWORD if password is not None else 0)
    fields = ["", *(text for text in (user, password) if text is not None)]
    body = _encode_text("MQTT") + struct.pack(">BBH", _LEVEL, flags, _KEEP_ALIVE_S) + b"".join(map(_encode_text, fields))
    return bytes([_CONNECT]) + _encode_length(len(body)) + body


def _encode_text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def _encode_length(length: int) -> bytes:
    """Section 2.2.3, "Remaining Length": seven bits a byte, the lowest first."""
    found = bytearray()
    while True:
        length, low = length >> 7, length & 0x7F
        found.append(low | (0x80 if length else 0))
        if not length:
            return bytes(found)


def _describe(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "it closed the connection at once"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
