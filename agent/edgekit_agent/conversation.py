"""What this device and the server say to each other over one connection: said again until it is answered, and handed on when it is heard."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from edgekit.desired import MAX_MESSAGE_BYTES
from edgekit.errors import DeviceError, EdgekitError, InputError, TransferError, WireError
from edgekit.files import digest_bytes
from edgekit.status import DeviceInventory, DeviceStatus, Stored
from edgekit.telemetry import encode_batch
from edgekit.topics import SHARDS, name_down, name_up
from edgekit_agent.broker_link import MAX_UNACKNOWLEDGED, Arrived, BrokerLink, Happening, Passed
from edgekit_agent.observing import Journal
from edgekit_agent.outbox import Outbox
from edgekit_agent.pacing import Patience, Repeated, Window

log = logging.getLogger(__name__)

#: The records of one message, in bytes before they are compressed.
BATCH_BYTES = 64 << 10
#: Seconds between two events about messages that cannot be used, so that nobody can fill the outbox with them.
COMPLAIN_S = 60.0
#: Messages that may be left unacknowledged on one connection: well below those after which a broker falls silent.
MAX_LEFT = MAX_UNACKNOWLEDGED // 2


@dataclass(frozen=True)
class Party:
    """The device that is spoken for: the one in *inventory*, of a fleet with so many *shards*.

    *describe* tells how it stands, and *offer* takes what the director has signed. When *offer* returns, it has kept the message for
    good, or leaves it to the server to repeat it; where it raises DeviceError, the broker keeps the message.
    """

    inventory: DeviceInventory
    outbox: Outbox
    journal: Journal
    describe: Callable[[], DeviceStatus]
    offer: Callable[[bytes], None]
    shards: int = SHARDS

    @property
    def device(self) -> str:
        """The device's id."""
        return self.inventory.device


class Complaints:
    """Tells of messages that cannot be used: of the first at once, and of the rest together, once a minute."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._untold = 0
        self._due_s = 0.0

    def add(self, error: EdgekitError, now_s: float) -> None:
        """Count a message that could not be used because of *error*."""
        self._untold += 1
        if now_s >= self._due_s:
            count, self._untold, self._due_s = self._untold, 0, now_s + COMPLAIN_S
            log.warning("%d messages to this device could not be used, the last one since: %s", count, error)
            self._journal.on_event("wire", "", str(error))


class Conversation:
    """Speaks for *party* over *link*, which is connected. One thread uses it."""

    def __init__(self, link: BrokerLink, party: Party, patience: Patience, complaints: Complaints) -> None:
        self._link = link
        self._party = party
        self._complaints = complaints
        self._inventory_bytes = party.inventory.encode()
        self._inventory = Repeated(patience)
        self._status = Repeated(patience, patience.heartbeat_s)
        self._said: tuple[str, int] | None = None
        self._window = Window(patience)
        self._is_outbox_told = False
        self._left = 0
        self._hearers: dict[str, Callable[[bytes], None]] = {
            name_down(party.device, "deployment", party.shards): party.offer,
            name_down(party.device, "stored", party.shards): self._take_stored,
        }

    @property
    def due_s(self) -> float:
        """When something is to be said next, by the monotonic clock, if nothing new comes up."""
        return min(self._status.due_s, self._inventory.due_s, self._window.due_s)

    @property
    def owes(self) -> bool:
        """Whether there are records that the server has not answered."""
        try:
            return self._party.outbox.read_batch(1) is not None
        except DeviceError as error:
            self._tell_outbox(error)
            return False

    def handle(self, happening: Happening) -> None:
        """Take in what happened on the link."""
        if isinstance(happening, Arrived):
            self._hear(happening)
        elif isinstance(happening, Passed):
            now_s = time.monotonic()
            for sent in (self._inventory, self._status, self._window):
                sent.passed(happening.message, now_s)

    def say_due(self) -> None:
        """Send what is new, and again what was not answered in time."""
        now_s = time.monotonic()
        if now_s >= self._inventory.due_s:
            self._inventory.sent(self._link.send(name_up(self._party.device, "inventory", self._party.shards), self._inventory_bytes))
        self._say_status(now_s)
        try:
            self._say_records(now_s)
        except DeviceError as error:
            self._tell_outbox(error)

    def _tell_outbox(self, error: DeviceError) -> None:
        if not self._is_outbox_told:
            self._is_outbox_told = True
            log.warning("the outbox cannot be used, and telemetry waits: %s", error)

    def _say_status(self, now_s: float) -> None:
        status = self._party.describe()
        if (status.epoch, status.revision) != self._said:
            self._status.say_now()
        if now_s >= self._status.due_s:
            self._said = status.epoch, status.revision
            self._status.sent(self._link.send(name_up(self._party.device, "status", self._party.shards), status.encode()))

    def _say_records(self, now_s: float) -> None:
        if now_s >= self._window.due_s:
            self._window.repeat()
        topic = name_up(self._party.device, "telemetry", self._party.shards)
        while self._window.has_room and (reading := self._party.outbox.read_batch(BATCH_BYTES, self._window.position)) is not None:
            self._window.sent(reading, self._link.send(topic, encode_batch(reading.batch)))

    def _hear(self, arrived: Arrived) -> None:
        try:
            self._hand_on(arrived)
        except (WireError, InputError) as error:
            self._complaints.add(error, time.monotonic())
            self._link.acknowledge(arrived)
        except DeviceError as error:
            self._leave(error)
        else:
            self._link.acknowledge(arrived)

    def _leave(self, error: DeviceError) -> None:
        """Leave a message with the broker, which repeats it at the next connection, and says nothing more once it keeps too many."""
        self._left += 1
        log.warning("a message is left to the broker for now: %s", error)
        if self._left > MAX_LEFT:
            raise TransferError(self._party.device, f"{self._left} messages could not be taken, and are asked for again") from error

    def _hand_on(self, arrived: Arrived) -> None:
        hearer = self._hearers.get(arrived.topic)
        if hearer is None:
            raise WireError(f"topic {arrived.topic[:80]!r}", "nothing is expected on it")
        if len(arrived.payload) > MAX_MESSAGE_BYTES:
            raise WireError(arrived.topic, f"a message has {len(arrived.payload)} bytes, and {MAX_MESSAGE_BYTES} is the most")
        hearer(arrived.payload)

    def _take_stored(self, payload: bytes) -> None:
        """Forget what the server has, and stop saying what it knows."""
        stored = Stored.decode(payload, "stored")
        now_s = time.monotonic()
        if stored.inventory == digest_bytes(self._inventory_bytes):
            self._inventory.answered(now_s)
        if self._said is not None and stored.epoch == self._said[0] and stored.status_revision >= self._said[1]:
            self._status.answered(now_s)
        try:
            self._party.outbox.acknowledge(stored.epoch, stored.up_to)
            self._window.stored(stored.epoch, stored.up_to)
        except DeviceError as error:
            # What is not forgotten now is sent once more, and answered once more.
            self._tell_outbox(error)
