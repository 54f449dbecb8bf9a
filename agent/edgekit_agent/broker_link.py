"""One connection to the MQTT broker: made once, used by one thread, and never used again after it has ended."""

import logging
import selectors
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, NamedTuple

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgekit.addresses import BrokerAddress
from edgekit.errors import TransferError
from edgekit.topics import QOS

log = logging.getLogger(__name__)

#: Seconds between two signs of life on a connection on which nothing else is sent.
KEEPALIVE_S = 60
#: Seconds for a TCP connection to come about.
CONNECT_S = 5.0
#: Seconds that the broker keeps what was sent to a device that is away. Whoever sent it repeats it in any case.
SESSION_S = 86_400
#: Messages to this device that may be unacknowledged, and the longest of them in bytes.
MAX_UNACKNOWLEDGED, MAX_PACKET = 20, 1 << 20

Protocol = Literal["5", "3.1.1"]


class Connected(NamedTuple):
    """The broker has accepted this device and its subscription."""


class Passed(NamedTuple):
    """The broker has taken over the *message* with that id."""

    message: int


class Arrived(NamedTuple):
    """Something was sent to this device. It is repeated until it is acknowledged."""

    topic: str
    payload: bytes
    message: int
    qos: int


Happening = Connected | Passed | Arrived


@dataclass(frozen=True)
class Session:
    """With what this device introduces itself. The broker publishes *will* on *will_topic* when the connection breaks."""

    address: BrokerAddress
    client_id: str
    subscription: str
    will_topic: str
    will: bytes
    protocol: Protocol


class BrokerLink:
    """A connection with *session*. *wake* is a file descriptor that ends a wait once it can be read.

    Leaving it closes the connection without a word, so that the broker publishes the will: this device is away.
    """

    def __init__(self, session: Session, wake: int) -> None:
        self._session = session
        self._wake = wake
        self._happened: list[Happening] = []
        self._ended: str | None = None
        self._client = _make_client(session)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_message = self._on_message

    def __enter__(self) -> "BrokerLink":
        address = self._session.address
        try:
            if self._session.protocol == "5":
                self._client.connect(address.host, address.port, KEEPALIVE_S, clean_start=False, properties=_make_properties())
            else:
                self._client.connect(address.host, address.port, KEEPALIVE_S)
        except (OSError, ValueError) as error:
            raise TransferError(str(address), f"the broker cannot be reached: {error}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        connection = self._client.socket()
        if connection is not None:
            connection.close()

    def send(self, topic: str, payload: bytes) -> int:
        """Put a message on its way; its id, with which Passed comes when the broker has it."""
        return self._client.publish(topic, payload, qos=QOS).mid

    def acknowledge(self, arrived: Arrived) -> None:
        """Tell the broker that *arrived* need not be repeated."""
        self._client.ack(arrived.message, arrived.qos)

    def exchange(self, timeout_s: float) -> Sequence[Happening]:
        """Send and receive until something happens, *wake* can be read, or *timeout_s* has passed; what happened, in order.

        Raises:
            TransferError: the connection has ended, or the broker would not have it.
        """
        connection = self._client.socket()
        if connection is not None:
            self._process(self._wait(connection, timeout_s))
        happened, self._happened = self._happened, []
        if self._ended is not None or self._client.socket() is None:
            raise TransferError(str(self._session.address), self._ended or "the connection was closed")
        return happened

    def _wait(self, connection: Any, timeout_s: float) -> int:
        """What the socket is ready for."""
        with selectors.DefaultSelector() as selector:
            writing = selectors.EVENT_WRITE if self._client.want_write() else 0
            selector.register(connection, selectors.EVENT_READ | writing)
            selector.register(self._wake, selectors.EVENT_READ)
            return sum(events for key, events in selector.select(timeout_s) if key.fileobj is connection)

    def _process(self, events: int) -> None:
        reading = [self._client.loop_read] if events & selectors.EVENT_READ else []
        writing = [self._client.loop_write] if events & selectors.EVENT_WRITE else []
        for step in (*reading, *writing, self._client.loop_misc):
            if step() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._ended = self._ended or "the connection was lost"
                return

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: mqtt.ConnectFlags, reason: ReasonCode, _properties: Properties | None) -> None:
        if reason.is_failure:
            self._ended = f"the broker refused this device: {reason}"
        else:
            # Whether the broker still knows the session or not: asking again changes nothing where it does.
            client.subscribe(self._session.subscription, qos=QOS)

    def _on_subscribe(self, _client: mqtt.Client, _data: Any, _message: int, reasons: list[ReasonCode], _properties: Properties | None) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self._ended = f"the broker refused the subscription {self._session.subscription}: {refused[0]}"
        else:
            self._happened.append(Connected())

    def _on_disconnect(
        self, _client: mqtt.Client, _data: Any, flags: mqtt.DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        # Without a word from the broker, paho's own reason says nothing.
        cause = str(reason) if flags.is_disconnect_packet_from_server else "the broker has gone, or let in another device with this id"
        self._ended = self._ended or f"the connection ended: {cause}"

    def _on_publish(self, _client: mqtt.Client, _data: Any, message: int, reason: ReasonCode, _properties: Properties | None) -> None:
        if reason.is_failure:
            log.warning("the broker did not take a message: %s", reason)
        self._happened.append(Passed(message))

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = "(not UTF-8)"
        self._happened.append(Arrived(topic, bytes(message.payload), message.mid, message.qos))


def _make_client(session: Session) -> mqtt.Client:
    # paho would reconnect by itself, without jitter, and keep in memory what the outbox keeps on the disk: each client connects once.
    is_new = session.protocol == "5"
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        client_id=session.client_id,
        clean_session=None if is_new else False,
        protocol=mqtt.MQTTv5 if is_new else mqtt.MQTTv311,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.connect_timeout = CONNECT_S
    client.will_set(session.will_topic, session.will, qos=QOS)
    if session.address.user is not None:
        client.username_pw_set(session.address.user, session.address.password)
    return client


def _make_properties() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho has types for all but this
    properties.SessionExpiryInterval = SESSION_S
    properties.ReceiveMaximum = MAX_UNACKNOWLEDGED
    properties.MaximumPacketSize = MAX_PACKET
    return properties
