"""One connection to a real broker: what goes through it, and every way in which it ends."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from edgekit.addresses import parse_broker
from edgekit.errors import TransferError
from edgekit_agent.broker_link import Arrived, BrokerLink, Connected, Happening, Passed, Session
from edgekit_agent.waking import Waker

LIMIT_S = 20.0


@pytest.fixture
def waker() -> Iterator[Waker]:
    with Waker() as opened:
        yield opened


def make_session(address: str, client_id: str = "roof-1", protocol: str = "5", **fields: str) -> Session:
    told = {"subscription": f"{client_id}/down/+", "will_topic": f"{client_id}/up/status", **fields}
    return Session(address=parse_broker(address, "broker"), client_id=client_id, will=b"gone", protocol=protocol, **told)


def exchange_until(link: BrokerLink, condition: Callable[[list[Happening]], bool]) -> list[Happening]:
    happened: list[Happening] = []
    deadline = time.monotonic() + LIMIT_S
    while not condition(happened):
        assert time.monotonic() < deadline, happened
        happened += link.exchange(0.1)
    return happened


@contextlib.contextmanager
def connected(session: Session, waker: Waker) -> Iterator[BrokerLink]:
    with BrokerLink(session, waker.fileno) as link:
        exchange_until(link, lambda happened: Connected() in happened)
        yield link


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_messages_go_both_ways(broker, waker, protocol):
    """What is sent is passed on and acknowledged, and what arrives has its topic and bytes."""
    with (
        connected(make_session(broker.address, protocol=protocol), waker) as device,
        connected(make_session(broker.address, "server", protocol, subscription="roof-1/up/+"), waker) as server,
    ):
        message = device.send("roof-1/up/telemetry", b"\x00\xff")
        assert Passed(message) in exchange_until(device, lambda happened: Passed(message) in happened)
        (arrived,) = exchange_until(server, bool)
        assert (arrived.topic, arrived.payload) == ("roof-1/up/telemetry", b"\x00\xff")
        server.acknowledge(arrived)


def test_what_was_not_acknowledged_comes_again(broker, waker):
    """A connection that ends before a message was acknowledged leaves it with the broker for the next one."""
    session = make_session(broker.address)
    with connected(session, waker) as device, connected(make_session(broker.address, "server"), waker) as server:
        message = server.send("roof-1/down/deployment", b"once")
        exchange_until(server, lambda happened: Passed(message) in happened)
        exchange_until(device, lambda happened: any(isinstance(one, Arrived) for one in happened))
    with BrokerLink(session, waker.fileno) as device:
        happened = exchange_until(device, lambda happened: Connected() in happened and any(isinstance(one, Arrived) for one in happened))
        (arrived,) = [one for one in happened if isinstance(one, Arrived)]
        assert arrived.payload == b"once"
        device.acknowledge(arrived)
        device.exchange(0.05)
    with connected(session, waker) as device:
        assert list(device.exchange(0.2)) == []


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_leaving_publishes_the_will(broker, waker, protocol):
    """A connection that is left, or breaks, is told by the broker in the device's place."""
    with connected(make_session(broker.address, "server", subscription="roof-1/up/+"), waker) as server:
        with connected(make_session(broker.address, protocol=protocol), waker):
            pass
        (arrived,) = exchange_until(server, bool)
        assert (arrived.topic, arrived.payload) == ("roof-1/up/status", b"gone")


def test_a_wait_is_ended_by_waking(broker, waker):
    """Somebody who has something to send does not wait for the broker to speak."""
    with connected(make_session(broker.address), waker) as link:
        threading.Timer(0.05, waker.wake).start()
        began_s = time.monotonic()
        assert list(link.exchange(LIMIT_S)) == []
        assert time.monotonic() - began_s < LIMIT_S / 2


def test_a_broker_that_dies_ends_the_connection(broker, waker):
    """At once, and for good."""
    with connected(make_session(broker.address), waker) as link:
        broker.kill()
        for _ in range(2):
            with pytest.raises(TransferError, match=r"mqtt://127\.0\.0\.1"):
                exchange_until(link, lambda _: False)


def test_another_of_the_same_name_ends_the_connection(broker, waker):
    """Two devices with one id are told so, each time the other comes."""
    session = make_session(broker.address)
    with connected(session, waker) as first, connected(session, waker), pytest.raises(TransferError, match="another device with this id"):
        exchange_until(first, lambda _: False)


def test_a_broker_that_is_not_there_is_said():
    """With its address, and without its password."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"mqtt://me:secret@127.0.0.1:{free.getsockname()[1]}"
    with Waker() as waker, pytest.raises(TransferError, match="cannot be reached") as refusal, BrokerLink(make_session(address), waker.fileno):
        pass
    assert "secret" not in str(refusal.value)
    assert "me@127.0.0.1" in str(refusal.value)


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\xff\xff\xff\xff\xff", b"\x20\x02\x00\x05", b"\x20\x03\x00\x87\x00", b""]
)
def test_what_is_no_broker_or_refuses_ends_the_connection(waker, answer):
    """A web server, malformed bytes, a refusal in either version and silence before the end are all told as such."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(4096)
                client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        protocol = "3.1.1" if answer == b"\x20\x02\x00\x05" else "5"
        session = make_session(f"mqtt://127.0.0.1:{listener.getsockname()[1]}", protocol=protocol)
        with BrokerLink(session, waker.fileno) as link, pytest.raises(TransferError):
            exchange_until(link, lambda _: False)
        thread.join(LIMIT_S)
