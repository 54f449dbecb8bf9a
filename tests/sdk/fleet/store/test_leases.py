"""Leases: one holder at a time, a fence that only grows, and fair shares."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgekit.fleet.store.database import Store
from edgekit.fleet.store.leases import Lease, LeaseLost, acquire_lease, check_lease, hold_share, leave, list_leases, release_lease, renew_lease

Run = Callable[..., Any]
NAMES = [f"ingest-{number}" for number in range(8)]


def test_one_holder_at_a_time(write: Run) -> None:
    """Whoever asks while it is held gets nothing, and after its end gets it with the next fence."""
    first = write(acquire_lease, "a", "one", 0, 100)
    assert write(acquire_lease, "a", "two", 99, 100) is None
    second = write(acquire_lease, "a", "two", 100, 100)
    assert (first.fence, second) == (1, Lease("a", "two", 2, 200))


def test_who_lost_it_can_do_nothing_with_it(write: Run) -> None:
    """Checking and renewing raise, and giving it back leaves it to its new holder."""
    old = write(acquire_lease, "a", "one", 0, 100)
    new = write(acquire_lease, "a", "two", 100, 100)
    for refused in (lambda connection: check_lease(connection, old), lambda connection: renew_lease(connection, old, 100, 100)):
        with pytest.raises(LeaseLost, match=r"one \(fence 1\) no longer holds it"):
            write(refused)
    write(release_lease, old)
    write(check_lease, new)


def test_it_counts_until_another_took_it(write: Run) -> None:
    """A lease that has run out and that nobody took is still good: the fence decides, and no clock."""
    lease = write(acquire_lease, "a", "one", 0, 100)
    write(check_lease, lease)
    assert write(renew_lease, lease, 5_000, 100) == lease._replace(expires_ms=5_100)


def test_a_fence_is_never_given_out_twice(write: Run) -> None:
    """Given back and taken again, by anybody, it has a higher fence."""
    fences = []
    for owner in ("one", "one", "two", "one"):
        lease = write(acquire_lease, "a", owner, 0, 100)
        fences.append(lease.fence)
        write(release_lease, lease)
        with pytest.raises(LeaseLost):
            write(check_lease, lease)
    assert fences == [1, 2, 3, 4]


def test_a_clock_that_was_set_back_blocks_nobody(write: Run) -> None:
    """A lease that would last longer than any can is free, and its old holder's fence is worth nothing."""
    old = write(acquire_lease, "a", "one", 10**12, 100)
    assert write(acquire_lease, "a", "two", 0, 100).fence == old.fence + 1


def hold(write: Run, owner: str, held: list[Lease], now_ms: int) -> tuple[list[Lease], list[Lease]]:
    share = write(hold_share, NAMES, held, owner, (now_ms, 100))
    return share.held, share.surplus


def test_a_worker_alone_holds_everything(write: Run) -> None:
    """It takes all at once, and renews what it has without a new fence."""
    held, surplus = hold(write, "one", [], 0)
    assert ([lease.name for lease in held], surplus) == (NAMES, [])
    again, _ = hold(write, "one", held, 50)
    assert [lease.fence for lease in again] == [1] * 8
    assert {lease.expires_ms for lease in again} == {150}


def test_a_second_worker_gets_its_half(write: Run) -> None:
    """The first is told what it has too much of, gives it back, and the second takes it."""
    first, _ = hold(write, "one", [], 0)
    second, _ = hold(write, "two", [], 0)
    assert second == []
    first, surplus = hold(write, "one", first, 10)
    for lease in surplus:
        write(release_lease, lease)
    second, _ = hold(write, "two", second, 20)
    assert (len(first), len(second)) == (4, 4)
    assert {lease.name for lease in first + second} == set(NAMES)


def test_the_shares_of_a_dead_worker_are_taken_over(write: Run) -> None:
    """Once its leases have run out the other has all of them, and the dead one's are lost."""
    first, _ = hold(write, "one", [], 0)
    hold(write, "two", [], 0)
    second, _ = hold(write, "two", [], 101)
    assert len(second) == 8
    with pytest.raises(LeaseLost):
        write(check_lease, first[0])
    assert hold(write, "one", first, 110)[0] == []


def test_who_leaves_makes_room_at_once(write: Run) -> None:
    """After leaving, the other's share is everything, and it need not wait for any lease to end."""
    first, _ = hold(write, "one", [], 0)
    hold(write, "two", [], 0)
    write(leave, first, "one")
    assert len(hold(write, "two", [], 1)[0]) == 8


def test_rows_of_workers_long_dead_go(write: Run, read: Run) -> None:
    """Each start has an owner of its own, so their rows would pile up."""
    for number in range(5):
        hold(write, f"worker-{number}", [], number * 10_000)
    assert sum(lease.name.startswith("worker-") for lease in read(list_leases)) == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 120), st.booleans()), max_size=30))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_lease_has_two_holders(store: Store, steps: list[tuple[str, int, bool]]) -> None:
    """However workers come, stall and go, of those who think that they hold a lease at most one passes the check."""
    now_ms, thought = store.submit_read(lambda c: max([0, *(one.expires_ms for one in list_leases(c))])).result(), {name: [] for name in "abc"}
    for owner, passed, gives_back in steps:
        now_ms += passed
        share = store.submit_write(hold_share, NAMES, thought[owner], owner, (now_ms, 100)).result()
        thought[owner] = share.held
        for lease in share.surplus if gives_back else []:
            store.submit_write(release_lease, lease).result()
        passing = [lease.name for held in thought.values() for lease in held if _passes(store, lease)]
        assert len(passing) == len(set(passing))


def _passes(store: Store, lease: Lease) -> bool:
    try:
        store.submit_read(check_lease, lease).result()
    except LeaseLost:
        return False
    return True
