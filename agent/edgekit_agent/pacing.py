"""When the uplink sends, and when it sends again: no socket and no clock in here, the time is an argument, in seconds.

The broker's PUBACK only paces: it says that a message has left this device. That it arrived is said by the server, and what it
does not say in time is sent again.
"""

import math
from dataclasses import dataclass, field

from edgekit_agent.outbox import START, Position, Reading


@dataclass(frozen=True)
class Patience:
    """How long the uplink waits, in seconds.

    *answer_s* is for the server's answer, doubled at each repetition up to *longest_s*; between two attempts to connect it is
    *connect_s*, doubled up to *absent_s*. A connection that lasted *steady_s* is a good one. The status is repeated every *heartbeat_s*
    also where nothing has changed, since a device that is not heard of for a day is taken for absent.
    """

    answer_s: float = 30.0
    longest_s: float = 600.0
    connect_s: float = 1.0
    absent_s: float = 60.0
    steady_s: float = 10.0
    heartbeat_s: float = 3600.0

    def find_answer_s(self, repetitions: int) -> float:
        """How long to wait for an answer after so many *repetitions*."""
        return min(self.longest_s, self.answer_s * 2.0 ** min(repetitions, 30))

    def find_connect_s(self, failures: int, share: float) -> float:
        """How long to wait after so many *failures* in a row; *share*, from 0 to 1, spreads the devices of a fleet over half of it."""
        return min(self.absent_s, self.connect_s * 2.0 ** min(failures - 1, 30)) * (1 + share) / 2


class Repeated:
    """Something that is said until the server has answered, and then again every *every_s*."""

    def __init__(self, patience: Patience, every_s: float = math.inf) -> None:
        self._patience = patience
        self._every_s = every_s
        self._repetitions = 0
        self._message: int | None = None
        self.due_s = -math.inf

    def say_now(self) -> None:
        """It has changed."""
        self._repetitions, self._message, self.due_s = 0, None, -math.inf

    def sent(self, message: int) -> None:
        """It is on its way as the message with that id."""
        self._message, self.due_s = message, math.inf

    def passed(self, message: int, now_s: float) -> None:
        """The broker has *message*; where it is this one, an answer should come."""
        if message == self._message:
            self._message, self.due_s = None, now_s + self._patience.find_answer_s(self._repetitions)
            self._repetitions += 1

    def answered(self, now_s: float) -> None:
        """The server knows it."""
        self._repetitions, self._message, self.due_s = 0, None, now_s + self._every_s


@dataclass
class _Sent:
    """A batch on its way: the message's id, and the epoch and number up to which it goes."""

    message: int
    epoch: str
    up_to: int
    passed_s: float | None = None


@dataclass
class Window:
    """The batches that are on their way, *size* at most, so that a server that is away is not met by all of the outbox at once."""

    patience: Patience
    size: int = 4
    position: Position = START
    _sent: list[_Sent] = field(default_factory=list)
    _repetitions: int = 0

    @property
    def has_room(self) -> bool:
        """Whether another batch may be sent, read from the outbox behind *position*."""
        return len(self._sent) < self.size

    @property
    def due_s(self) -> float:
        """When what is on its way is to be sent again."""
        passed = [one.passed_s for one in self._sent if one.passed_s is not None]
        return min(passed, default=math.inf) + self.patience.find_answer_s(self._repetitions)

    def sent(self, reading: Reading, message: int) -> None:
        """The batch of *reading* is on its way."""
        self._sent.append(_Sent(message, reading.batch.epoch, reading.position.sequence))
        self.position = reading.position

    def passed(self, message: int, now_s: float) -> None:
        """The broker has *message*."""
        for one in self._sent:
            if one.message == message:
                one.passed_s = now_s

    def stored(self, epoch: str, up_to: int) -> None:
        """The server has everything of *epoch* up to that number."""
        waiting = [one for one in self._sent if one.epoch != epoch or one.up_to > up_to]
        if len(waiting) < len(self._sent):
            self._sent, self._repetitions = waiting, 0

    def repeat(self) -> None:
        """The answer did not come in time: begin again with the oldest record."""
        self._repetitions += 1
        self._sent, self.position = [], START
