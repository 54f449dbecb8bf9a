"""An update that ends before any one of its changes to the disk goes on from there, and what it serves meanwhile is whole."""

import subprocess
import sys

import numpy as np

from edgekit.deployment import TrialTerms
from edgekit_agent.installing import Installer, Order, Source
from edgekit_agent.ledger import Ledger
from edgekit_agent.slots import SlotStore

#: Each attempt is a fork of one process, in which all is imported already: so the whole sweep takes seconds.
SWEEP = """
import os, shutil, sys, time, traceback
from pathlib import Path
import numpy as np
from edgekit.deployment import State
from edgekit.runtimes.onnx_runtime import OnnxRuntime
from edgekit.targets import Hardware
from edgekit_agent import updater as updater_module
from edgekit_agent.clock import Clock
from edgekit_agent.config import AgentConfig
from edgekit_agent.deploying import Deployer
from edgekit_agent.installing import Source
from edgekit_agent.inventory import Machine
from edgekit_agent.ledger import Ledger
from edgekit_agent.observing import Unheard
from edgekit_agent.orders import Orders
from edgekit_agent.serving import Serving
from edgekit_agent.slots import SlotStore
from edgekit_agent.updater import Updater
from edgekit_agent.upkeep import SlotFollower

base, repository, samples, answers = Path(sys.argv[1]), sys.argv[2], np.load(sys.argv[3]), np.load(sys.argv[4])
updater_module.TICK_S = 0.002
CRASHED = 77

def crash_before(at):
    calls = 0
    def wrap(name):
        real = getattr(os, name)
        def call(*args, **more):
            nonlocal calls
            calls += 1
            if calls == at:
                os._exit(CRASHED)
            return real(*args, **more)
        setattr(os, name, call)
    for name in ("replace", "rename", "link", "mkdir", "unlink", "rmdir", "remove"):
        wrap(name)

def ask(serving):
    with serving.leasing("digits") as lease:
        answer = lease.infer({"image": samples})
    assert np.allclose(answer.outputs["logits"], answers, atol=1e-5)
    return answer.info.version

def update(root):
    store, clock = SlotStore(root), Clock()
    machine = Machine(Hardware(machine="test", arch="x86_64"), {"onnxruntime": OnnxRuntime()})
    with Serving() as serving, store.locking():
        ledger = Ledger(root)
        deployer = Deployer(store, machine, serving, Source(repository))
        orders = Orders("roof-1", ledger, deployer.find_director_keys, clock)
        updater = Updater(
            device="roof-1", epoch="0" * 16, orders=orders, ledger=ledger, deployer=deployer, serving=serving, journal=Unheard(), clock=clock
        )
        updater.recover()
        SlotFollower(store, machine, AgentConfig(), serving).follow()
        active = store.read_slots("digits").active
        assert store.open_release(active).digest == active.digest
        assert ask(serving) in ("1.0.0", "2.0.0")
        with updater.running():
            deadline = time.monotonic() + 20
            while not (models := updater.describe_status().models) or models[0].deployment.state is not State.COMMITTED:
                assert time.monotonic() < deadline, models
                time.sleep(0.001)
            assert ask(serving) == "2.0.0"
    slots = store.read_slots("digits")
    assert (slots.active.release, slots.previous.release, slots.trial) == ("digits@2.0.0", "digits@1.0.0", None)
    for one in slots.held:
        assert store.open_release(one).digest == one.digest
    assert Ledger(root).list_deployments()[0].state is State.COMMITTED

def attempt(root, at):
    pid = os.fork()
    if pid == 0:
        try:
            if at:
                crash_before(at)
            update(root)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

for at in range(1, 1000):
    root = base.with_name("attempt")
    shutil.copytree(base, root)
    code = attempt(root, at)
    if code == CRASHED:
        assert attempt(root, 0) == 0, f"what was left by a crash before change {at} did not come right"
    shutil.rmtree(root)
    if code != CRASHED:
        assert code == 0
        break
print(at)
"""


def test_a_crash_before_any_change_to_the_disk_is_survived(tmp_path, fleet, machine, samples, answers):
    """From the first change to the last, one crash each: the next start serves a whole release with the right answers, and arrives."""
    fleet.publish("1.0.0")
    fleet.publish("2.0.0")
    store, ledger = SlotStore(tmp_path / "state"), Ledger(tmp_path / "state")
    Installer(store, machine, Source(str(fleet.repository))).install(Order("digits@1.0.0"))
    ledger.write_keys([fleet.signer.public_key])
    ledger.write_message(fleet.order(2, "2.0.0", "second", trial=TrialTerms(min_requests=0, min_s=0, max_s=0)), 2)
    np.save(tmp_path / "samples.npy", samples)
    np.save(tmp_path / "answers.npy", answers)
    command = [sys.executable, "-c", SWEEP, store.root, fleet.repository, tmp_path / "samples.npy", tmp_path / "answers.npy"]
    run = subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 20
