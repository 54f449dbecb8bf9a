"""What the journeys travel through: a fleet of real processes, made and moved by the commands that people type."""

import functools
import importlib.util
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from edgekit import FleetClient
from edgekit.bundles import MANIFEST
from edgekit.deployment import Deployment, TrialTerms
from edgekit.files import digest_bytes
from edgekit.fleet.mosquitto import find_installed
from edgekit.fleet.settings import Running
from edgekit.fleet.views import AuditView, RolloutRequest, RolloutView
from edgekit.rollout import Phase, RolloutState
from edgekit_agent.ledger import Ledger
from edgekit_agent.slots import SlotStore

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits"
EDGEKIT = (sys.executable, "-m", "edgekit")
AGENT = (sys.executable, "-m", "edgekit_agent")
PATIENCE_S = 60.0
#: A rollout to devices that nobody asks anything yet: the golden samples decide.
AT_ONCE = ("--phases", "100%", "--min-requests", "0", "--min-s", "0")


def _load_example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"digits_{name}", EXAMPLE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


load_script = _load_example("load")


def wait_until(find: Callable[[], Any], problem: object = "it does not happen", seconds: float = PATIENCE_S) -> Any:
    """What *find* gives, as soon as it gives something."""
    deadline = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < deadline, problem() if callable(problem) else problem
        time.sleep(0.01)
    return found


@pytest.fixture(name="wait_until", scope="session")
def share_wait_until() -> Callable[..., Any]:
    """Waits for what is found, with a deadline."""
    return wait_until


def run(*words: object, code: int = 0) -> str:
    """What a command says to programs; it must end with *code*."""
    done = subprocess.run(list(map(str, words)), check=False, capture_output=True, text=True, timeout=240)
    assert done.returncode == code, f"{words[3:]} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout if code == 0 else done.stderr


def find_port() -> int:
    """A port that is free now, so that whoever is killed can come back to it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


class Program:
    """A command that runs in the background, and can be stopped, killed and started again. Its log goes on."""

    def __init__(self, place: Path, name: str, command: Sequence[object]) -> None:
        self.name = name
        self.log = place / f"{name}.log"
        self._out = place / f"{name}.out"
        self._command = list(map(str, command))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        assert not self.is_running
        with self._out.open("wb") as out, self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=out, stderr=log)

    def wait_ready(self) -> bytes:
        """The line with which it says that it is up."""

        def find_line() -> bytes:
            assert self.is_running, f"{self.name} has ended: {self.log.read_text()[-3000:]}"
            line = self._out.read_bytes()
            return line if line.endswith(b"\n") else b""

        return wait_until(find_line, f"{self.name} does not come up")

    def kill(self) -> None:
        """End it as a power cut does: without a word."""
        self._process.kill()
        self._process.wait(20)

    def stop(self) -> None:
        """Ask it to end, which it must do well."""
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(30) == 0, self.log.read_text()[-3000:]

    def measure_memory(self) -> float:
        """The memory that it holds, in MiB (VmRSS, proc(5))."""
        return measure_memory(self.pid)


def measure_memory(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


class Releases:
    """A repository with releases of the digits: three good ones, one permuted and one that gives NaN to some real digits.

    A device holds two, so that of three good ones in turn it fetches each anew.
    """

    GOOD = ("digits@1.0.0", "digits@1.1.0", "digits@1.2.0")
    PERMUTED, POISONED = "digits@2.0.0", "digits@2.1.0"

    def __init__(self, root: Path) -> None:
        self.root, self.repository, self.keys = root, root / "releases", root / "keys"
        first = root / "bundle-1.0.0"
        run(*EDGEKIT, "convert", EXAMPLE / "digits.onnx", "-o", first, "--to", "onnx", "--calibration", EXAMPLE / "calibration.npz", "--json")
        run(*EDGEKIT, "keys", "new", self.keys)
        for version in ("1.1.0", "1.2.0"):
            vary(first, root / f"bundle-{version}", version)
        for kind, version in (("permute", "2.0.0"), ("poison", "2.1.0")):
            run(sys.executable, EXAMPLE / "tamper.py", kind, first, "-o", root / f"bundle-{version}")
        for version in ("1.0.0", "1.1.0", "1.2.0", "2.0.0", "2.1.0"):
            bundle = root / f"bundle-{version}"
            run(*EDGEKIT, "release", "publish", bundle, "--version", version, "--to", self.repository, "--keys", self.keys)

    def follow(self, release: str) -> str:
        """The good release after *release*; after the last one comes the first."""
        return self.GOOD[(self.GOOD.index(release) + 1) % len(self.GOOD)]


def vary(bundle: Path, out: Path, version: str) -> None:
    """Another release of the same model: the bytes behind each graph are an unknown field, which readers of ONNX pass over."""
    shutil.copytree(bundle, out)
    manifest = json.loads((out / MANIFEST).read_text())
    for variant in manifest["variants"]:
        for entry in variant["files"]:
            data = (out / entry["path"]).read_bytes() + b"\xfa\x01\x05" + version.encode()
            (out / entry["path"]).write_bytes(data)
            entry.update(digest=digest_bytes(data), length=len(data))
    (out / MANIFEST).write_text(json.dumps(manifest))


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Releases:
    return Releases(tmp_path_factory.mktemp("publisher"))


class Device(Program):
    """`edgekit-agent run` with a state directory and an address of its own, in a fleet."""

    def __init__(self, place: Path, name: str, site: str, releases: Releases, running: Running) -> None:
        self.state = place / name
        self.config = place / f"{name}.toml"
        self.port = find_port()
        self.store, self.ledger = SlotStore(self.state), Ledger(self.state)
        super().__init__(place, name, (*AGENT, "run", "--config", self.config, "--json"))
        self.config.write_text(
            f"""
state = "{self.state}"
[api]
http = "127.0.0.1:{self.port}"
[releases]
from = "{running.releases}"
trust_root = "{releases.repository / "metadata" / "1.root.json"}"
[device]
id = "{name}"
labels = {{ site = "{site}" }}
runtimes = ["onnxruntime"]
[fleet]
broker = "{running.mqtt}"
shards = {running.shards}
[telemetry]
interval_s = 0.5
"""
        )

    def start(self) -> None:
        """Start it, and wait until it serves."""
        self.launch()
        self.wait_ready()

    @property
    def deployment(self) -> Deployment | None:
        """How far its deployment has come, as it is on the disk."""
        return next(iter(self.ledger.list_deployments()), None)

    def check(self) -> str:
        """The active release while the agent is dead: its own status must say so, and every byte of each slot be what its digest says."""
        slots = self.store.read_slots("digits")
        for one in slots.held:
            assert self.store.open_release(one).digest == one.digest
        told = json.loads(run(*AGENT, "status", "--config", self.config, "--json"))
        assert told["models"]["digits"] == msgspec.to_builtins(slots)
        return slots.active.release


class Fleet(Program):
    """`edgekit fleet up`, and what people do with it."""

    def __init__(self, place: Path, releases: Releases) -> None:
        self.place, self.releases = place, releases
        self._numbers = itertools.count(1)
        run(*EDGEKIT, "fleet", "init", place / "fleet", "--releases", releases.repository, "--keys", releases.keys, "--shards", "4", "--json")
        http, mqtt = (f"127.0.0.1:{find_port()}" for _ in range(2))
        super().__init__(place, "server", (*EDGEKIT, "fleet", "up", place / "fleet", "--http", http, "--mqtt", mqtt, "--json"))
        self.url = f"http://{http}"
        self.client = FleetClient(self.url)

    def start(self) -> None:
        """Start it, and wait until it is up."""
        self.launch()
        self.running = Running.decode(self.wait_ready())

    def keep_up(self) -> None:
        """Start it, unless it runs."""
        if not self.is_running:
            self.start()

    def find_broker(self) -> int:
        """The process of its broker, or 0 where there is none just now."""
        for status in Path("/proc").glob("[0-9]*/status"):
            fields = dict(line.split(":\t", 1) for line in _read_gone(status).splitlines() if ":\t" in line)
            if fields.get("PPid") == str(self.pid) and fields.get("Name") == "mosquitto":
                return int(status.parent.name)
        return 0

    def ask(self, *words: object, code: int = 0) -> str:
        """What `edgekit …` says of this fleet; it must end with *code*."""
        return run(*EDGEKIT, *words, "--server", self.url, code=code)

    def begin(self, release: str, site: str, *options: object) -> str:
        """Start a rollout of *release* to the devices of *site*; its id."""
        return json.loads(self.ask("rollout", "start", release, "--select", f"site={site}", *options, "--json"))["rollout"]["id"]

    def begin_at_once(self, release: str, site: str) -> str:
        """As begin, but without waiting for a command to end; the golden samples decide, after a second."""
        trial = TrialTerms(min_requests=0, min_s=1, max_s=3600)
        asked = RolloutRequest(release=release, select=f"site={site}", phases=(Phase(share=1.0),), trial=trial)
        return self.client.start_rollout(asked).rollout.id

    def control(self, rollout: str, act: str) -> None:
        self.ask("rollout", act, rollout, "--json")

    def wait_rollout(self, rollout: str, *states: RolloutState) -> RolloutView:
        """The rollout, once it is in one of *states*."""
        return wait_until(
            lambda: view if (view := self.client.find_rollout(rollout)).rollout.state in states else None,
            lambda: f"{rollout} is not {states}: {self.client.find_rollout(rollout)}",
        )

    def find_served(self, device: str) -> str | None:
        """The release that *device* said it serves; None where it has not said so in its newest status."""
        status = self.client.find_device(device).status
        return next((model.release for model in status.models), None) if status is not None and status.online else None

    def wait_served(self, devices: Sequence[Device], release: str) -> None:
        """Wait until the server knows that all *devices* serve *release*."""
        for device in devices:
            wait_until(lambda: self.find_served(device.name) == release, lambda: f"{device.name}: {self.client.find_device(device.name)}")  # noqa: B023

    def audit(self, device: str) -> list[AuditView]:
        """The books of *device*, once nothing is missing from them."""
        told = json.loads(self.ask("fleet", "audit", "--device", device, "--wait", PATIENCE_S, "--json"))
        assert (told["settled"], told["missing"]) == (True, 0)
        return msgspec.convert(told["streams"], list[AuditView])

    def count(self, device: str) -> dict[str, int]:
        """Requests of the last hour to *device*, as telemetry tells of them."""
        until = time.time_ns() // 1_000_000 + 60_000
        steps = self.client.list_telemetry(device=device, since=until - 3_600_000, until=until, step=3_600_000)
        return {name: sum(getattr(step, name) for step in steps) for name in ("requests", "failed", "rescued", "refused")}

    def wait_counted(self, device: str, requests: int) -> None:
        """Wait until the server knows of *requests* requests to *device*, and of no more."""
        wait_until(lambda: self.count(device)["requests"] >= requests, lambda: f"{self.count(device)} of {requests}; {self.client.audit(device)}")
        assert self.count(device)["requests"] == requests

    @contextmanager
    def adding(self, count: int, release: str = "digits@1.0.0") -> Iterator[tuple[str, list[Device]]]:
        """A new site, and its *count* devices, which serve *release*, for as long as the block runs."""
        number = next(self._numbers)
        site = f"site{number}"
        devices = [Device(self.place, f"{site}-{index}", site, self.releases, self.running) for index in range(1, count + 1)]
        try:
            for device in devices:
                device.launch()
            self._bring(site, devices, release)
            yield site, devices
        finally:
            for device in devices:
                if device.is_running:
                    device.kill()

    def _bring(self, site: str, devices: Sequence[Device], release: str) -> None:
        for device in devices:
            device.wait_ready()
        wait_until(functools.partial(self._is_known, site, len(devices)), "not every device became known")
        self.ask("rollout", "start", release, "--select", f"site={site}", *AT_ONCE, "--watch", "--json")
        self.wait_served(devices, release)

    def _is_known(self, site: str, count: int) -> bool:
        return len([one for one in self.client.list_devices(f"site={site}") if one.status is not None]) == count


def _read_gone(path: Path) -> str:
    """The text of a file of a process, which may end meanwhile."""
    try:
        return path.read_text()
    except OSError:
        return ""


@pytest.fixture(scope="session")
def shared_fleet(tmp_path_factory: pytest.TempPathFactory, releases: Releases) -> Iterator[Fleet]:
    if find_installed() is None:
        pytest.skip("Mosquitto is not installed: apt-get install mosquitto")
    made = Fleet(tmp_path_factory.mktemp("fleet"), releases)
    yield made
    made.client.close()
    if made.is_running:
        made.stop()


@pytest.fixture
def fleet(shared_fleet: Fleet) -> Fleet:
    """A fleet that is up. It is one for all tests, which differ in their sites."""
    shared_fleet.keep_up()
    return shared_fleet


@pytest.fixture(scope="session")
def loading() -> Callable[..., Any]:
    """Asks devices for real digits at a steady rate while a block runs, and holds each answer against the digit's label."""

    @contextmanager
    def load(devices: Sequence[Device], rate: float = 40) -> Iterator[Any]:
        with load_script.loading({device.name: ("127.0.0.1", device.port) for device in devices}, rate) as running:
            yield running

    return load


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, pytest.TestReport]:
    """A test that failed shows how the processes that it used told it."""
    report: pytest.TestReport = yield
    fleet = item.funcargs.get("fleet") if report.failed and hasattr(item, "funcargs") else None
    if fleet is not None:
        for log in sorted(fleet.place.glob("*.log"), key=os.path.getmtime)[-5:]:
            report.sections.append((f"the end of {log.name}", log.read_text(errors="replace")[-4000:]))
    return report
