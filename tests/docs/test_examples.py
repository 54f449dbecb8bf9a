"""The code in the documentation runs as it stands."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edgekit import FleetClient
from edgekit.fleet.mosquitto import find_installed

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the examples, and the bundle that the README's first command makes."""
    directory = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "examples", directory / "examples")
    (command, *_) = find_blocks("README.md", "sh")
    words = command.replace("\\\n", " ").splitlines()[0].split()
    subprocess.run([sys.executable, "-m", "edgekit", *words[1:], "--to", "onnx"], cwd=directory, check=True, capture_output=True)
    return directory


def find_blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


@contextmanager
def serving(bundle: Path) -> Iterator[str]:
    """The agent, on a free port: its address."""
    command = [sys.executable, "-m", "edgekit_agent", "serve", str(bundle), "--http", "127.0.0.1:0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdout is not None
        try:
            yield re.findall(r"127\.0\.0\.1:\d+", agent.stdout.readline())[0]
        finally:
            agent.terminate()


@contextmanager
def started(place: Path, *words: str) -> Iterator[dict[str, Any]]:
    """A command of edgekit in the background: the JSON with which it says that it is up."""
    with subprocess.Popen([sys.executable, "-m", *words, "--json"], cwd=place, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


@contextmanager
def first_fleet(place: Path) -> Iterator[str]:
    """A fleet as the page on the first one makes it, with the device of its agent.toml and digits@1.0.0: the server's address."""
    keys = {**os.environ, "EDGEKIT_KEYS": str(place / "keys")}
    for words in ("keys new", "release publish digits-bundle --version 1.0.0 --to releases", "fleet init my-fleet --releases releases"):
        subprocess.run([sys.executable, "-m", "edgekit", *words.split()], cwd=place, env=keys, check=True, capture_output=True)
    listening = ["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"]
    with started(place, "edgekit", "fleet", "up", "my-fleet", *listening) as server, FleetClient(server["http"]) as fleet:
        (page,) = find_blocks("docs/getting-started/first-fleet.md", "toml")
        here = {"/var/lib/edgekit": "device", "/etc/edgekit/root.json": "releases/metadata/1.root.json"}
        for written, meant in (here | {"mqtt://127.0.0.1:1883": server["mqtt"], "http://127.0.0.1:8420": server["http"]}).items():
            page = page.replace(written, meant)
        (place / "agent.toml").write_text(page + '\n[api]\nhttp = "127.0.0.1:0"\n')
        with started(place, "edgekit_agent", "run", "--config", "agent.toml"):
            wait_until(lambda: any(one.device.inventory_digest for one in fleet.list_devices()))
            yield server["http"]


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def run(code: str, place: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_python_of_the_readme(place: Path) -> None:
    """The README's ten lines of Python print the first five digits."""
    (code,) = find_blocks("README.md", "python")
    assert re.fullmatch(r"\[\d \d \d \d \d\]\n", run(code, place))


def test_requests_of_the_guide(place: Path) -> None:
    """Both requests of the guide to the local API are answered, with JSON and with bytes."""
    with serving(place / "digits-bundle") as address:
        blocks = [code.replace("127.0.0.1:8080", address) for code in find_blocks("docs/guides/local-api.md", "python")]
        with_json, with_bytes = (run(code, place) for code in blocks)
    assert "logits" in with_json
    assert re.fullmatch(r"\d\n", with_bytes)


def test_the_guides_to_the_fleet(place: Path) -> None:
    """A device with the agent.toml of the first fleet joins it, and the code of the guides to rollouts and telemetry is answered."""
    if find_installed() is None:
        pytest.skip("Mosquitto is not installed: apt-get install mosquitto")
    with first_fleet(place) as address:
        pages = ("docs/guides/rollouts.md", "docs/guides/telemetry.md")
        plan, _ = (run(find_blocks(page, "python")[0].replace("http://127.0.0.1:8420", address), place) for page in pages)
    assert plan == "1 ['roof-1']\n100% []\n"


@pytest.mark.parametrize("page", sorted(str(path.relative_to(ROOT)) for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]))
def test_links_lead_somewhere(page: str) -> None:
    """Each relative link of a page names a file that is there."""
    targets = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", (ROOT / page).read_text())
    assert [target for target in targets if not (ROOT / page).parent.joinpath(target).exists()] == []
