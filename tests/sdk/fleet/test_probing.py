"""Whether a broker answers, asked of real sockets."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.addresses import BrokerAddress
from edgekit.errors import EdgekitError, InputError, TransferError
from edgekit.fleet.probing import encode_connect, probe_broker


def probe(answer: bytes | None, seconds: float = 5.0) -> None:
    """Probe a server that sends *answer* and closes; one that is silent for ever where it is None."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(encode_connect()))
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()

    async def go() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        async with server:
            await probe_broker(BrokerAddress(host="127.0.0.1", port=server.sockets[0].getsockname()[1]), seconds)

    asyncio.run(go())


def test_an_accepted_connection_is_a_broker() -> None:
    """CONNACK with return code 0 is all that is asked for."""
    probe(b"\x20\x02\x00\x00")


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (b"\x20\x02\x00\x05", InputError, "does not let this user in"),
        (b"\x20\x02\x00\x04", InputError, "user name or the password"),
        (b"\x20\x02\x00\x03", TransferError, "not available"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", TransferError, "no MQTT broker"),
        (b"", TransferError, "closed the connection"),
    ],
)
def test_each_other_answer_says_who_must_act(answer: bytes, kind: type[EdgekitError], words: str) -> None:
    """A refused user is the caller's to mend, and whatever is no broker, or none just now, cannot be reached."""
    with pytest.raises(kind, match=words):
        probe(answer)


def test_silence_ends() -> None:
    """A server that accepts and says nothing is waited for only so long."""
    with pytest.raises(TransferError, match=r"within 0\.2 s"):
        probe(None, 0.2)


@given(st.none() | st.text(st.characters(codec="utf-8"), max_size=300), st.none() | st.text(st.characters(codec="utf-8"), max_size=300))
def test_a_connect_says_its_own_length(user: str | None, password: str | None) -> None:
    """The remaining length, of one byte or more, is that of what follows (MQTT 3.1.1, section 2.2.3)."""
    packet = encode_connect(user, password)
    length, size = 0, 1
    for shift, byte in enumerate(packet[1:5]):
        length, size = length | (byte & 0x7F) << 7 * shift, size + 1
        if byte < 0x80:
            break
    assert length == len(packet) - size
    assert packet[size : size + 7] == b"\x00\x04MQTT\x04"
