"""A fleet without a network: the real store and coordinator, and simulated devices that obey the deployment table."""

import asyncio
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from securesystemslib.signer import CryptoSigner, Key

from edgekit.addresses import Endpoint
from edgekit.deployment import Deployment, Event, State
from edgekit.desired import DesiredModel, DesiredState, verify_desired
from edgekit.files import digest_bytes
from edgekit.fleet.coordinator import Coordinator
from edgekit.fleet.founding import found_fleet
from edgekit.fleet.mosquitto import find_installed
from edgekit.fleet.server import FleetServer
from edgekit.fleet.settings import FleetDirectory, FleetSettings, Running
from edgekit.fleet.store.database import Store, open_store
from edgekit.fleet.store.leases import Lease, acquire_lease
from edgekit.fleet.store.rollouts import find_rollout, save_rollout
from edgekit.fleet.store.uploads import SentInventory, store_uploads
from edgekit.rollout import Rollout, parse_phases
from edgekit.signing import new_keys
from edgekit.status import DeviceInventory, DeviceStatus, ModelStatus
from edgekit.targets import Hardware
from edgekit.telemetry import Batch
from edgekit.topics import name_down
from edgekit.transports.memory import MemoryPublisher

NOW = 1_800_000_000_000
HOUR_MS = 3_600_000
GOOD = (Event.STARTED, Event.DOWNLOADED, Event.PROVED, Event.PROVED_GOOD)
#: What a release does to whoever tries it, by its version; all others are good.
COURSES = {
    "1.2.0": (Event.STARTED, Event.DOWNLOADED, Event.BROKE),
    "1.3.0": (Event.STARTED, Event.DOWNLOADED, Event.PROVED, Event.PROVED_BAD),
    "1.4.0": (Event.STARTED, Event.DOWNLOADED, Event.PROVED, Event.NO_EVIDENCE),
}


class SimulatedDevice:
    """Obeys the director alone, and takes one step of the deployment table at a time. It keeps what it heard in *heard*."""

    def __init__(self, name: str, keys: Sequence[Key], models: Sequence[ModelStatus] = ()) -> None:
        self.name, self.keys = name, keys
        self.models = {one.model: one for one in models}
        self.epoch, self.revision, self.counter = secrets.token_hex(8), 0, 0
        self.heard: list[DesiredState] = []
        self.desired: dict[str, DesiredModel] = {}
        self.course: dict[str, list[Event]] = {}

    def receive(self, message: bytes, now_ms: int) -> None:
        desired = verify_desired(message, self.keys, self.name, self.counter, now_ms)
        self.heard.append(desired)
        self.counter = desired.counter
        for model in desired.models:
            if self.desired.get(model.model) != model:
                self._accept(model, desired.counter, now_ms)

    def _accept(self, wanted: DesiredModel, counter: int, now_ms: int) -> None:
        self.desired[wanted.model] = wanted
        self.course.pop(wanted.model, None)
        has = self.models.get(wanted.model, ModelStatus(model=wanted.model))
        if wanted.release is None:
            self.models[wanted.model] = ModelStatus(model=wanted.model)
            return
        fresh = Deployment(id=wanted.deployment, model=wanted.model, release=wanted.release, digest=wanted.digest, counter=counter, since_ms=now_ms)
        if has.digest == wanted.digest:
            self.models[wanted.model] = replace(has, deployment=replace(fresh, state=State.COMMITTED))
            return
        self.models[wanted.model] = replace(has, deployment=fresh)
        self.course[wanted.model] = list(COURSES.get(wanted.release.partition("@")[2], GOOD))

    def advance(self, now_ms: int) -> bool:
        """One step of each deployment; whether there was one."""
        moved = False
        for name, events in self.course.items():
            if events:
                moved = True
                has = self.models[name]
                after = has.deployment.after(events.pop(0), now_ms, "as simulated")
                serves = after.state in (State.COMMITTED, State.UNPROVEN)
                now = {"release": after.release, "digest": after.digest, "previous": has.release} if serves else {}
                self.models[name] = replace(has, deployment=after, **now)
        return moved

    def report(self) -> DeviceStatus:
        self.revision += 1
        return DeviceStatus(device=self.name, epoch=self.epoch, revision=self.revision, counter=self.counter, models=tuple(self.models.values()))


class SimulatedFleet:
    """Devices, a broker in memory, and one coordinator on the real store. *now* is the time, and only moves when it is told."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = NOW
        self.signer = CryptoSigner.generate_ed25519()
        self.devices: dict[str, SimulatedDevice] = {}
        self.sent: list[tuple[str, bytes]] = []
        self.publisher = MemoryPublisher(lambda topic, message: self.sent.append((topic, message)))
        self.lease: Lease = self.take_lease("first")
        self.coordinator = self.make_coordinator()

    def make_coordinator(self, store: Any = None, owner: str = "first") -> Coordinator:
        return Coordinator(store or self.store, self.publisher, self.signer, lambda: self.now, owner)

    def take_lease(self, owner: str) -> Lease:
        lease = self.write(acquire_lease, "coordinator", owner, self.now, 10_000)
        assert lease is not None
        return lease

    def write(self, work: Any, *args: Any, **options: Any) -> Any:
        return self.store.submit_write(work, *args, **options).result(10)

    def read(self, work: Any, *args: Any, **options: Any) -> Any:
        return self.store.submit_read(work, *args, **options).result(10)

    def add(self, name: str, device_class: str = "x86-64", release: str | None = None) -> SimulatedDevice:
        """A device that has reported, with *release* of the model digits installed by hand."""
        models = [ModelStatus(model="digits", release=release, digest=digest_bytes(release.encode()))] if release else []
        device = self.devices[name] = SimulatedDevice(name, [self.signer.public_key], models)
        hardware = Hardware(machine="simulated", arch="x86_64")
        inventory = DeviceInventory(device=name, hardware=hardware, target=device_class, simulated=True)
        self.write(store_uploads, (), [(name, SentInventory(inventory, digest_bytes(name.encode())))], self.now)
        self.report(name)
        return device

    def add_bare(self, *names: str) -> None:
        """Devices that have said nothing but that they are there."""
        self.devices |= {name: SimulatedDevice(name, [self.signer.public_key]) for name in names}
        self.report(*names)

    def report(self, *names: str) -> None:
        """Let devices say where they stand, as ingest stores it."""
        self.write(store_uploads, (), [(name, self.devices[name].report()) for name in names or self.devices], self.now)

    def start(self, release: str = "digits@1.1.0", phases: str = "1,100%", id: str = "r1", **fields: Any) -> Rollout:
        """A rollout, put in as the desk does it."""
        about = {"model": release.partition("@")[0], "release": release, "digest": digest_bytes(release.encode())}
        rollout = Rollout(id=id, phases=parse_phases(phases), created_ms=self.now, **about, **fields)
        self.write(save_rollout, rollout, self.now)
        return rollout

    def find(self, id: str = "r1") -> Rollout:
        return self.read(find_rollout, id)

    def step(self, coordinator: Coordinator | None = None, lease: Lease | None = None) -> list[tuple[str, bytes]]:
        """One step of the coordinator; what it sent."""
        self.sent.clear()
        asyncio.run((coordinator or self.coordinator).step(lease or self.lease))
        return list(self.sent)

    def deliver(self, sent: Sequence[tuple[str, bytes]]) -> None:
        """Give the devices what was sent to them."""
        by_topic = {name_down(name, "deployment"): device for name, device in self.devices.items()}
        for topic, message in sent:
            by_topic[topic].receive(message, self.now)

    def settle(self, coordinator: Coordinator | None = None, lease: Lease | None = None) -> None:
        """Let everything happen until nothing more does, a second at a time."""
        for _ in range(60):
            sent = self.step(coordinator, lease)
            self.deliver(sent)
            moved = [device.advance(self.now) for device in self.devices.values()]
            self.report()
            if not sent and not any(moved):
                return
            self.now += 1_000
        raise AssertionError("the fleet does not come to rest")

    def serves(self) -> dict[str, str | None]:
        """The release of digits that each device serves."""
        return {name: device.models["digits"].release if "digits" in device.models else None for name, device in self.devices.items()}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "store.db") as opened:
        yield opened


@pytest.fixture
def fleet(store: Store) -> SimulatedFleet:
    return SimulatedFleet(store)


class ServedFleet:
    """A whole server with a real broker, on ports of its own, in a thread; `add_device` lets a device have reported."""

    def __init__(self, root: Path, keys: Path) -> None:
        self.directory = FleetDirectory(root=root / "fleet")
        self.repository, self.keys = root / "releases", keys
        self.settings = FleetSettings(releases=str(self.repository), shards=4, http=Endpoint(), mqtt=Endpoint())
        found_fleet(self.directory, self.settings, keys, datetime.now(timezone.utc))
        self._running: Future[Running] = Future()
        self._stop: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        async def run() -> None:
            stop = asyncio.Event()
            self._stop = asyncio.get_running_loop(), stop
            await FleetServer(self.directory, self.settings).run(stop, self._running.set_result)

        try:
            asyncio.run(run())
        except BaseException as error:
            self._running.set_exception(error)
            raise

    def __enter__(self) -> "ServedFleet":
        self._thread.start()
        self.running = self._running.result(30)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._stop is not None
        loop, stop = self._stop
        loop.call_soon_threadsafe(stop.set)
        self._thread.join(30)
        assert not self._thread.is_alive()

    def add_device(self, name: str, device_class: str = "x86-64", batch: Batch | None = None) -> None:
        """Let *name* have told its inventory, status and telemetry, as ingest stores them."""
        inventory = DeviceInventory(device=name, hardware=Hardware(machine="a test's", arch="x86_64"), target=device_class)
        status = DeviceStatus(device=name, epoch=secrets.token_hex(8), revision=1, models=(ModelStatus(model="digits", release="digits@1.0.0"),))
        uploads = [(name, SentInventory(inventory, digest_bytes(inventory.encode()))), (name, status)]
        now_ms = time.time_ns() // 1_000_000
        with open_store(self.directory.store) as store:
            store.submit_write(store_uploads, (), uploads + ([(name, batch)] if batch else []), now_ms).result(10)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedFleet]:
    if find_installed() is None:
        pytest.skip("Mosquitto is not installed: apt-get install mosquitto")
    root = tmp_path_factory.mktemp("served")
    new_keys(root / "keys")
    with ServedFleet(root, root / "keys") as running:
        yield running
