import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from edgekit.deployment import Deployment, State
from edgekit.errors import DeviceError
from edgekit.files import digest_bytes
from edgekit.fleet.dashboard import list_pages
from edgekit.fleet.founding import found_fleet
from edgekit.fleet.mosquitto import find_installed
from edgekit.fleet.retention import Retention
from edgekit.fleet.settings import FleetDirectory, FleetSettings
from edgekit.fleet.store.database import open_store
from edgekit.fleet.store.devices import set_labels
from edgekit.fleet.store.pruning import prune
from edgekit.fleet.store.rollouts import list_standings, save_rollout
from edgekit.fleet.store.uploads import SentInventory, store_uploads
from edgekit.histogram import record_values
from edgekit.rollout import Phase, Rollout, RolloutState
from edgekit.status import DeviceInventory, DeviceStatus, ModelStatus
from edgekit.targets import Hardware
from edgekit.telemetry import Batch, Event, Interval

EPOCH = "0123456789abcdef"
RELEASE, DIGEST = "digits@1.1.0", digest_bytes(b"digits@1.1.0")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: Milliseconds that the page has to show what the server knows.
PATIENCE_MS = 15_000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Writer:
    """Puts into a fleet's store what its devices would have sent."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.revision = 0

    def write(self, work, *args):
        with open_store(self.path) as store:
            return store.submit_write(work, *args).result(10)

    def read(self, work, *args):
        with open_store(self.path) as store:
            return store.submit_read(work, *args).result(10)

    def add(self, name: str, labels: dict[str, str] | None = None, simulated: bool = False) -> None:
        """A device of class gate-box that serves digits@1.0.0."""
        inventory = DeviceInventory(
            device=name, hardware=Hardware(machine="m", arch="x86_64"), target="gate-box", simulated=simulated, labels=labels or {}
        )
        self.write(store_uploads, (), [(name, SentInventory(inventory, digest_bytes(inventory.encode())))], now_ms())
        self.report(name)

    def report(self, name: str, deployment: Deployment | None = None) -> None:
        self.revision += 1
        model = ModelStatus(model="digits", release="digits@1.0.0", variant="tflite-int8", runtime="litert", deployment=deployment)
        status = DeviceStatus(device=name, epoch=EPOCH, revision=self.revision, models=(model,))
        self.write(store_uploads, (), [(name, status)], now_ms())

    def measure(self, name: str, seconds: int = 20) -> None:
        """A record for each of the last *seconds*: 40 requests of 2 ms, one rescued; memory known, temperature and energy not."""
        begin = now_ms() - (seconds + 2) * 1000
        about = {"model": "digits", "release": "digits@1.0.0", "variant": "tflite-int8", "runtime": "litert", "memory_mb": 61.0}
        counts = {"requests": 40, "failed": 1, "rescued": 1, "latency_ms": record_values([2.0] * 40)}
        records = tuple(Interval(sequence=one + 1, start_ms=begin + one * 1000, duration_ms=1000, **about, **counts) for one in range(seconds))
        self.write(store_uploads, (), [(name, Batch(epoch=EPOCH, first_held=1, made=seconds, records=records))], now_ms())

    def forget(self, name: str, records: int) -> None:
        """Records of a start of long ago, which are past retention and removed."""
        old = tuple(Event(sequence=number, at_ms=1, kind="x") for number in range(1, records + 1))
        self.write(store_uploads, (), [(name, Batch(epoch="0" * 16, first_held=1, made=records, records=old))], now_ms())
        self.write(prune, Retention(), now_ms())


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def open_page(browser):
    """Opens the dashboard at an address, cut off from everything else; at the end nothing may have been asked elsewhere, nor gone wrong."""
    contexts, strays, faults = [], [], []

    def open_one(url: str, faultless: bool = True):
        context = browser.new_context(viewport={"width": 1400, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)

        def judge(route):
            if urlsplit(route.request.url).netloc == urlsplit(url).netloc:
                route.continue_()
            else:
                strays.append(route.request.url)
                route.abort()

        page.route("**/*", judge)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" and faultless else None)
        page.goto(url)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert strays == []
    assert faults == []


@pytest.fixture(scope="module")
def writer(served):
    written = Writer(served.directory.store)
    written.add("gate-2", labels={"note": "<img src=x onerror=alert(1)>"})
    written.add("roof-1", labels={"site": "roof"})
    written.add("host-3", simulated=True)
    written.write(set_labels, "gate-2", {"place": "<b>gate</b>"})
    written.measure("gate-2")
    written.forget("gate-2", 5)
    return written


def wait_for(page, place: str, text: str | re.Pattern[str]) -> None:
    from playwright.sync_api import expect

    expect(page.locator(place)).to_contain_text(text, timeout=PATIENCE_MS)


def find_row(page, device: str) -> str:
    row = page.locator("#device-list tbody tr", has_text=device)
    row.wait_for()
    return row.inner_text()


def test_devices_are_shown_with_what_they_are_and_do(served, writer, open_page):
    """Each device has its class, state, release, variant, runtime and figures, and a simulated one is labelled so."""
    page = open_page(served.running.http)
    wait_for(page, "#device-list", "40.0/s")
    row = find_row(page, "gate-2")
    for expected in ("gate-box", "online", "digits@1.0.0", "tflite-int8 in litert", "40.0/s", "ms", "rescued"):
        assert expected in row
    assert "simulated" in find_row(page, "host-3")
    assert "simulated" not in row
    wait_for(page, "#figures", "of 3")


def test_what_was_not_measured_is_unknown(served, writer, open_page):
    """A device without telemetry has unknown rates and latencies, and one that cannot measure its energy unknown energy: never zero."""
    page = open_page(served.running.http)
    wait_for(page, "#machines", "61.0 MiB")
    assert page.locator("#machines tbody tr", has_text="gate-2").locator("td").all_inner_texts() == ["61.0 MiB", "unknown", "unknown", "unknown"]
    assert find_row(page, "roof-1").count("unknown") == 3


def test_html_in_a_label_is_text(served, writer, open_page):
    """A label that holds HTML, be it set by a person or declared by a device, is shown as it was written, and becomes no element."""
    page = open_page(served.running.http)
    wait_for(page, "#device-list", "note=<img src=x onerror=alert(1)>")
    wait_for(page, "#device-list", "place=<b>gate</b>")
    assert page.locator("main :is(img, b)").count() == 0


def test_telemetry_is_drawn_and_the_books_are_shown(served, writer, open_page):
    """The charts have marks for what was measured, and the records add up in words."""
    page = open_page(served.running.http)
    page.locator("#chart-requests .bars path").first.wait_for(state="attached")
    page.locator("#chart-latency .scatterlayer path").first.wait_for(state="attached")
    wait_for(page, "#audit", "25 made = 25 stored + 0 known to be lost. Of the stored, 5 are past retention and were removed")
    wait_for(page, "#figures", "5 of them past retention, 0 known to be lost")
    page.locator("#device").select_option("roof-1")
    wait_for(page, "#telemetry-note", "Nothing was measured")


def test_a_selection_narrows_the_devices(served, writer, open_page):
    """What is typed as a selection decides which devices are listed, and a wrong one is answered with the server's reason."""
    page = open_page(served.running.http, faultless=False)
    wait_for(page, "#device-list", "gate-2")
    page.locator("#select").fill("site=roof")
    page.locator("#device-list tbody tr", has_text="gate-2").wait_for(state="detached")
    assert "online" in find_row(page, "roof-1")
    page.locator("#select").fill("site=roof,,")
    wait_for(page, "#device-list", re.compile("select", re.IGNORECASE))
    page.locator("#select").fill("")
    wait_for(page, "#device-list", "gate-2")


def test_a_running_rollout_is_shown_as_it_goes(served, writer, open_page):
    """Without a reload the page shows a rollout that begins, the states of its devices and why, and that it was aborted."""
    page = open_page(served.running.http)
    wait_for(page, "#figures", "of 3")
    page.evaluate("window.mark = 'the same page'")
    rollout = Rollout(
        id="r1",
        model="digits",
        release=RELEASE,
        digest=DIGEST,
        phases=(Phase(devices=1), Phase(share=1.0)),
        created_ms=now_ms(),
        select="class=gate-box",
    )
    writer.write(save_rollout, rollout, now_ms())
    wait_for(page, "#rollout", "pending")
    wait_for(page, "#rollout .track .current", "1 device")
    chosen = next(one.device for one in writer.read(list_standings, rollout) if one.state is not None)
    deployment = Deployment(id="r1", model="digits", release=RELEASE, digest=DIGEST, counter=1, state=State.TRIAL)
    writer.report(chosen, deployment)
    wait_for(page, "#rollout", "trial")
    writer.report(chosen, replace(deployment, state=State.ROLLED_BACK, reason="5 of 40 requests failed <b>here</b>"))
    wait_for(page, "#rollout .title", "aborted")
    wait_for(page, "#rollout .track .stopped", "1 device")
    wait_for(page, "#rollout", "5 of 40 requests failed <b>here</b>")
    assert page.evaluate("window.mark") == "the same page"


def test_one_of_many_rollouts_can_be_chosen(served, writer, open_page):
    """The newest rollout is shown, and another one when its name is clicked."""
    for name, release in (("old", "faces@1.0.0"), ("new", "faces@2.0.0")):
        about = {
            "model": "faces",
            "release": release,
            "digest": DIGEST,
            "created_ms": now_ms(),
            "select": "site=nowhere",
            "state": RolloutState.FINISHED,
        }
        writer.write(save_rollout, Rollout(id=name, **about), now_ms())
    page = open_page(served.running.http)
    page.locator("#rollout-list").get_by_role("button", name="faces@1.0.0").click()
    wait_for(page, "#rollout .title", "faces@1.0.0")
    page.locator("#rollout-list").get_by_role("button", name="faces@2.0.0").click()
    wait_for(page, "#rollout .title", "faces@2.0.0")


def test_without_plotly_the_server_says_how_to_get_it(monkeypatch):
    """Where plotly is not installed, the refusal names it and the command that installs it."""
    monkeypatch.setattr("edgekit.fleet.dashboard.find_spec", lambda name: None)
    with pytest.raises(DeviceError, match=re.escape("pip install 'edgekit[fleet]'")):
        list_pages()


def test_the_page_is_held_to_this_server(served):
    """The policy that comes with the page allows no script but this server's, and none within the page."""
    with urllib.request.urlopen(served.running.http) as answer:
        policy = answer.headers["content-security-policy"]
        page = answer.read().decode()
    assert "script-src 'self';" in policy
    assert "default-src 'none'" in policy
    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
    assert re.findall(r"\bon[a-z]+=", page) == []


class Process:
    """A fleet's server as a process on one port, so that it can go and come back."""

    def __init__(self, directory: Path, port: int) -> None:
        listening = ["--http", f"127.0.0.1:{port}", "--mqtt", "127.0.0.1:0", "--json"]
        self.command = [sys.executable, "-m", "edgekit", "fleet", "up", str(directory), *listening]

    def start(self) -> str:
        """Its address, once it is up."""
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        return json.loads(self.process.stdout.readline())["http"]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=20)


@pytest.fixture
def process(tmp_path, keys):
    if find_installed() is None:
        pytest.skip("Mosquitto is not installed: apt-get install mosquitto")
    settings = FleetSettings(releases=str(tmp_path / "releases"), shards=2)
    found_fleet(FleetDirectory(root=tmp_path / "fleet"), settings, keys, datetime.now(timezone.utc))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Process(tmp_path / "fleet", port)
    yield server
    server.stop()


def test_the_page_outlives_the_server(process, open_page):
    """While the server is away the page says so and keeps what it knew; when it is back the page goes on by itself."""
    page = open_page(process.start(), faultless=False)
    wait_for(page, "#link", "live")
    wait_for(page, "#event-list", "the server starts")
    page.evaluate("window.mark = 'the same page'")
    process.stop()
    wait_for(page, "#link", "The server does not answer. What is shown is of")
    wait_for(page, "#event-list", "the server starts")
    process.start()
    wait_for(page, "#link", "live")
    wait_for(page, "#event-list", "the server stops")
    assert page.evaluate("window.mark") == "the same page"
