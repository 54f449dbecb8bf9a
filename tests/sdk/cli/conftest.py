"""A fleet's server as people start it, for the commands that speak to one."""

import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone

import msgspec
import pytest

from edgekit.files import digest_bytes
from edgekit.fleet.founding import found_fleet
from edgekit.fleet.mosquitto import find_installed
from edgekit.fleet.settings import FleetDirectory, FleetSettings, Running
from edgekit.fleet.store.database import open_store
from edgekit.fleet.store.uploads import SentInventory, store_uploads
from edgekit.signing import new_keys
from edgekit.status import DeviceInventory, DeviceStatus, ModelStatus
from edgekit.targets import Hardware
from edgekit.telemetry import Batch, TelemetryRecord


@pytest.fixture(scope="module")
def fleet_directory(tmp_path_factory: pytest.TempPathFactory) -> FleetDirectory:
    root = tmp_path_factory.mktemp("fleet")
    new_keys(root / "keys")
    directory = FleetDirectory(root=root / "fleet")
    found_fleet(directory, FleetSettings(releases=str(root / "releases"), shards=2), root / "keys", datetime.now(timezone.utc))
    return directory


@pytest.fixture(scope="module")
def fleet_server(fleet_directory: FleetDirectory) -> Iterator[str]:
    """The address of `edgekit fleet up`."""
    if find_installed() is None:
        pytest.skip("Mosquitto is not installed: apt-get install mosquitto")
    program = [sys.executable, "-c", "from edgekit.cli.main import main; main()", "fleet", "up", str(fleet_directory.root)]
    with subprocess.Popen([*program, "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--json"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield msgspec.json.decode(line, type=Running).http
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.fixture
def add_device(fleet_directory: FleetDirectory) -> Callable[..., None]:
    """Lets a device have told what it is, where it stands, and some of the records that it made, as ingest stores them."""

    def add(name: str, made: int = 0, records: Sequence[TelemetryRecord] = (), labels: dict[str, str] | None = None) -> None:
        hardware = Hardware(machine="a test's", arch="x86_64", memory_mb=512)
        inventory = DeviceInventory(device=name, hardware=hardware, target="raspberry-pi-4", labels=labels or {}, agent_version="0.1.0")
        model = ModelStatus(model="digits", release="digits@1.0.0", variant="onnx-int8", runtime="onnxruntime")
        epoch = secrets.token_hex(8)
        status = DeviceStatus(device=name, epoch=epoch, revision=1, models=(model,))
        uploads = [(name, SentInventory(inventory, digest_bytes(inventory.encode()))), (name, status), (name, Batch(epoch, 1, made, tuple(records)))]
        with open_store(fleet_directory.store) as store:
            store.submit_write(store_uploads, (), uploads, time.time_ns() // 1_000_000).result(10)

    return add
