"""The real agent, killed at any moment of an update: what it serves afterwards is what its slots say, and it goes on."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from edgekit.deployment import Deployment, State, TrialTerms
from edgekit_agent.installing import Installer, Order, Source
from edgekit_agent.ledger import Ledger
from edgekit_agent.slots import SlotStore

#: Long enough to be killed in it, and over without a request.
TRIAL = TrialTerms(min_requests=0, min_s=0.3, max_s=600)
PATIENCE_S = 40


class Process:
    """`edgekit-agent run` on a state directory. Its fleet's broker is away: what is desired was accepted before."""

    def __init__(self, root: Path, repository: Path) -> None:
        self.root = root
        self.store = SlotStore(root / "state")
        self.ledger = Ledger(root / "state")
        self.process: subprocess.Popen[bytes] | None = None
        self._log = root / "agent.log"
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        self._config = root / "agent.toml"
        self._config.write_text(
            f"""
state = "{root / "state"}"
[api]
http = "127.0.0.1:0"
[releases]
from = "{repository}"
trust_root = "{repository / "metadata" / "1.root.json"}"
[device]
id = "roof-1"
runtimes = ["onnxruntime"]
[fleet]
broker = "mqtt://127.0.0.1:{port}"
"""
        )

    def start(self) -> str:
        """Start it; its address, once it says it."""
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "edgekit_agent", "run", "--config", str(self._config), "--json"]
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        line = self.process.stdout.readline()
        assert line, self._log.read_text()
        return json.loads(line)["address"]

    def kill(self) -> None:
        """End it as a power cut or the kernel does: without a word."""
        self.process.kill()
        self.process.wait(10)
        self.process.stdout.close()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0, self._log.read_text()
        self.process.stdout.close()

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def deployment(self) -> Deployment | None:
        return next(iter(self.ledger.list_deployments()), None)

    def wait_until(self, *states: State) -> State:
        """Look at what is on the disk as often as the machine allows, until it is one of *states*."""
        deadline = time.monotonic() + PATIENCE_S
        while (found := self.deployment) is None or found.id != "second" or found.state not in states:
            assert time.monotonic() < deadline, (found, self._log.read_text())
            time.sleep(0.0005)
        return found.state

    def forgive(self) -> None:
        """Make the last end that of another boot, which is held against no release."""
        (self.root / "state" / "running").write_bytes(b"another boot")


@pytest.fixture
def process(tmp_path, fleet, machine):
    """An agent on whose device 1.0.0 is installed, and which has accepted the message that asks for 2.0.0."""
    fleet.publish("1.0.0")
    fleet.publish("2.0.0")
    process = Process(tmp_path, fleet.repository)
    Installer(process.store, machine, Source(str(fleet.repository))).install(Order("digits@1.0.0"))
    process.ledger.write_keys([fleet.signer.public_key])
    process.ledger.write_message(fleet.order(2, "2.0.0", "second", trial=TRIAL), 2)
    yield process
    if process.is_running:
        process.kill()


def infer(address: str, images: np.ndarray) -> tuple[str, np.ndarray]:
    tensor = {"name": "image", "shape": list(images.shape), "datatype": "FP32", "data": images.ravel().tolist()}
    data = json.dumps({"inputs": [tensor]}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{address}/v2/models/digits/infer", data), timeout=20) as answer:
        told = json.load(answer)
    return told["model_version"], np.array(told["outputs"][0]["data"], np.float32).reshape(told["outputs"][0]["shape"])


def check(process: Process, address: str, samples: np.ndarray, answers: np.ndarray) -> None:
    """What answers is right, and a release that a slot holds; every byte of each is what its digest says."""
    version, got = infer(address, samples)
    assert np.allclose(got, answers, atol=1e-5)
    slots = process.store.read_slots("digits")
    assert f"digits@{version}" in [one.release for one in slots.held]
    for one in slots.held:
        assert process.store.open_release(one).digest == one.digest


@pytest.mark.parametrize("state", [State.PENDING, State.DOWNLOADING, State.PROVING, State.TRIAL, State.COMMITTED])
def test_killed_when_a_state_is_written_it_serves_and_goes_on(process, samples, answers, state):
    """SIGKILL as soon as a state is seen on the disk: the next start serves at once, and ends with the new release."""
    order = list(State)
    process.start()
    process.wait_until(*(one for one in order[: order.index(State.COMMITTED) + 1] if order.index(one) >= order.index(state)))
    process.kill()
    address = process.start()
    check(process, address, samples, answers)
    process.wait_until(State.COMMITTED)
    check(process, address, samples, answers)
    process.stop()
    slots = process.store.read_slots("digits")
    assert (slots.active.release, slots.previous.release, slots.trial) == ("digits@2.0.0", "digits@1.0.0", None)
    assert infer_after_restart(process, samples) == "2.0.0"


def infer_after_restart(process: Process, samples: np.ndarray) -> str:
    version = infer(process.start(), samples[:1])[0]
    process.stop()
    return version


def test_killed_again_and_again_at_any_moment_it_arrives(process, samples, answers):
    """Ten ends at random moments, most of them between two writes to the disk: each start serves, and the last one has arrived."""
    rng = random.Random(os.environ.get("EDGEKIT_SEED", "ten"))
    for _ in range(10):
        address = process.start()
        check(process, address, samples[:2], answers[:2])
        time.sleep(rng.uniform(0, 0.25))
        process.kill()
        process.forgive()
    address = process.start()
    process.wait_until(State.COMMITTED)
    check(process, address, samples, answers)
    process.stop()
    assert process.store.read_slots("digits").active.release == "digits@2.0.0"


def test_three_crashes_on_trial_take_it_back(process, samples, answers):
    """An agent that dies each time while the release is on trial gives it up, and serves the old one."""
    for _ in range(3):
        process.start()
        process.wait_until(State.TRIAL)
        process.kill()
    address = process.start()
    assert process.wait_until(State.ROLLED_BACK) is State.ROLLED_BACK
    assert "crashed 3 times" in process.deployment.reason
    check(process, address, samples, answers)
    assert infer(address, samples[:1])[0] == "1.0.0"
    process.stop()
