"""The server's messages to devices over MQTT: one session, opened when there is something to send, and again after it was lost."""

import asyncio
import logging
from types import TracebackType

from edgekit.addresses import BrokerAddress
from edgekit.errors import TransferError
from edgekit.fleet.sessions import Session

log = logging.getLogger(__name__)

COORDINATOR = "coordinator"
#: How long a message waits for the connection, and for room in what is under way, before its sender is told.
_CONNECT_S, _ROOM_S = 1.0, 5.0


class MqttPublisher:
    """Publishes through *broker* as *client_id* (see `edgekit.transports.base.Publisher`); as a context manager it ends the session.

    It connects only to send. Of several servers, which all have this client id, the broker then talks to the one at work.
    """

    def __init__(self, broker: BrokerAddress, client_id: str = COORDINATOR) -> None:
        self.broker = broker
        self._client_id = client_id
        self._session: Session | None = None
        self._connected = asyncio.Event()
        self._holding: asyncio.Task[None] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now; without one, there is one again when something is to be sent."""
        return self._session is not None

    async def __aenter__(self) -> "MqttPublisher":
        """Nothing is opened yet."""
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the session."""
        if self._holding is not None:
            self._holding.cancel()
            await asyncio.wait({self._holding})

    async def publish(self, topic: str, message: bytes) -> None:
        """As the port says."""
        session = self._session or await self._open()
        try:
            await asyncio.wait_for(session.publish(topic, message), _ROOM_S)
        except asyncio.TimeoutError as error:
            raise TransferError(str(self.broker), f"it takes nothing from {self._client_id} just now", "It is tried again.") from error

    async def _open(self) -> Session:
        """The session, once it is there; TransferError where that takes too long, and then it goes on in the background."""
        if self._holding is None or self._holding.done():
            self._connected.clear()
            self._holding = asyncio.create_task(self._hold())
        waiting = asyncio.create_task(self._connected.wait())
        await asyncio.wait({waiting, self._holding}, timeout=_CONNECT_S, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._session is None:
            raise TransferError(str(self.broker), f"{self._client_id} is not connected", "It is tried again.")
        return self._session

    async def _hold(self) -> None:
        """One session, from its beginning to its end."""
        try:
            async with Session(self.broker, self._client_id) as session:
                self._session = session
                self._connected.set()
                await session.wait_lost()
        except TransferError as error:
            log.info("%s", error)  # whoever publishes is told, and says it aloud
        finally:
            self._session = None
