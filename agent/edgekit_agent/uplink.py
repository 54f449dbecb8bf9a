"""Keeps this device connected to its fleet's broker, for years: that the broker is away, for days too, is nothing special."""

import logging
import random
import threading
import time

from edgekit.errors import TransferError
from edgekit.status import DeviceStatus
from edgekit.topics import filter_down, name_up
from edgekit_agent.broker_link import BrokerLink, Connected, Protocol, Session
from edgekit_agent.config import FleetSettings
from edgekit_agent.conversation import Complaints, Conversation, Party
from edgekit_agent.pacing import Patience
from edgekit_agent.waking import Waker

log = logging.getLogger(__name__)

#: The longest wait on a connection: its signs of life are looked after in between.
TICK_S = 15.0
#: Seconds that a broker has to accept a connection, and that are spent on what is still unsent when the agent stops.
ACCEPT_S, FAREWELL_S = 10.0, 2.0


class Uplink:
    """Speaks for *party* through the broker of *fleet*. One thread runs it."""

    def __init__(self, fleet: FleetSettings, party: Party, patience: Patience | None = None) -> None:
        self._fleet = fleet
        self._party = party
        self._patience = patience or Patience()
        self._complaints = Complaints(party.journal)
        self._protocol: Protocol = "3.1.1" if fleet.mqtt == "3.1.1" else "5"
        self._waker = Waker()
        self._connected_s: float | None = None
        self._is_absence_told = False

    def notify(self) -> None:
        """There is something new to say, or to stop for. It may be called by any thread."""
        self._waker.wake()

    def run(self, stop: threading.Event) -> None:
        """Connect, and connect again, until *stop* is set and notify() called."""
        failures = 0
        with self._waker:
            while not stop.is_set():
                self._connected_s = None
                self._connect(stop)
                failures = 1 if self._was_steady() else failures + 1
                self._pause(stop, self._patience.find_connect_s(failures, random.random()))  # noqa: S311 - spreads devices, guards nothing

    def _was_steady(self) -> bool:
        return self._connected_s is not None and time.monotonic() - self._connected_s >= self._patience.steady_s

    def _pause(self, stop: threading.Event, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while not stop.is_set() and (left_s := until_s - time.monotonic()) > 0:
            self._waker.wait(left_s)
            self._waker.clear()

    def _connect(self, stop: threading.Event) -> None:
        """One connection, from its beginning to its end."""
        try:
            with BrokerLink(self._make_session(), self._waker.fileno) as link:
                conversation = Conversation(link, self._party, self._patience, self._complaints)
                self._begin(conversation, link)
                self._talk(conversation, link, stop)
        except TransferError as error:
            self._tell_absence(error)
        except Exception:
            # What is held is on the disk, and the next connection may be a better one.
            log.exception("the uplink failed; it connects again")

    def _make_session(self) -> Session:
        device, shards = self._party.device, self._party.shards
        return Session(
            address=self._fleet.address,
            client_id=device,
            subscription=filter_down(device, shards),
            will_topic=name_up(device, "status", shards),
            will=DeviceStatus(device=device, online=False, epoch=self._party.describe().epoch).encode(),
            protocol=self._protocol,
        )

    def _tell_absence(self, error: TransferError) -> None:
        if not self._is_absence_told:
            self._is_absence_told = True
            log.warning("%s What is measured is kept, and it is tried again.", error)

    def _begin(self, conversation: Conversation, link: BrokerLink) -> None:
        """Wait for the broker's word; where it has none, the next connection tries another version of the protocol, if it may."""
        try:
            self._wait_until_accepted(conversation, link)
        except TransferError:
            if self._fleet.mqtt == "auto":
                self._protocol = "3.1.1" if self._protocol == "5" else "5"
            raise
        self._connected_s, self._is_absence_told = time.monotonic(), False
        log.info("connected to %s by MQTT %s", self._fleet.address, self._protocol)

    def _wait_until_accepted(self, conversation: Conversation, link: BrokerLink) -> None:
        until_s = time.monotonic() + ACCEPT_S
        while (left_s := until_s - time.monotonic()) > 0:
            happened = link.exchange(left_s)
            for happening in happened:
                # What the broker kept for this device may come before its word on the subscription.
                conversation.handle(happening)
            if any(isinstance(happening, Connected) for happening in happened):
                return
            self._waker.clear()
        raise TransferError(str(self._fleet.address), f"the broker did not answer in {ACCEPT_S:g} s")

    def _talk(self, conversation: Conversation, link: BrokerLink, stop: threading.Event) -> None:
        conversation.say_due()
        while not stop.is_set():
            self._turn(conversation, link, TICK_S)
        leave_s = time.monotonic() + FAREWELL_S
        while conversation.owes and (left_s := leave_s - time.monotonic()) > 0:
            self._turn(conversation, link, left_s)

    def _turn(self, conversation: Conversation, link: BrokerLink, longest_s: float) -> None:
        wait_s = min(longest_s, max(0.0, conversation.due_s - time.monotonic()))
        for happening in link.exchange(wait_s):
            conversation.handle(happening)
        # Cleared before what is new is looked at, so that whoever wakes meanwhile is heard in the next turn.
        self._waker.clear()
        conversation.say_due()
