"""Live models answer one request at a time, and are swapped without a request noticing."""

import threading
import time

import numpy as np
import pytest

from edgekit.errors import DeviceError
from edgekit_agent.serving import Busy, Serving, UnknownModel

ONE = {"x": np.ones(1, np.float32)}


class Blocking:
    """A model's function that waits until it is let go, and says when it began."""

    def __init__(self) -> None:
        self.began, self.let_go = threading.Event(), threading.Event()
        self.at_once = self.most_at_once = 0

    def __call__(self, inputs):
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.began.set()
        assert self.let_go.wait(10)
        self.at_once -= 1
        return [inputs[0]]


def ask(serving: Serving) -> float:
    with serving.leasing("adder") as model:
        return float(model.infer(ONE).outputs["y"][0])


def test_a_model_is_found_by_name_and_version(make_live):
    """Without a version the live one answers; with one, only that one."""
    with Serving() as serving:
        serving.swap(make_live())
        assert serving.find_model("adder").version == "1.0.0"
        assert serving.find_model("adder", "1.0.0").variant == "memory-fp32"
        with pytest.raises(UnknownModel, match=r"2.0.0.*Known here: 1.0.0"):
            serving.find_model("adder", "2.0.0")
        with pytest.raises(UnknownModel, match=r"other.*Known here: adder"):
            serving.find_model("other")


def test_readiness_waits_for_every_expected_model(make_live):
    """A device is ready when all that it should serve is live, and an expected model is busy until then."""
    with Serving({"adder", "other"}) as serving:
        assert not serving.is_ready
        serving.swap(make_live())
        assert not serving.is_ready
        with pytest.raises(Busy, match="not loaded yet"):
            serving.find_model("other")
        serving.swap(make_live(name="other"))
        assert serving.is_ready
        assert [info.name for info in serving.list_models()] == ["adder", "other"]


def test_a_device_that_serves_nothing_is_not_ready():
    """Nothing expected and nothing live is not readiness."""
    with Serving() as serving:
        assert not serving.is_ready


def test_a_request_is_never_lost_in_a_swap(make_live):
    """While four threads ask without pause and the model is swapped fifty times, every answer comes, and is the old or the new one's."""
    stop, failures, answers = threading.Event(), [], []

    def hammer() -> None:
        while not stop.is_set():
            try:
                answers.append(ask(serving))
            except Exception as error:  # noqa: BLE001 - whichever it is, there should be none
                failures.append(error)

    with Serving() as serving:
        serving.swap(make_live(0))
        threads = [threading.Thread(target=hammer) for _ in range(4)]
        for thread in threads:
            thread.start()
        for addend in range(1, 51):
            serving.swap(make_live(addend))
        assert ask(serving) == 51.0
        stop.set()
        for thread in threads:
            thread.join(10)
    assert failures == []
    assert set(answers) <= set(range(1, 52))


def test_the_old_model_is_closed_after_its_last_request(make_live):
    """A swap returns only when the request under way has its answer from the old model; new requests go to the new one meanwhile."""
    slow = Blocking()
    with Serving() as serving:
        old = make_live(function=slow)
        serving.swap(old)
        got: list[float] = []
        asking = threading.Thread(target=lambda: got.append(ask(serving)))
        asking.start()
        assert slow.began.wait(10)
        swapping = threading.Thread(target=lambda: serving.swap(make_live(5, version="2.0.0")))
        swapping.start()
        deadline = time.monotonic() + 10
        while serving.find_model("adder").version != "2.0.0":
            assert time.monotonic() < deadline
        assert ask(serving) == 6.0
        assert swapping.is_alive()
        assert got == []
        slow.let_go.set()
        asking.join(10)
        swapping.join(10)
        assert got == [1.0]
        with pytest.raises(DeviceError, match="closed"):
            old.infer(ONE)


def test_too_many_waiting_requests_are_turned_away(make_live):
    """One runs and two wait; the next is told to come again."""
    slow = Blocking()
    with Serving() as serving:
        serving.swap(make_live(function=slow, queue=2))
        threads = [threading.Thread(target=ask, args=(serving,)) for _ in range(3)]
        leases = [serving.leasing("adder") for _ in range(2)]
        threads[0].start()
        assert slow.began.wait(10)
        for lease in leases:
            lease.__enter__()
        with pytest.raises(Busy, match=r"3 requests are waiting.*Try again"), serving.leasing("adder"):
            pass
        for lease in leases:
            lease.__exit__(None, None, None)
        slow.let_go.set()
        threads[0].join(10)
        assert ask(serving) == 1.0


def test_one_request_runs_at_a_time(make_live):
    """Not every runtime's session may be run by two threads."""
    slow = Blocking()
    slow.let_go.set()
    with Serving() as serving:
        serving.swap(make_live(function=slow))
        threads = [threading.Thread(target=ask, args=(serving,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert slow.most_at_once == 1


def test_a_hung_request_keeps_the_memory_and_is_told(make_live, caplog):
    """A session is not closed under a request that never ends: that would take the process with it."""
    slow = Blocking()
    live = make_live(function=slow)
    live.admit()
    thread = threading.Thread(target=live.infer, args=(ONE,))
    thread.start()
    assert slow.began.wait(10)
    live.retire(timeout=0.01)
    assert "did not end" in caplog.text
    slow.let_go.set()
    thread.join(10)
    assert live.infer(ONE)["y"][0] == 1.0


def test_leaving_closes_every_model(make_live):
    """When serving ends, the memory is given back."""
    live = make_live()
    with Serving() as serving:
        serving.swap(live)
    with pytest.raises(DeviceError, match="closed"):
        live.infer(ONE)
