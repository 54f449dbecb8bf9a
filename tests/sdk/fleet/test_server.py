"""The whole server as the program that people run: started, used by a device, killed, and started again."""

import asyncio
import functools
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
import pytest

from edgekit.addresses import Endpoint, parse_broker
from edgekit.errors import TrustError
from edgekit.fleet.broker_configuration import encode_configuration
from edgekit.fleet.client import FleetClient
from edgekit.fleet.founding import found_fleet
from edgekit.fleet.mosquitto import find_installed
from edgekit.fleet.probing import is_answering
from edgekit.fleet.pruner import Pruner
from edgekit.fleet.retention import DAY_MS, Retention
from edgekit.fleet.server import FleetServer
from edgekit.fleet.settings import FleetDirectory, FleetSettings, Running, read_settings
from edgekit.fleet.store.database import open_store
from edgekit.fleet.store.uploads import store_uploads
from edgekit.status import DeviceStatus, Stored
from edgekit.telemetry import Batch, Event, encode_batch
from edgekit.topics import filter_down, name_up

pytestmark = pytest.mark.skipif(find_installed() is None, reason="Mosquitto is not installed: apt-get install mosquitto")

UP = (sys.executable, "-c", "from edgekit.cli.main import main; main()", "fleet", "up")


def until(what: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What *what* gives, as soon as it gives something."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.02)
    return found


@pytest.fixture
def directory(tmp_path: Path, keys: Path) -> FleetDirectory:
    """A fleet that was just made."""
    made = FleetDirectory(root=tmp_path / "fleet")
    found_fleet(made, FleetSettings(releases=str(tmp_path / "releases"), shards=4), keys, datetime.now(timezone.utc))
    return made


class Server:
    """The process `edgekit fleet up`, on ports that the system chose the first time and that it keeps."""

    def __init__(self, directory: FleetDirectory) -> None:
        self.directory = directory
        self.http, self.mqtt = "127.0.0.1:0", "127.0.0.1:0"
        self.log = directory.root.parent / "server.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> Running:
        with self.log.open("ab") as log:
            command = [*UP, str(self.directory.root), "--http", self.http, "--mqtt", self.mqtt, "--json", *options]
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        running = msgspec.json.decode(line, type=Running)
        self.http, self.mqtt = running.http.removeprefix("http://"), running.mqtt.removeprefix("mqtt://")
        return running

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.process.stdout.close()
        return code


@pytest.fixture
def server(directory: FleetDirectory) -> Iterator[Server]:
    started = Server(directory)
    yield started
    if started.process is not None and started.process.poll() is None:
        started.end(signal.SIGKILL)


class Device:
    """A device with an outbox of events, which sends everything again until the server has said that it is stored."""

    def __init__(self, name: str, address: str, shards: int) -> None:
        self.name, self.shards = name, shards
        self.epoch, self.made, self.up_to, self.revision = secrets.token_hex(8), 0, 0, 0
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
        self.subscribed = threading.Event()
        self.client.on_connect = lambda client, *_: client.subscribe(filter_down(name, shards), qos=1)
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = self._on_message
        self.client.reconnect_delay_set(1, 1)
        host, _, port = address.rpartition(":")
        self.client.connect(host, int(port))
        self.client.loop_start()
        assert self.subscribed.wait(10)

    def _on_message(self, client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        if message.topic.endswith("/stored"):
            stored = Stored.decode(message.payload)
            if stored.epoch == self.epoch:
                self.up_to, self.revision = max(self.up_to, stored.up_to), max(self.revision, stored.status_revision)

    def send(self, events: int) -> None:
        """Make *events* more, and send all that is not acknowledged, and the status."""
        self.made += events
        records = tuple(Event(number, 1, "test") for number in range(self.up_to + 1, self.made + 1))
        batch = Batch(self.epoch, max(1, min(self.up_to + 1, self.made)), self.made, records)
        self.client.publish(name_up(self.name, "telemetry", self.shards), encode_batch(batch), qos=1)
        status = DeviceStatus(device=self.name, epoch=self.epoch, revision=1)
        self.client.publish(name_up(self.name, "status", self.shards), status.encode(), qos=1)

    def settle(self) -> None:
        """Send again until everything is acknowledged."""

        def is_settled() -> bool:
            if self.up_to == self.made and self.revision == 1:
                return True
            self.send(0)
            time.sleep(0.3)
            return False

        until(is_settled, 40)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_what_a_device_sends_is_stored_acknowledged_and_shown(server: Server) -> None:
    """Records and status go over MQTT into the store, the device is told, and the API and the audit agree."""
    running = server.start()
    assert msgspec.json.decode(server.directory.running.read_bytes(), type=Running) == running
    device = Device("roof-1", server.mqtt, running.shards)
    device.send(30)
    until(lambda: device.up_to == 30 and device.revision == 1)
    device.close()
    with FleetClient(running.http) as client:
        assert [one.device.id for one in client.list_devices()] == ["roof-1"]
        (line,) = client.audit()
        assert (line.made, line.stored, line.lost, line.missing) == (30, 30, 0, 0)
    assert server.end() == 0
    assert not server.directory.running.exists()
    assert server.process.stdout.closed


def test_a_broker_that_is_killed_loses_nothing(server: Server) -> None:
    """The broker dies with SIGKILL while a device sends: it is started again, everything arrives once, and the log says so."""
    running = server.start()
    device = Device("roof-1", server.mqtt, running.shards)
    device.send(20)
    until(lambda: device.up_to == 20)
    (broker,) = find_children(running.pid, "mosquitto")
    os.kill(broker, signal.SIGKILL)
    device.send(20)
    device.settle()
    device.close()
    with FleetClient(running.http) as client:
        assert [(line.made, line.stored) for line in client.audit()] == [(40, 40)]
        texts = [event.text for event in client.list_events(kind="broker")]
        assert any("signal 9" in text for text in texts)
        assert any("is back" in text for text in texts)
    assert server.end() == 0


def test_a_server_that_is_killed_goes_on_where_it_was(server: Server) -> None:
    """After SIGKILL the broker is gone too, and a server started at once has the devices, and takes what was not acknowledged."""
    running = server.start()
    device = Device("roof-1", server.mqtt, running.shards)
    device.send(20)
    until(lambda: device.up_to == 20)
    (broker,) = find_children(running.pid, "mosquitto")
    server.end(signal.SIGKILL)
    device.send(20)
    until(lambda: not Path(f"/proc/{broker}").exists())
    again = server.start()
    assert again.http == running.http
    device.settle()
    device.close()
    with FleetClient(again.http) as client:
        assert [(line.made, line.stored) for line in client.audit()] == [(40, 40)]
    assert server.end() == 0


def test_a_broker_of_ones_own_may_go_away_and_come_back(server: Server, tmp_path: Path) -> None:
    """With --broker the server starts none, says while the broker is away that it does not answer, and goes on when it is back."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        listen = Endpoint(port=free.getsockname()[1])
    configuration = tmp_path / "mosquitto.conf"
    configuration.write_text(encode_configuration(listen, tmp_path))
    broker = start_broker(configuration, listen)
    running = server.start("--broker", f"mqtt://{listen}")
    device = Device("roof-1", str(listen), running.shards)
    device.send(20)
    until(lambda: device.up_to == 20)
    broker.kill()
    broker.wait(10)
    with FleetClient(running.http) as client:
        until(lambda: not client.read_health().broker_up)
        assert not find_children(running.pid, "mosquitto")
        device.send(20)
        broker = start_broker(configuration, listen)
        device.settle()
        device.close()
        assert [(line.made, line.stored) for line in client.audit()] == [(40, 40)]
    assert server.end() == 0
    broker.kill()
    broker.wait(10)


def test_what_is_past_retention_is_removed(directory: FleetDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server prunes as fleet.toml says, and the API tells how much it was; the wait before it begins is left out here."""
    now_ms = time.time_ns() // 1_000_000
    days = [now_ms - number * DAY_MS - 1000 for number in range(4)]
    records = tuple(Event(number, at_ms, "test") for number, at_ms in enumerate(reversed(days), 1))
    with open_store(directory.store) as store:
        store.submit_write(store_uploads, (), [("roof-1", Batch("a" * 16, 1, 4, records))], now_ms).result(10)
    monkeypatch.setattr("edgekit.fleet.server.Pruner", functools.partial(Pruner, first_s=0))

    def look(running: Running) -> bool:
        with FleetClient(running.http) as client:
            (line,) = client.audit()
            return (line.made, line.stored, line.pruned, line.missing) == (4, 4, 2, 0)

    async def run() -> None:
        stop, running = asyncio.Event(), asyncio.get_running_loop().create_future()
        settings = msgspec.structs.replace(read_settings(directory), http=Endpoint(), mqtt=Endpoint(), store=Retention(telemetry_days=2))
        serving = asyncio.create_task(FleetServer(directory, settings).run(stop, running.set_result))
        await asyncio.to_thread(until, functools.partial(look, await asyncio.wait_for(running, 30)))
        stop.set()
        await serving

    asyncio.run(run())


def start_broker(configuration: Path, listen: Endpoint) -> "subprocess.Popen[bytes]":
    """A Mosquitto that somebody else runs; it answers."""
    broker = subprocess.Popen([str(find_installed()), "-c", str(configuration)], stderr=subprocess.DEVNULL)
    until(lambda: asyncio.run(is_answering(parse_broker(f"mqtt://{listen}", "broker"))))
    return broker


def test_a_repository_that_has_expired_silences_nobody(directory: FleetDirectory, server: Server, keys: Path) -> None:
    """Devices are heard although nothing new can be offered; what is missing is said, by the API too."""
    long_ago = datetime.now(timezone.utc) - timedelta(days=60)
    shutil.rmtree(directory.root)
    shutil.rmtree(directory.root.parent / "releases")
    found_fleet(directory, FleetSettings(releases=str(directory.root.parent / "releases"), shards=4), keys, long_ago)
    running = server.start()
    with FleetClient(running.http) as client:
        assert client.read_health().broker_up
        with pytest.raises(TrustError, match="expired"):
            client.list_releases()
        assert "edgekit release refresh" in client.list_events(kind="releases")[0].text
    assert server.end() == 0


def find_children(pid: int, name: str) -> list[int]:
    """The processes called *name* whose parent is *pid*."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            before, _, after = entry.read_text().rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
        if before.partition("(")[2] == name and int(after.split()[1]) == pid:
            found.append(int(before.split()[0]))
    return found


# --- what stops it from starting ---------------------------------------------------------------------------------------


def refuse(directory: FleetDirectory, *options: str) -> tuple[int, str]:
    """The exit code and the last line of stderr of a server that must not start."""
    done = subprocess.run([*UP, str(directory.root), *options], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == ""
    return done.returncode, done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("option", ["--http", "--mqtt"])
def test_a_taken_port_is_named(directory: FleetDirectory, option: str) -> None:
    """A port in use is exit code 2, with the port and the option that changes it."""
    other = "--mqtt" if option == "--http" else "--http"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, text = refuse(directory, option, f"127.0.0.1:{port}", other, "127.0.0.1:0")
    assert code == 2
    assert f"port {port} cannot be used" in text
    assert option in text


def test_a_broker_that_is_not_there_is_exit_code_5(directory: FleetDirectory) -> None:
    """A broker that is named and does not answer cannot be reached: the address is told, without its password."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    code, text = refuse(directory, "--http", "127.0.0.1:0", "--broker", f"mqtt://me:secret@127.0.0.1:{port}")
    assert code == 5
    assert f"mqtt://me@127.0.0.1:{port}" in text
    assert "secret" not in text


def test_one_directory_has_one_server(server: Server) -> None:
    """A second server for the same fleet is refused while the first goes on."""
    running = server.start()
    code, text = refuse(server.directory, "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0")
    assert code == 2
    assert "another edgekit is at work in it" in text
    with FleetClient(running.http) as client:
        assert client.read_health().broker_up
    assert server.directory.running.exists()
    assert server.end(signal.SIGINT) == 0


def test_a_directory_without_fleet_is_refused(tmp_path: Path) -> None:
    """Where no fleet was made, the command that makes one is named."""
    code, text = refuse(FleetDirectory(root=tmp_path))
    assert code == 2
    assert "edgekit fleet init" in text


def test_it_listens_to_this_machine_alone(directory: FleetDirectory) -> None:
    """An address that other machines can reach is refused as long as there are no accounts."""
    code, text = refuse(directory, "--http", "0.0.0.0:0", "--mqtt", "127.0.0.1:0")
    assert code == 2
    assert "no accounts" in text


def test_a_repository_that_was_tampered_with_is_exit_code_4(directory: FleetDirectory, tmp_path: Path) -> None:
    """A server does not offer devices a repository that its own root does not vouch for."""
    timestamp = tmp_path / "releases" / "metadata" / "timestamp.json"
    content = json.loads(timestamp.read_bytes())
    content["signed"]["version"] += 1
    timestamp.write_text(json.dumps(content))
    code, text = refuse(directory, "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0")
    assert code == 4
    assert "not signed" in text
