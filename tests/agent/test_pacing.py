"""When something is sent, and sent again, follows from the time and from what was answered."""

import math

import pytest

from edgekit.telemetry import Batch, Event
from edgekit_agent.outbox import START, Position, Reading
from edgekit_agent.pacing import Patience, Repeated, Window

PATIENCE = Patience()
EPOCH = "0123456789abcdef"


def reading(last: int, epoch: str = EPOCH, number: int = 1) -> Reading:
    record = Event(sequence=last, at_ms=1, kind="k")
    return Reading(Batch(epoch=epoch, first_held=last, made=last, records=(record,)), Position(number, last))


def test_attempts_to_connect_become_rare():
    """From one second up to a minute, and spread over half of each wait so that a fleet does not come back as one."""
    assert [PATIENCE.find_connect_s(failures, 1.0) for failures in (1, 2, 3, 7, 1_000_000)] == [1.0, 2.0, 4.0, 60.0, 60.0]
    assert PATIENCE.find_connect_s(3, 0.0) == 2.0


def test_answers_are_waited_for_ever_longer():
    """From half a minute up to ten minutes."""
    assert [PATIENCE.find_answer_s(repetitions) for repetitions in (0, 1, 4, 5, 1_000_000)] == [30.0, 60.0, 480.0, 600.0, 600.0]


def test_what_is_new_is_due_at_once():
    """Whatever the clock says."""
    assert Repeated(PATIENCE).due_s == -math.inf


def test_the_wait_for_an_answer_begins_when_the_broker_has_it():
    """What is still on its way over a slow line is not sent again behind itself."""
    repeated = Repeated(PATIENCE)
    repeated.sent(7)
    assert repeated.due_s == math.inf
    repeated.passed(6, 90.0)
    assert repeated.due_s == math.inf
    repeated.passed(7, 100.0)
    assert repeated.due_s == 130.0


def test_without_an_answer_it_is_said_again_and_again():
    """Each time after a longer wait, until it is answered."""
    repeated = Repeated(PATIENCE, every_s=3600.0)
    waits = []
    for message in range(3):
        repeated.sent(message)
        repeated.passed(message, 0.0)
        waits.append(repeated.due_s)
    assert waits == [30.0, 60.0, 120.0]
    repeated.answered(200.0)
    assert repeated.due_s == 3800.0
    repeated.say_now()
    repeated.sent(9)
    repeated.passed(9, 0.0)
    assert repeated.due_s == 30.0


def test_a_change_while_it_is_on_its_way_is_due():
    """A word that is out of date when the broker takes it is not waited for."""
    repeated = Repeated(PATIENCE)
    repeated.sent(1)
    repeated.say_now()
    repeated.passed(1, 5.0)
    assert repeated.due_s == -math.inf


def test_a_window_is_bounded():
    """No more than four batches are on their way, whether the broker has them or not, until the server has stored one."""
    window = Window(PATIENCE)
    for number in range(1, 5):
        assert window.has_room
        window.sent(reading(number), number)
        window.passed(number, 10.0)
    assert not window.has_room
    window.stored(EPOCH, 1)
    assert window.has_room
    assert window.position == Position(1, 4)


@pytest.mark.parametrize(("epoch", "up_to", "has_room"), [(EPOCH, 4, True), (EPOCH, 0, False), ("f" * 16, 9, False)])
def test_only_what_was_sent_is_answered(epoch, up_to, has_room):
    """An answer for another epoch, or for less than was sent, makes no room."""
    window = Window(PATIENCE, size=1)
    window.sent(reading(3), 1)
    window.stored(epoch, up_to)
    assert window.has_room is has_room


def test_what_is_not_stored_in_time_is_sent_again_from_the_beginning():
    """The oldest batch that the broker has decides, and each repetition has more patience than the last."""
    window = Window(PATIENCE)
    window.sent(reading(1), 1)
    window.sent(reading(2), 2)
    assert window.due_s == math.inf
    window.passed(2, 12.0)
    window.passed(1, 10.0)
    assert window.due_s == 40.0
    window.repeat()
    assert (window.position, window.due_s, window.has_room) == (START, math.inf, True)
    window.sent(reading(2), 3)
    window.passed(3, 100.0)
    assert window.due_s == 160.0
    window.stored(EPOCH, 2)
    window.sent(reading(3), 4)
    window.passed(4, 200.0)
    assert window.due_s == 230.0
