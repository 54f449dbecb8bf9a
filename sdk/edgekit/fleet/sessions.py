"""One connection of a persistent MQTT session: what comes is acknowledged when it was taken in, and not before."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from gmqtt import Client
from gmqtt.mqtt.handler import MQTTConnectError
from gmqtt.storage import PersistentStorage

from edgekit.addresses import BrokerAddress
from edgekit.errors import TransferError
from edgekit.topics import QOS

#: Takes in a topic and a message; True once it may be acknowledged, and False where it must come again.
Receive = Callable[[str, bytes], Awaitable[bool]]

#: How long the broker keeps what comes while nobody is connected, in seconds.
SESSION_SECONDS = 14 * 86_400
#: How many messages may be on their way unacknowledged, to us and from us.
IN_FLIGHT = 256
_ANSWER_SECONDS = 10.0
_CLOSE_SECONDS = 2.0
_KEEPALIVE_SECONDS = 20

# What gmqtt says of every connection that ends, and of each acknowledgement that came too late for it, is no news: whoever
# opened the session is told that it is lost.
_EXPECTED = ("max number of failed connection attempts", "TRYING WRITE TO CLOSED SOCKET", "EXC: CONN LOST")
_log = logging.getLogger(f"{__name__}.gmqtt")


def _is_news(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING and not any(text in str(record.msg) for text in _EXPECTED)


for _each in (_log, logging.getLogger("gmqtt.mqtt.protocol"), logging.getLogger("gmqtt.mqtt.package")):
    _each.addFilter(_is_news)


class Session:
    """The session *client_id* at *broker*, subscribed to *topics*. As a context manager it connects once, and never by itself again.

    The broker keeps the session when the connection ends, and gives what was not acknowledged to whoever connects next under
    the same id.
    """

    def __init__(self, broker: BrokerAddress, client_id: str, topics: tuple[str, ...] = (), receive: Receive | None = None) -> None:
        self.broker = broker
        self.client_id = client_id
        self._topics = topics
        self._receive = receive
        self._sent = _Sent()
        self._lost = asyncio.Event()
        self._closed = asyncio.Event()
        self._subscribed: asyncio.Future[tuple[int, ...]] | None = None
        self._client = self._build_client()

    def _build_client(self) -> Any:
        client = Client(
            self.client_id,
            clean_session=False,
            optimistic_acknowledgement=False,
            persistent_storage=self._sent,
            logger=_log,
            session_expiry_interval=SESSION_SECONDS,
            receive_maximum=IN_FLIGHT,
        )
        # With 0 it would connect once more behind our back, whoever has the lease by then.
        client.set_config({"reconnect_retries": -2})
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        if self.broker.user is not None:
            client.set_auth_credentials(self.broker.user, self.broker.password)
        return client

    async def __aenter__(self) -> "Session":
        """Connect and subscribe, whatever the broker says that it remembers.

        Raises:
            TransferError: the broker cannot be reached, does not answer in time, or refuses.
        """
        try:
            await self._connect_in_time()
        except (OSError, MQTTConnectError) as error:
            await self._close()
            raise TransferError(str(self.broker), f"it does not let {self.client_id} in: {error}", "It is tried again.") from error
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Wait until the broker has what was published, for a moment, and disconnect.

        What was not taken in by then comes again, at the next connection.
        """
        try:
            # Who closes a socket without reading what has come may take back what was written last (RFC 1122, 4.2.2.13).
            await asyncio.wait_for(self._sent.wait_empty(), _CLOSE_SECONDS)
        except asyncio.TimeoutError:
            _log.warning("%s leaves with messages that the broker has not acknowledged", self.client_id)
        finally:
            await self._close()

    async def _connect_in_time(self) -> None:
        # gmqtt waits for ever for the answer of a broker that has hung up.
        connecting, losing = asyncio.ensure_future(self._connect()), asyncio.ensure_future(self._lost.wait())
        try:
            await asyncio.wait({connecting, losing}, timeout=_ANSWER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                raise ConnectionAbortedError("it hung up" if self._lost.is_set() else f"no answer in {_ANSWER_SECONDS:g} s")
            connecting.result()
        finally:
            for task in (connecting, losing):
                task.cancel()
            await asyncio.gather(connecting, losing, return_exceptions=True)

    async def _connect(self) -> None:
        await self._client.connect(self.broker.host, self.broker.port, ssl=self.broker.tls, keepalive=_KEEPALIVE_SECONDS)
        for topic in self._topics:
            self._subscribed = asyncio.get_running_loop().create_future()
            self._client.subscribe(topic, qos=QOS)
            granted = await self._subscribed
            if any(code >= 128 for code in granted):
                raise ConnectionRefusedError(f"it does not grant {topic}")

    async def _close(self) -> None:
        self._lost.set()
        self._sent.give_up()
        # A task of its own, since one that is cancelled half-way would leave the connection open for late acknowledgements.
        await asyncio.shield(asyncio.ensure_future(self._disconnect()))

    async def _disconnect(self) -> None:
        try:
            await asyncio.wait_for(self._client.disconnect(), _CLOSE_SECONDS)
        except (OSError, asyncio.TimeoutError) as error:
            _log.info("%s was not closed in order: %r", self.client_id, error)
        finally:
            self._closed.set()

    async def wait_lost(self) -> None:
        """Return once the connection has ended."""
        await self._lost.wait()

    async def publish(self, topic: str, message: bytes) -> None:
        """Hand *message* to the broker (QoS 1), after waiting until not too many are on their way.

        Raises:
            TransferError: the connection has ended.
        """
        await self._sent.wait_room()
        if self._lost.is_set():
            raise TransferError(str(self.broker), f"the connection of {self.client_id} has ended", "It is tried again.")
        self._client.publish(topic, message, qos=QOS)

    async def _on_message(self, client: Any, topic: str | bytes, message: bytes, qos: int, properties: Any) -> int:  # noqa: ARG002 (gmqtt gives them)
        name = topic if isinstance(topic, str) else topic.decode(errors="replace")
        if self._receive is not None and not await self._receive(name, bytes(message)):
            # gmqtt acknowledges whatever returns, so this returns when there is no connection left to do it on.
            await self._closed.wait()
        return 0

    def _on_subscribe(self, client: Any, mid: int, granted: tuple[int, ...], properties: Any) -> None:  # noqa: ARG002
        if self._subscribed is not None and not self._subscribed.done():
            self._subscribed.set_result(granted)

    def _on_disconnect(self, client: Any, packet: Any, error: Any = None) -> None:  # noqa: ARG002
        self._lost.set()
        self._sent.give_up()


class _Sent(PersistentStorage):  # type: ignore[misc]
    """What was published and not acknowledged yet, as gmqtt keeps it; whoever wants to add to it can wait for room."""

    def __init__(self) -> None:
        super().__init__()
        self._room = asyncio.Event()
        self._given_up = False
        self._room.set()

    def push_message(self, mid: int, raw_package: bytes) -> None:
        super().push_message(mid, raw_package)
        self._update()

    def remove_message_by_mid(self, mid: int) -> None:
        super().remove_message_by_mid(mid)
        self._update()

    def clear(self) -> None:
        super().clear()
        self._update()

    def give_up(self) -> None:
        """Let nobody wait any longer: there will be no acknowledgement."""
        self._given_up = True
        self.clear()

    async def wait_room(self) -> None:
        """Return once fewer than IN_FLIGHT are on their way, or none will arrive."""
        await self._room.wait()

    def _update(self) -> None:
        if self._given_up or len(self._messages) < IN_FLIGHT:
            self._room.set()
        else:
            self._room.clear()
