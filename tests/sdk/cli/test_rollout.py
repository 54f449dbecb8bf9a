"""``edgekit rollout`` as a person types it, against a whole server, with devices that speak to its broker."""

import json
import re
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from click.testing import CliRunner, Result
from securesystemslib.signer import Key

from edgekit.cli.rollout import rollout
from edgekit.deployment import Deployment, State
from edgekit.desired import DesiredModel, verify_desired
from edgekit.errors import GateRefused, InputError, TransferError
from edgekit.fleet.client import FleetClient
from edgekit.fleet.director import load_director
from edgekit.fleet.founding import found_fleet
from edgekit.fleet.mosquitto import find_installed
from edgekit.fleet.settings import FleetDirectory, FleetSettings, Running
from edgekit.releases.publishing import publish_release
from edgekit.signing import new_keys
from edgekit.status import DeviceInventory, DeviceStatus, ModelStatus
from edgekit.targets import Hardware
from edgekit.topics import filter_down, name_up

pytestmark = pytest.mark.skipif(find_installed() is None, reason="Mosquitto is not installed: apt-get install mosquitto")

SHARDS = 2
#: Releases that no device here takes.
BAD = ("digits@1.2.0",)
#: Releases that no device here ever ends with, until the test says so.
SLOW = ("digits@1.4.0",)


class Device:
    """A device that obeys at once: what it is told it has, but for releases that are bad, which it refuses."""

    def __init__(self, name: str, running: Running, keys: list[Key]) -> None:
        self.name, self.keys = name, keys
        self.epoch, self.revision, self.counter = secrets.token_hex(8), 0, 0
        self.models: dict[str, ModelStatus] = {}
        self.known = threading.Event()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv311, clean_session=False)
        self.client.on_connect = self._on_connect
        self.client.on_message = self._on_message
        host, _, port = running.mqtt.removeprefix("mqtt://").rpartition(":")
        self.client.connect(host, int(port))
        self.client.loop_start()

    def introduce(self) -> None:
        """Say who it is until the server has said that it knows."""
        deadline = time.monotonic() + 20
        while not self.known.wait(0.2):
            assert time.monotonic() < deadline
            self._report()

    def stop(self) -> None:
        gone = threading.Event()
        self.client.on_disconnect = lambda *_: gone.set()
        self.client.disconnect()
        # A loop that is stopped before would leave its socket open.
        assert gone.wait(10)
        self.client.loop_stop()

    def _on_connect(self, *_: Any) -> None:
        self.client.subscribe(filter_down(self.name, SHARDS), qos=1)
        self._report()

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        if message.topic.endswith("/stored"):
            self.known.set()
            return
        desired = verify_desired(message.payload, self.keys, self.name, self.counter, None)
        self.counter = desired.counter
        for model in desired.models:
            self.models[model.model] = self._obey(model)
        self._report()

    def _obey(self, wanted: DesiredModel) -> ModelStatus:
        has = self.models.get(wanted.model, ModelStatus(model=wanted.model))
        about = {"id": wanted.deployment, "model": wanted.model, "release": wanted.release or "", "digest": wanted.digest, "counter": self.counter}
        if wanted.release in BAD or wanted.release in SLOW:
            state = State.FAILED if wanted.release in BAD else State.TRIAL
            told = Deployment(**about, state=state, reason="its answers to the golden samples are wrong")
            return ModelStatus(model=wanted.model, release=has.release, digest=has.digest, deployment=told)
        return ModelStatus(model=wanted.model, release=wanted.release, digest=wanted.digest, deployment=Deployment(**about, state=State.COMMITTED))

    def _report(self) -> None:
        inventory = DeviceInventory(device=self.name, hardware=Hardware(machine="a test's", arch="x86_64"), target="x86-64")
        self.client.publish(name_up(self.name, "inventory", SHARDS), inventory.encode(), qos=1)
        self.revision += 1
        status = DeviceStatus(device=self.name, epoch=self.epoch, revision=self.revision, counter=self.counter, models=tuple(self.models.values()))
        self.client.publish(name_up(self.name, "status", SHARDS), status.encode(), qos=1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> FleetDirectory:
    root = tmp_path_factory.mktemp("rollouts")
    new_keys(root / "keys")
    directory = FleetDirectory(root=root / "fleet")
    found_fleet(directory, FleetSettings(releases=str(root / "releases"), shards=SHARDS), root / "keys", datetime.now(timezone.utc))
    return directory


@pytest.fixture(scope="module")
def running(place: FleetDirectory) -> Iterator[Running]:
    """``edgekit fleet up`` in a process of its own."""
    command = [sys.executable, "-m", "edgekit", "fleet", "up", str(place.root), "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--json"]
    with open(place.root / "server.log", "w+") as log:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            assert line, (place.root / "server.log").read_text()
            yield Running.decode(line)
        finally:
            server.terminate()
            assert server.wait(20) == 0
            server.stdout.close()


@pytest.fixture
def devices(place: FleetDirectory, running: Running) -> Iterator[dict[str, Device]]:
    """Two devices that the server knows."""
    keys = [load_director(place.root).public_key]
    found = {name: Device(name, running, keys) for name in ("roof-1", "roof-2")}
    try:
        for device in found.values():
            device.introduce()
        yield found
    finally:
        for device in found.values():
            device.stop()


@pytest.fixture
def publish(place: FleetDirectory, make_small_bundle: Callable[..., Any]) -> Callable[[str], None]:
    def publish(version: str) -> None:
        bundle = make_small_bundle(version.encode())
        publish_release(bundle, version, place.root.parent / "releases", place.root.parent / "keys", datetime.now(timezone.utc))

    return publish


@pytest.fixture
def say(running: Running, devices: dict[str, Device]) -> Callable[..., Result]:
    """Runs ``edgekit rollout`` with arguments, on the fleet."""

    def say(*argv: str, **options: Any) -> Result:
        return CliRunner().invoke(rollout, argv, env={"EDGEKIT_FLEET": running.http}, **options)

    return say


def find_id(text: str) -> str:
    found = re.search(r"digits-\d+-\d+-\d+-[0-9a-f]{6}", text)
    assert found, text
    return found[0]


def test_a_good_release_is_watched_to_its_end(say: Callable[..., Result], publish: Callable[[str], None], devices: dict[str, Device]) -> None:
    """Started and watched, each step is a line, all devices have it in the end, and the exit code is 0."""
    publish("1.1.0")
    done = say("start", "digits@1.1.0", "--phases", "1,100%", "--yes", "--watch")
    assert done.exit_code == 0, done.output
    assert {device.models["digits"].release for device in devices.values()} == {"digits@1.1.0"}
    assert all(f"{name}: committed" in done.stdout for name in devices)
    assert done.stdout.splitlines()[-1].endswith("finished, 2 committed it")


def test_a_bad_release_aborts_and_says_so(say: Callable[..., Result], publish: Callable[[str], None], devices: dict[str, Device]) -> None:
    """Watched, it ends with the canary's own reason as a refusal (exit code 3), and the other device never heard of it."""
    publish("1.2.0")
    before = sum(device.counter for device in devices.values())
    done = say("start", "digits@1.2.0", "--phases", "1,100%", "--select", "class=x86-64", "--watch")
    assert isinstance(done.exception, GateRefused)
    assert "golden samples are wrong" in str(done.exception)
    assert "aborted" in done.stdout.splitlines()[-1]
    assert sum(device.counter for device in devices.values()) > before
    listed = json.loads(say("status", "--json").stdout)
    assert listed[0]["state"] == "aborted"


def test_everybody_must_be_meant(say: Callable[..., Result], publish: Callable[[str], None]) -> None:
    """Without a selection, and with nobody to ask, nothing is started and the message says how."""
    publish("1.3.0")
    done = say("start", "digits@1.3.0")
    assert done.exit_code == 2
    assert "goes to every device of the fleet, 2 in all. Say --yes" in done.stderr
    assert "1.3.0" not in say("status").stdout


def test_a_plan_shows_phases_and_downloads(say: Callable[..., Result], publish: Callable[[str], None]) -> None:
    """For people a table, for programs the record."""
    publish("1.3.0")
    done = say("plan", "digits@1.3.0", "--phases", "1,100%")
    assert re.search(r"^ *1 +1 +1 +roof-\d", done.stdout, re.MULTILINE), done.stdout
    assert "onnx-fp32" in done.stdout
    planned = json.loads(say("plan", "digits@1.3.0", "--phases", "1,100%", "--json").stdout)
    assert [len(phase["devices"]) for phase in planned["phases"]] == [1, 1]


def test_pause_resume_abort_and_rollback(say: Callable[..., Result], publish: Callable[[str], None], devices: dict[str, Device]) -> None:
    """Each order answers with the rollout as it is then; one that has no place is refused; a second rollout at once too."""
    publish("1.4.0")
    slow = find_id(say("start", "digits@1.4.0", "--phases", "1,100%", "--select", "device=roof-1").stdout)
    assert f"{slow} (digits@1.4.0): paused" in say("pause", slow).stdout
    assert "waits" in say("explain", "roof-1").stdout or "digits@1.4.0" in say("explain", "roof-1").stdout
    publish("1.5.0")
    second = say("start", "digits@1.5.0", "--select", "device=roof-1")
    assert isinstance(second.exception, InputError)
    assert slow in str(second.exception)
    assert f"{slow} (digits@1.4.0): running" in say("resume", slow).stdout
    assert f"{slow} (digits@1.4.0): aborted" in say("abort", slow).stdout
    refused = say("rollback", slow)
    assert isinstance(refused.exception, InputError)
    done = say("start", "digits@1.5.0", "--phases", "100%", "--select", "device=roof-1", "--watch", "--json")
    ended = [json.loads(line) for line in done.stdout.splitlines()][-1]["rollout"]
    assert ended["state"] == "finished"
    assert "rolled back" in say("rollback", ended["id"]).stdout
    deadline = time.monotonic() + 10
    while devices["roof-1"].models["digits"].release == "digits@1.5.0":
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("start", "digits@1.1.0", "--phases", "0", "--yes"), "'0' is no phase"),
        (("start", "digits@9.9.9", "--yes"), "there is no such release"),
        (("start", "digits", "--yes"), "does not name a release"),
        (("start", "digits@1.1.0", "--select", "class=toaster"), "there is no device in it"),
        (("start", "digits@1.1.0", "--select", "roof"), "is no condition"),
        (("watch", "nosuch"), "there is no such rollout"),
        (("watch", "../devices"), "an id has"),
        (("explain", "nosuch"), "there is no such device"),
        (("pause", "no/such"), "an id has"),
    ],
)
def test_wrong_input_is_answered_in_words(say: Callable[..., Result], publish: Callable[[str], None], argv: tuple[str, ...], message: str) -> None:
    """Each is an error of the caller that names what is wrong."""
    publish("1.1.0")
    done = say(*argv)
    assert isinstance(done.exception, InputError), done.output
    assert message in str(done.exception)


@pytest.mark.parametrize(
    "argv", [("--error-threshold", "200%"), ("--error-threshold", "x"), ("--min-s", "9000"), ("--min-requests", "-1"), ("--max-s", "nan")]
)
def test_wrong_options_are_refused_before_the_server_is_asked(argv: tuple[str, ...]) -> None:
    """Shares above 100 %, negative counts and contradictions are wrong usage (exit code 2)."""
    assert CliRunner().invoke(rollout, ("start", "digits@1.1.0", "--yes", *argv, "--server", "http://127.0.0.1:9")).exit_code == 2


def test_a_server_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens: an error of transfer that says how to start one."""
    done = CliRunner().invoke(rollout, ("status", "--server", "http://127.0.0.1:9"))
    assert isinstance(done.exception, TransferError)
    assert "edgekit fleet up" in str(done.exception)


def test_shares_are_written_as_people_do(running: Running, say: Callable[..., Result], publish: Callable[[str], None]) -> None:
    """5% and 0.05 are the same threshold."""
    publish("1.1.0")
    found = []
    for text in ("7%", "0.07"):
        begun = find_id(say("start", "digits@1.1.0", "--select", "device=roof-2", "--error-threshold", text).stdout)
        with FleetClient(running.http) as client:
            found.append(client.find_rollout(begun).rollout.error_threshold)
        say("abort", begun)
    assert found == [0.07, 0.07]
