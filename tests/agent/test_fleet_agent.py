"""The agent of a fleet as a process: it reports what it serves to a real broker, and is missed when it dies."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgekit.status import DeviceInventory
from edgekit.telemetry import Event, Interval


class Process:
    """``edgekit-agent run`` on a state directory of its own."""

    def __init__(self, root: Path, broker: str, fleet: object) -> None:
        self._log = root / "agent.log"
        self._config = root / "agent.toml"
        self._config.write_text(
            f"""
state = "{root / "state"}"
[api]
http = "127.0.0.1:0"
[releases]
from = "{fleet.repository}"
trust_root = "{fleet.repository / "metadata" / "1.root.json"}"
[device]
id = "roof-1"
labels = {{ site = "roof" }}
runtimes = ["onnxruntime"]
[fleet]
broker = "{broker}"
[telemetry]
interval_s = 0.1
"""
        )

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "edgekit_agent", "run", "--config", str(self._config), "--json"]
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        line = self._process.stdout.readline()
        assert line, self._log.read_text()
        self.address = json.loads(line)["address"]

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(20)
        self._process.stdout.close()

    def stop(self) -> None:
        self._process.terminate()
        assert self._process.wait(20) == 0, self._log.read_text()
        self._process.stdout.close()

    def infer(self, count: int) -> None:
        """Ask *count* times for the class of an empty image."""
        tensor = {"name": "image", "shape": [1, 1, 8, 8], "datatype": "FP32", "data": [0.0] * 64}
        data = json.dumps({"inputs": [tensor]}).encode()
        for _ in range(count):
            with urllib.request.urlopen(f"{self.address}/v2/models/digits/infer", data, 20) as answer:
                assert answer.status == 200


@pytest.fixture
def process(tmp_path: Path, broker, fleet) -> Iterator[Process]:
    made = Process(tmp_path, broker.address, fleet)
    yield made
    if made._process.poll() is None:
        made.kill()


def is_online(server) -> bool:
    return bool(server.statuses) and server.statuses[-1].online


def is_serving(release: str) -> Callable[[object], bool]:
    return lambda server: is_online(server) and any(model.release == release for model in server.statuses[-1].models)


def count_requests(server) -> int:
    return sum(record.requests for record in server.records if isinstance(record, Interval))


def test_a_device_becomes_known_obeys_and_reports(process, server, fleet):
    """It says what it is, installs what the director signs, and each request to it is in the telemetry, also across a stop."""
    fleet.publish("1.0.0")
    process.start()
    server.wait(lambda one: is_online(one) and one.inventory is not None)
    inventory = DeviceInventory.decode(server.inventory)
    assert (inventory.labels, inventory.simulated, [one.name for one in inventory.runtimes]) == ({"site": "roof"}, False, ["onnxruntime"])
    server.tell("deployment", fleet.order(1, "1.0.0", "first"))
    server.wait(is_serving("digits@1.0.0"))
    process.infer(30)
    server.wait(lambda one: count_requests(one) == 30)
    process.infer(7)
    process.stop()
    server.wait(lambda one: count_requests(one) == 37)
    (book,) = server.books.values()
    assert (book.made, book.stored, book.lost) == (book.up_to, book.up_to, 0)
    intervals = [record for record in server.records if isinstance(record, Interval) and record.requests]
    assert {(one.release, one.runtime, one.variant) for one in intervals} == {("digits@1.0.0", "onnxruntime", "onnx-fp32")}
    assert all(one.latency_ms.count == one.requests for one in intervals)
    assert intervals[0].input_mean == 0.0


def test_a_device_that_dies_is_missed_and_comes_back(process, server):
    """After kill -9 the broker says in its place that it is gone, and its next start is another epoch that loses nothing."""
    process.start()
    server.wait(lambda one: is_online(one) and one.books)
    process.kill()
    server.wait(lambda one: not one.statuses[-1].online)
    process.start()
    server.wait(lambda one: is_online(one) and len(one.books) == 2)
    assert [record.kind for record in server.records if isinstance(record, Event)].count("started") == 2
    assert all(book.made == book.stored for book in server.books.values())
