"""A device comes to what its fleet desires, or stays with what it had and says why."""

import errno
import shutil
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from securesystemslib.signer import CryptoSigner

from edgekit.bundles import open_bundle
from edgekit.deployment import Deployment, State, TrialTerms
from edgekit.fetching.pace import Patience
from edgekit.runtimes.onnx_runtime import OnnxRuntime
from edgekit.targets import Hardware
from edgekit_agent import deploying as deploying_module
from edgekit_agent import orders as orders_module
from edgekit_agent import stepping as stepping_module
from edgekit_agent import updater as updater_module
from edgekit_agent.clock import Clock
from edgekit_agent.config import AgentConfig
from edgekit_agent.deploying import Deployer
from edgekit_agent.installing import Source
from edgekit_agent.inventory import Machine
from edgekit_agent.ledger import Ledger
from edgekit_agent.orders import Orders
from edgekit_agent.raw_access import RawUnavailable
from edgekit_agent.serving import Serving, UnknownModel
from edgekit_agent.slots import ModelSlots, SlotStore
from edgekit_agent.updater import Updater
from edgekit_agent.upkeep import SlotFollower

BRIGHT = np.float32(1000)
#: Enough is seen after three requests, at once.
SHORT = TrialTerms(min_requests=3, min_s=0, max_s=600, max_error_rate=0.1)
#: Nothing is ever enough.
LONG = TrialTerms(min_requests=1_000_000, min_s=0, max_s=86_400)
#: Nothing is waited for.
NONE = TrialTerms(min_requests=0, min_s=0, max_s=0)
#: Requests are asked for, and not waited for.
IMPATIENT = TrialTerms(min_requests=2, min_s=0, max_s=0)


class Journal:
    def __init__(self) -> None:
        self.events = []

    def on_event(self, kind, model, text) -> None:
        self.events.append((kind, model, text))


class Faketime:
    """A clock whose two hands can be set."""

    def __init__(self) -> None:
        self.wall_ahead = self.monotonic_ahead = 0.0
        self.clock = Clock(lambda: time.time() + self.wall_ahead, lambda: time.monotonic() + self.monotonic_ahead)


@dataclass
class Device:
    """An agent's parts without its sockets: what serves, and what updates it."""

    updater: Updater
    serving: Serving
    store: SlotStore
    journal: Journal
    changed: threading.Event = field(default_factory=threading.Event)

    def obey(self, message: bytes) -> None:
        self.updater.offer(message)

    @property
    def deployment(self) -> Deployment | None:
        models = self.updater.describe_status().models
        return models[0].deployment if models else None

    def wait_for(self, is_so, what="") -> None:
        deadline = time.monotonic() + 20
        while not is_so():
            assert time.monotonic() < deadline, (what, self.updater.describe_status(), self.journal.events)
            time.sleep(0.005)

    def wait_until(self, state: State, deployment: str | None = None) -> Deployment:
        self.wait_for(lambda: self.deployment and self.deployment.state is state and deployment in (None, self.deployment.id), state)
        return self.deployment

    def infer(self, images: np.ndarray) -> tuple[str, np.ndarray]:
        with self.serving.leasing("digits") as lease:
            answer = lease.infer({"image": images})
            return answer.info.version, answer.outputs["logits"]


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(updater_module, "TICK_S", 0.01)


@pytest.fixture
def faketime() -> Faketime:
    return Faketime()


@pytest.fixture
def start(tmp_path, machine, fleet, faketime):
    """Starts a device on a state directory; it is stopped as if it had been killed, unless *stop* is called."""
    with ExitStack() as stack:

        def start(state="state", *, source=None, machine=machine, device="roof-1") -> Device:
            store, journal = SlotStore(tmp_path / state), Journal()
            serving = stack.enter_context(Serving())
            stack.enter_context(store.locking())
            ledger = Ledger(store.root)
            deployer = Deployer(store, machine, serving, Source(str(source or fleet.repository), fleet.repository / "metadata" / "1.root.json"))
            changed = threading.Event()
            updater = Updater(
                device=device,
                epoch="0" * 16,
                orders=Orders(device, ledger, deployer.find_director_keys, faketime.clock),
                ledger=ledger,
                deployer=deployer,
                serving=serving,
                journal=journal,
                clock=faketime.clock,
            )
            updater.watch(changed.set)
            updater.recover()
            SlotFollower(store, machine, AgentConfig(), serving).follow()
            stack.enter_context(updater.running())
            return Device(updater, serving, store, journal, changed)

        yield start


def copy_whole(source: Path, destination: Path) -> bool:
    shutil.rmtree(destination, ignore_errors=True)
    try:
        shutil.copytree(source, destination)
    except shutil.Error:
        return False
    return True


@pytest.fixture
def crash(tmp_path, start):
    """Takes what is on the disk of a device at some moment, as SIGKILL leaves it, and starts another device from there."""
    copies = iter(range(100))

    class Crash:
        @staticmethod
        def start(left: Path, **options) -> Device:
            return start(left.name, **options)

        @staticmethod
        def copy(device: Device, change=lambda root: None) -> Path:
            left = tmp_path / f"crashed-{next(copies)}"
            # What is being tidied away just now may vanish under the copy; then it is made again.
            device.wait_for(lambda: copy_whole(device.store.root, left))
            change(left)
            return left

    return Crash()


def commit(device: Device, fleet, counter: int, version: str) -> None:
    device.obey(fleet.order(counter, version, f"d{counter}", trial=NONE))
    device.wait_until(State.COMMITTED, f"d{counter}")


# What is desired is brought about.


def test_a_first_release_is_tried_and_committed(start, fleet, samples, answers):
    """From nothing: fetched, proved, tried with real requests, committed; the slots and the status say so."""
    digest = fleet.publish("1.0.0")
    device = start()
    device.obey(fleet.order(7, "1.0.0", "first", trial=SHORT))
    device.wait_until(State.TRIAL)
    assert device.store.read_slots("digits").active is None
    for _ in range(3):
        assert np.allclose(device.infer(samples)[1], answers, atol=1e-5)
    done = device.wait_until(State.COMMITTED)
    assert (done.id, done.release, done.digest, done.variant, done.evidence.requests) == ("first", "digits@1.0.0", digest, "onnx-fp32", 3)
    slots = device.store.read_slots("digits")
    assert (slots.active.digest, slots.trial, slots.previous) == (digest, None, None)
    status = device.updater.describe_status()
    assert (status.device, status.counter, status.refused) == ("roof-1", 7, "")
    told = status.models[0]
    assert (told.release, told.digest, told.variant, told.runtime, told.previous) == ("digits@1.0.0", digest, "onnx-fp32", "onnxruntime", None)


def test_each_state_is_told_in_order(start, fleet):
    """The journal hears of each state once, with a reason, and each change has a revision of its own."""
    fleet.publish("1.0.0")
    device = start()
    before = device.updater.describe_status().revision
    commit(device, fleet, 1, "1.0.0")
    texts = [text for kind, _, text in device.journal.events if kind == "deployment"]
    phrases = ["is asked for", "is being fetched", "golden samples: onnx-fp32: unmeasured on", "is on trial", "is committed: 0 requests"]
    assert len(texts) == len(phrases)
    assert all(phrase in text for phrase, text in zip(phrases, texts, strict=True))
    assert device.updater.describe_status().revision >= before + len(phrases)
    assert device.changed.is_set()


def test_a_second_release_has_the_first_behind_it(start, fleet, samples):
    """During its trial the status names what it returns to; afterwards the first is the previous one."""
    fleet.publish("1.0.0")
    fleet.publish("2.0.0")
    device = start()
    commit(device, fleet, 1, "1.0.0")
    device.obey(fleet.order(2, "2.0.0", "second", trial=SHORT))
    device.wait_until(State.TRIAL)
    device.wait_for(lambda: device.infer(samples[:1])[0] == "2.0.0")
    told = device.updater.describe_status().models[0]
    assert (told.release, told.previous) == ("digits@2.0.0", "digits@1.0.0")
    device.infer(samples[:1])
    device.infer(samples[:1])
    device.wait_until(State.COMMITTED)
    slots = device.store.read_slots("digits")
    assert (slots.active.release, slots.previous.release, slots.trial) == ("digits@2.0.0", "digits@1.0.0", None)


def test_what_is_active_already_is_committed_at_once(start, fleet):
    """A new deployment of what serves needs no work, and says why."""
    fleet.publish("1.0.0")
    device = start()
    commit(device, fleet, 1, "1.0.0")
    shutil.rmtree(fleet.repository)
    device.obey(fleet.order(2, "1.0.0", "again", trial=LONG))
    done = device.wait_until(State.COMMITTED, "again")
    assert (done.reason, done.variant) == ("already active", "onnx-fp32")


def test_a_return_needs_no_network(start, fleet, samples):
    """The previous release is still here, so going back to it works with the repository gone."""
    fleet.publish("1.0.0")
    fleet.publish("2.0.0")
    device = start()
    commit(device, fleet, 1, "1.0.0")
    commit(device, fleet, 2, "2.0.0")
    shutil.rmtree(fleet.repository)
    commit(device, fleet, 3, "1.0.0")
    assert device.infer(samples[:1])[0] == "1.0.0"
    assert device.store.read_slots("digits").previous.release == "digits@2.0.0"


def test_a_damaged_copy_is_fetched_again(start, fleet, samples):
    """Where a byte of the previous release has changed, going back to it fetches it anew."""
    fleet.publish("1.0.0")
    fleet.publish("2.0.0")
    device = start()
    commit(device, fleet, 1, "1.0.0")
    bundle = device.store.open_release(device.store.read_slots("digits").active)
    commit(device, fleet, 2, "2.0.0")
    path = bundle.path_of(bundle.variants[0])
    path.write_bytes(b"\0" + path.read_bytes()[1:])
    commit(device, fleet, 3, "1.0.0")
    assert device.infer(samples[:1])[0] == "1.0.0"


def test_nothing_installed_can_be_desired(start, fleet, samples):
    """A device that had nothing goes back to nothing: no model serves, none is expected, and it is committed."""
    fleet.publish("1.0.0")
    device = start()
    commit(device, fleet, 1, "1.0.0")
    assert device.serving.is_ready
    device.obey(fleet.order(2, None, "d1-back", trial=NONE))
    done = device.wait_until(State.COMMITTED, "d1-back")
    assert (done.release, done.digest, done.reason) == ("", None, "no release is desired")
    with pytest.raises(UnknownModel):
        device.infer(samples[:1])
    assert device.store.read_slots("digits").active is None
    told = device.updater.describe_status().models[0]
    assert (told.release, told.previous) == (None, "digits@1.0.0")


def test_only_the_desired_variant_is_fetched(start, fleet):
    """The message may choose the variant; else the agent does."""
    fleet.publish("1.0.0", variants=("onnx-fp32", "onnx-int8"))
    device = start()
    device.obey(fleet.order(1, "1.0.0", "a", trial=NONE))
    assert device.wait_until(State.COMMITTED).variant == "onnx-int8"
    device.obey(fleet.order(2, "1.0.0", "b", variant="onnx-fp32", trial=NONE))
    assert device.wait_until(State.COMMITTED, "b").variant == "onnx-fp32"


def test_a_model_of_which_nothing_is_said_stays(start, fleet, samples):
    """A message that does not name a model leaves it as it is."""
    fleet.publish("1.0.0")
    device = start()
    commit(device, fleet, 1, "1.0.0")
    device.obey(fleet.sign(2))
    device.wait_for(lambda: device.updater.describe_status().counter == 2)
    assert device.infer(samples[:1])[0] == "1.0.0"
    assert device.deployment.state is State.COMMITTED


# What is wrong is refused.


def test_permuted_weights_are_refused_before_they_go_live(start, fleet, samples, answers):
    """A signed release whose answers are not those of its golden samples fails at proving, and the old one never stops."""
    fleet.publish("1.0.0")
    fleet.publish("2.0.0", betrayed=True)
    device = start()
    commit(device, fleet, 1, "1.0.0")
    device.obey(fleet.order(2, "2.0.0", "bad", trial=SHORT))
    failed = device.wait_until(State.FAILED)
    assert "golden samples" in failed.reason
    version, got = device.infer(samples)
    assert (version, np.allclose(got, answers, atol=1e-5)) == ("1.0.0", True)
    slots = device.store.read_slots("digits")
    assert (slots.active.release, slots.trial) == ("digits@1.0.0", None)


def test_a_release_that_fails_real_requests_is_rolled_back(start, fleet, samples, answers):
    """Right on its golden samples and NaN on bright images: each such request is rescued, and then the release goes."""
    fleet.publish("1.0.0")
    fleet.publish("2.0.0", sly=True)
    device = start()
    commit(device, fleet, 1, "1.0.0")
    honest = device.infer(samples[:1] + BRIGHT)[1]
    device.obey(fleet.order(2, "2.0.0", "sly", trial=LONG))
    device.wait_for(lambda: device.infer(samples[:1])[0] == "2.0.0")
    for _ in range(3):
        version, got = device.infer(samples[:1] + BRIGHT)
        assert version == "1.0.0"
        assert np.array_equal(got, honest)
    back = device.wait_until(State.ROLLED_BACK)
    assert "requests failed" in back.reason
    assert (back.evidence.failed, back.evidence.rescued) == (3, 3)
    version, got = device.infer(samples)
    assert (version, np.allclose(got, answers, atol=1e-5)) == ("1.0.0", True)
    assert device.store.read_slots("digits").trial is None


def test_a_first_release_that_fails_is_rolled_back_to_nothing(start, fleet, samples):
    """With nothing behind it, a release that fails its trial leaves a device that serves nothing and is not ready."""
    fleet.publish("1.0.0", sly=True)
    device = start()
    device.obey(fleet.order(1, "1.0.0", "sly", trial=LONG))
    device.wait_for(device.serving.list_models)
    for _ in range(3):
        device.infer(samples[:1] + BRIGHT)
    device.wait_until(State.ROLLED_BACK)
    assert device.store.read_slots("digits") == ModelSlots()
    assert device.serving.list_models() == []
    assert not device.serving.is_ready
    device.wait_for(lambda: list((device.store.root / "releases").iterdir()) == [])


def test_too_few_requests_leave_it_unproven(start, fleet, samples):
    """At the end of its time the golden samples decide: it serves, is told to be unproven, and can still be taken back."""
    fleet.publish("1.0.0")
    fleet.publish("2.0.0")
    device = start()
    commit(device, fleet, 1, "1.0.0")
    device.obey(fleet.order(2, "2.0.0", "idle", trial=IMPATIENT))
    unproven = device.wait_until(State.UNPROVEN)
    assert "only 0 requests" in unproven.reason
    assert "32 golden samples" in unproven.reason
    told = device.updater.describe_status().models[0]
    assert (told.release, told.previous) == ("digits@2.0.0", "digits@1.0.0")
    device.obey(fleet.order(3, "1.0.0", "idle-back", trial=NONE))
    assert device.wait_until(State.COMMITTED, "idle-back").reason == "already active"
    assert device.infer(samples[:1])[0] == "1.0.0"


def test_an_unproven_release_is_proved_later(start, fleet, samples):
    """Requests that come after its time still prove it, and then it is committed."""
    fleet.publish("1.0.0")
    device = start()
    device.obey(fleet.order(1, "1.0.0", "idle", trial=IMPATIENT))
    device.wait_until(State.UNPROVEN)
    device.infer(samples[:1])
    device.infer(samples[:1])
    device.wait_until(State.COMMITTED)
    assert device.store.read_slots("digits").active.release == "digits@1.0.0"


def test_an_unproven_release_can_still_fail(start, fleet, samples):
    """Requests that come after its time and fail are rescued, and take it back."""
    fleet.publish("1.0.0")
    fleet.publish("2.0.0", sly=True)
    device = start()
    commit(device, fleet, 1, "1.0.0")
    device.obey(fleet.order(2, "2.0.0", "sly", trial=TrialTerms(min_requests=50, min_s=0, max_s=0)))
    device.wait_until(State.UNPROVEN)
    for _ in range(3):
        assert device.infer(samples[:1] + BRIGHT)[0] == "1.0.0"
    device.wait_until(State.ROLLED_BACK)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"digest": "sha256:" + "0" * 64}, "was expected"),
        ({"floor": "1.5.0"}, "older than 1.5.0"),
        ({"release": "digits@9.0.0"}, "no such release"),
        ({"release": "cats@1.0.0"}, "no release of the model 'digits'"),
        ({"release": "digits"}, "does not name a release"),
        ({"variant": "onnx-int4"}, "onnx-int4"),
    ],
)
def test_an_order_that_cannot_be_obeyed_fails(start, fleet, fields, problem):
    """Another digest, too old a version, no such release, model or variant: FAILED with the reason, and nothing is installed."""
    fleet.publish("1.0.0")
    device = start()
    device.obey(fleet.order(1, "1.0.0", "odd", **{"trial": NONE} | fields))
    assert problem in device.wait_until(State.FAILED).reason
    assert device.store.list_models() == []
    assert not list(device.store.blobs.glob("[!.]*"))


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda fleet: b"{", "no signed envelope"),
        (lambda fleet: fleet.sign(9, device="roof-2"), "for the device 'roof-2'"),
        (lambda fleet: fleet.sign(1), "a replay"),
        (lambda fleet: fleet.sign(9, signer=CryptoSigner.generate_ed25519()), "not signed by the fleet's director"),
        (lambda fleet: b"x" * 100_000, "is the most"),
    ],
)
def test_a_wrong_message_changes_nothing(start, fleet, make, problem):
    """What is damaged, too long, for another device, replayed or a stranger's is told of and changes nothing, until a good one comes."""
    fleet.publish("1.0.0")
    device = start()
    commit(device, fleet, 2, "1.0.0")
    before = device.store.root.joinpath("desired.json").read_bytes()
    device.obey(make(fleet))
    device.wait_for(lambda: problem in device.updater.describe_status().refused)
    status = device.updater.describe_status()
    assert (status.counter, status.models[0].deployment.id, device.deployment.state) == (2, "d2", State.COMMITTED)
    assert device.store.root.joinpath("desired.json").read_bytes() == before
    assert [kind for kind, _, text in device.journal.events if problem in text] == ["refused"]
    device.obey(fleet.sign(3))
    device.wait_for(lambda: device.updater.describe_status().refused == "")


def test_a_new_director_is_learned(start, fleet, monkeypatch):
    """After the director's key was replaced in the repository, the new one is obeyed, and then the old one no longer is."""
    monkeypatch.setattr(orders_module, "KEYS_S", 0.0)
    fleet.publish("1.0.0")
    old = fleet.signer
    device = start()
    commit(device, fleet, 1, "1.0.0")
    fleet.appoint(CryptoSigner.generate_ed25519())
    device.obey(fleet.sign(2))
    device.wait_for(lambda: device.updater.describe_status().counter == 2)
    device.obey(fleet.sign(3, signer=old))
    device.wait_for(lambda: "not signed" in device.updater.describe_status().refused)
    assert device.updater.describe_status().counter == 2


def test_the_clock_and_an_expired_message(start, fleet, faketime):
    """A message that has expired by this device's clock is refused."""
    fleet.publish("1.0.0")
    device = start()
    faketime.wall_ahead = 2 * 86_400
    device.obey(fleet.order(1, "1.0.0", "late"))
    device.wait_for(lambda: "expired" in device.updater.describe_status().refused)


# Every state, and what may happen in it.


class Gate:
    """Open until it is closed; then nobody gets through, and it says that somebody came."""

    def __init__(self) -> None:
        self.came, self.opened = threading.Event(), threading.Event()
        self.opened.set()
        self.ranges = []
        self.is_silent = False

    def close(self) -> None:
        self.came.clear()
        self.opened.clear()

    def pass_through(self) -> None:
        self.came.set()
        assert self.opened.wait(20)


class GatedRuntime(OnnxRuntime):
    """ONNX Runtime behind a gate, as on a device that takes long to load a model."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def open(self, path, threads):
        self._gate.pass_through()
        return super().open(path, threads)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.opened.set()


@pytest.fixture
def gated_source(fleet, gate):
    """The repository behind a server that sends half of a model's file at once, and while the gate is closed the rest byte by byte."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_args):
            """Tests keep their output to themselves."""

        def copyfile(self, source, outputfile):
            data = memoryview(source.read())
            if self.headers["Range"]:
                gate.ranges.append(self.headers["Range"])
            outputfile.write(data[: len(data) // 2])
            data = data[len(data) // 2 :]
            while len(data) > 10_000 and not gate.opened.wait(0.01):
                sent = 0 if gate.is_silent else 1
                outputfile.write(data[:sent])
                outputfile.flush()
                data = data[sent:]
                gate.came.set()
            outputfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(fleet.repository)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    gate.opened.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def hold(start, fleet, gate, gated_source):
    """A device that serves 1.0.0, and whose deployment of 2.0.0 stays in the state that is asked for."""

    def hold(state: State) -> Device:
        for version in ("1.0.0", "2.0.0", "3.0.0"):
            fleet.publish(version)
        runtime = GatedRuntime(gate) if state is State.PROVING else OnnxRuntime()
        machine = Machine(Hardware(machine="test", arch="x86_64"), {"onnxruntime": runtime})
        device = start(machine=machine, source=gated_source if state is State.DOWNLOADING else None)
        commit(device, fleet, 1, "1.0.0")
        gate.close()
        device.obey(fleet.order(2, "2.0.0", "second", trial=IMPATIENT if state is State.UNPROVEN else LONG))
        device.wait_until(state, "second")
        assert state not in (State.DOWNLOADING, State.PROVING) or gate.came.wait(20)
        return device

    return hold


HELD = [State.DOWNLOADING, State.PROVING, State.TRIAL, State.UNPROVEN]
ENDED = [State.COMMITTED, State.ROLLED_BACK, State.FAILED, State.SUPERSEDED]


def rewrite(state: State):
    """Changes what is on the disk of a device to *state*, as a crash between two writes leaves it."""

    def change(root: Path) -> None:
        path = root / "models" / "digits" / "deployment.json"
        path.write_bytes(replace(Deployment.decode(path.read_bytes()), state=state).encode())

    return change


@pytest.mark.parametrize("state", HELD)
def test_a_newer_message_interrupts_every_state(hold, gate, fleet, samples, state):
    """Whatever is under way, even half of a download, gives way to what is desired now; nobody but the new release is left."""
    device = hold(state)
    device.obey(fleet.order(3, "3.0.0", "third", trial=NONE))
    if state is State.DOWNLOADING:
        device.wait_for(lambda: any("digits@2.0.0 gave way" in text for _, _, text in device.journal.events))
    gate.opened.set()
    device.wait_until(State.COMMITTED, "third")
    assert device.infer(samples[:1])[0] == "3.0.0"
    slots = device.store.read_slots("digits")
    assert (slots.active.release, slots.previous.release, slots.trial) == ("digits@3.0.0", "digits@1.0.0", None)
    assert any("digits@2.0.0 gave way" in text for _, _, text in device.journal.events)
    device.wait_for(lambda: len(list((device.store.root / "releases").iterdir())) == 2)


@pytest.mark.parametrize("state", HELD)
def test_an_order_that_is_withdrawn_ends_every_state(hold, gate, fleet, samples, state):
    """A message that no longer names the model ends what is under way, and what served before serves."""
    device = hold(state)
    device.obey(fleet.sign(3))
    if state is State.PROVING:
        gate.opened.set()  # a runtime cannot be interrupted
    device.wait_until(State.SUPERSEDED)
    device.wait_for(lambda: device.infer(samples[:1])[0] == "1.0.0")
    assert device.store.read_slots("digits").trial is None


@pytest.mark.parametrize("state", HELD)
def test_a_crash_in_every_state_is_survived(hold, crash, gate, samples, answers, state):
    """From what is on the disk the device serves the proven release at once, and then goes on to where it was going."""
    left = crash.copy(hold(state))
    gate.opened.set()
    device = crash.start(left)
    assert np.allclose(device.infer(samples)[1], answers, atol=1e-5)
    goal = State.UNPROVEN if state is State.UNPROVEN else State.TRIAL
    assert device.wait_until(goal, "second").crashes == (0 if state is State.DOWNLOADING else 1)
    device.wait_for(lambda: device.infer(samples[:1])[0] == "2.0.0")
    assert device.updater.describe_status().counter == 2
    assert device.store.read_slots("digits").active.release == "digits@1.0.0"


def test_a_crash_before_anything_began_is_survived(hold, crash, samples):
    """A deployment that was written down and not begun is begun."""
    device = crash.start(crash.copy(hold(State.TRIAL), rewrite(State.PENDING)))
    device.wait_until(State.TRIAL, "second")
    device.wait_for(lambda: device.infer(samples[:1])[0] == "2.0.0")


@pytest.mark.parametrize("state", ENDED)
def test_what_was_decided_is_carried_out_after_a_crash(hold, crash, samples, state):
    """A crash between the decision, which is on the disk, and the slots: the next start finishes the move."""
    device = crash.start(crash.copy(hold(State.TRIAL), rewrite(state)))
    slots = device.store.read_slots("digits")
    release, previous = ("digits@2.0.0", "digits@1.0.0") if state is State.COMMITTED else ("digits@1.0.0", None)
    assert (slots.active.release, slots.previous and slots.previous.release) == (release, previous)
    if state is State.SUPERSEDED:
        # It is desired all the same, so it is begun anew.
        device.wait_until(State.TRIAL, "second")
    else:
        assert slots.trial is None
        assert device.deployment.state is state
        assert device.infer(samples[:1])[0] == release.removeprefix("digits@")


@pytest.mark.parametrize("state", HELD)
def test_a_crash_after_a_newer_message_was_kept(hold, crash, gate, fleet, samples, state):
    """The message is on the disk and its deployment is not: the old one gives way at the next start."""
    device = hold(state)
    message = fleet.order(3, "3.0.0", "third", trial=NONE)
    left = crash.copy(device, lambda root: Ledger(root).write_message(message, 3))
    gate.opened.set()
    device = crash.start(left)
    device.wait_until(State.COMMITTED, "third")
    assert device.infer(samples[:1])[0] == "3.0.0"


@pytest.mark.parametrize(("state", "end"), [(State.PROVING, State.FAILED), (State.TRIAL, State.ROLLED_BACK), (State.UNPROVEN, State.ROLLED_BACK)])
def test_three_crashes_are_enough(hold, crash, gate, samples, state, end):
    """A release with which the agent crashed three times is not tried a fourth time; the old one serves."""
    device = hold(state)
    for _ in range(3):
        left = crash.copy(device, rewrite(state))
        gate.opened.set()
        device = crash.start(left)
    assert "crashed 3 times" in device.wait_until(end).reason
    device.wait_for(lambda: device.infer(samples[:1])[0] == "1.0.0")
    assert [kind for kind, _, _ in device.journal.events] == ["deployment"]


def test_a_stop_and_a_power_cut_are_no_crash(hold, crash):
    """An agent that was asked to end, or whose machine was started again, has nothing to answer for."""
    device = crash.start(crash.copy(hold(State.TRIAL), lambda root: (root / "running").unlink()))
    assert device.wait_until(State.TRIAL).crashes == 0
    device = crash.start(crash.copy(device, lambda root: (root / "running").write_bytes(b"another boot")))
    assert device.wait_until(State.TRIAL).crashes == 0


@pytest.mark.parametrize(("state", "end"), [(State.DOWNLOADING, State.FAILED), (State.TRIAL, State.ROLLED_BACK)])
def test_a_state_that_lasts_too_long_ends(hold, gate, faketime, samples, state, end):
    """At its deadline, by the clock that nobody sets, a state ends, and the old release serves."""
    device = hold(state)
    faketime.monotonic_ahead = 8 * 86_400
    gate.opened.set()
    assert "too long" in device.wait_until(end).reason
    device.wait_for(lambda: device.infer(samples[:1])[0] == "1.0.0")


@pytest.mark.parametrize("days", [-400, 400])
def test_a_clock_that_is_set_ends_no_trial(hold, faketime, samples, days):
    """A wall clock set back or forward by a year neither ends a trial nor makes it late."""
    device = hold(State.TRIAL)
    faketime.wall_ahead = days * 86_400
    revision = device.updater.describe_status().revision
    device.obey(b"{")
    device.wait_for(lambda: device.updater.describe_status().revision > revision)
    for _ in range(3):
        device.infer(samples[:1])
    device.wait_for(lambda: device.serving.find_evidence("digits").requests >= 3)
    assert device.deployment.state is State.TRIAL


# Sources, disks and runtimes that fail.


def test_a_source_that_is_away_is_tried_again(start, fleet, monkeypatch, tmp_path):
    """Until the source answers, the deployment waits with the reason; then it goes on by itself."""
    monkeypatch.setattr(stepping_module, "LONGEST_WAIT_S", 0.05)
    fleet.publish("1.0.0")
    device = start()
    commit(device, fleet, 1, "1.0.0")
    fleet.publish("2.0.0")
    blobs = fleet.repository / "blobs"
    blobs.rename(tmp_path / "away")
    device.obey(fleet.order(2, "2.0.0", "second", trial=NONE))
    device.wait_for(lambda: "attempt 2 failed" in device.wait_until(State.DOWNLOADING, "second").reason)
    (tmp_path / "away").rename(blobs)
    device.wait_until(State.COMMITTED, "second")


def test_a_source_that_falls_silent_holds_nobody(hold, gate, fleet, monkeypatch):
    """Where a source sends nothing more, and does not hang up either, a newer message is obeyed all the same."""
    monkeypatch.setattr(deploying_module, "PATIENCE", Patience(read=0.2, retries=0))
    gate.is_silent = True
    device = hold(State.DOWNLOADING)
    device.obey(fleet.order(3, "1.0.0", "back", trial=NONE))
    assert device.wait_until(State.COMMITTED, "back").reason == "already active"
    assert not gate.opened.is_set()


def test_a_download_goes_on_where_it_broke_off(hold, crash, gate, gated_source):
    """After a crash in the middle of a file, what had come of it is not asked for again."""
    left = crash.copy(hold(State.DOWNLOADING))
    size = next((left / "blobs" / "sha256").glob(".*.partial")).stat().st_size
    assert size > 0
    gate.opened.set()
    device = crash.start(left, source=gated_source)
    device.wait_until(State.TRIAL)
    assert f"bytes={size}-" in gate.ranges


def test_a_rotted_release_is_deployed_again(start, crash, fleet, samples):
    """What is committed and cannot be loaded after a start is fetched and proved again, under the same deployment."""
    fleet.publish("1.0.0")
    device = start()
    commit(device, fleet, 1, "1.0.0")

    def rot(root: Path) -> None:
        for model in root.glob("releases/*/variants/*/model.onnx"):
            model.write_bytes(b"\0" + model.read_bytes()[1:])

    device = crash.start(crash.copy(device, rot))
    device.wait_for(device.serving.list_models)
    device.wait_until(State.COMMITTED, "d1")
    assert device.infer(samples[:1])[0] == "1.0.0"


def test_what_somebody_else_installed_gives_way(start, crash, fleet, samples):
    """A rollback by hand while the agent was not running is undone: in a fleet, the desired state decides."""
    fleet.publish("1.0.0")
    fleet.publish("2.0.0")
    device = start()
    commit(device, fleet, 1, "1.0.0")
    commit(device, fleet, 2, "2.0.0")
    device = crash.start(crash.copy(device, lambda root: SlotStore(root).roll_back("digits")))
    assert device.store.read_slots("digits").active.release == "digits@1.0.0"
    device.wait_until(State.COMMITTED, "d2")
    device.wait_for(lambda: device.infer(samples[:1])[0] == "2.0.0")


def test_damaged_records_are_forgotten(start, crash, fleet, samples, caplog):
    """A deployment, counter, key list or message that is no record is logged, and the fleet's next word puts it right."""
    fleet.publish("1.0.0")
    device = start()
    commit(device, fleet, 1, "1.0.0")

    def damage(root: Path) -> None:
        for name in ("desired.json", "counter", "director.json", "models/digits/deployment.json"):
            (root / name).write_bytes(b"{")

    device = crash.start(crash.copy(device, damage))
    assert device.infer(samples[:1])[0] == "1.0.0"
    assert device.updater.describe_status().counter == 0
    for name in ("counter", "director.json", "deployment.json"):
        assert name in caplog.text
    device.obey(fleet.order(2, "1.0.0", "d2", trial=NONE))
    assert device.wait_until(State.COMMITTED, "d2").reason == "already active"


def test_a_full_disk_stops_nothing_that_serves(hold, fleet, samples, monkeypatch, caplog):
    """While nothing can be written down, nothing is decided; both releases keep serving, and later it goes on."""
    device = hold(State.TRIAL)

    def full(_handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("edgekit.files.os.fsync", full)
        device.obey(fleet.order(3, "3.0.0", "third", trial=NONE))
        device.wait_for(lambda: "disk is full" in device.updater.describe_status().refused)
        assert device.infer(samples[:1])[0] == "2.0.0"
    device.obey(fleet.order(3, "3.0.0", "third", trial=NONE))
    device.wait_until(State.COMMITTED, "third")


class Hanging:
    """An ONNX session that waits at a gate before each run."""

    def __init__(self, session, gate: Gate) -> None:
        self._session, self._gate = session, gate
        self.inputs, self.outputs, self.close = session.inputs, session.outputs, session.close

    def run(self, inputs):
        self._gate.pass_through()
        return self._session.run(inputs)


def test_a_release_that_hangs_is_rolled_back(start, fleet, gate, samples, monkeypatch):
    """A request that does not end in time takes the release back, and those that follow are answered by the one before it."""
    monkeypatch.setattr(stepping_module, "HANG_S", 0.05)
    opened = []

    class Runtime(OnnxRuntime):
        def open(self, path, threads):
            opened.append(path)
            session = super().open(path, threads)
            return Hanging(session, gate) if len(opened) > 2 else session

    fleet.publish("1.0.0")
    fleet.publish("2.0.0")
    device = start(machine=Machine(Hardware(machine="test", arch="x86_64"), {"onnxruntime": Runtime()}))
    commit(device, fleet, 1, "1.0.0")
    opened.extend([None] * (2 - len(opened)))
    device.obey(fleet.order(2, "2.0.0", "hangs", trial=LONG))
    device.wait_for(lambda: device.infer(samples[:1])[0] == "2.0.0")
    gate.close()
    asking = threading.Thread(target=device.infer, args=(samples[:1],))
    asking.start()
    assert gate.came.wait(20)
    device.wait_for(lambda: device.serving.find_model("digits").version == "1.0.0")
    assert device.infer(samples[:1])[0] == "1.0.0"
    gate.opened.set()
    asking.join(20)
    assert "a request has been running" in device.wait_until(State.ROLLED_BACK).reason


def test_a_runtime_with_a_fault_of_its_own_fails_the_deployment(start, fleet, samples):
    """Whatever a runtime raises while it loads, the deployment ends with it as its reason."""

    class Faulty(OnnxRuntime):
        def open(self, path, threads):
            raise RuntimeError("no luck today")

    fleet.publish("1.0.0")
    device = start(machine=Machine(Hardware(machine="test", arch="x86_64"), {"onnxruntime": Faulty()}))
    device.obey(fleet.order(1, "1.0.0", "unlucky", trial=NONE))
    assert "no luck today" in device.wait_until(State.FAILED).reason


def test_a_trial_is_watched_while_another_model_is_fetched(start, fleet, gate, gated_source, make_bundle, samples):
    """A slow download of one model does not keep a bad release of another on trial."""
    fleet.publish("1.0.0")
    fleet.publish("2.0.0", sly=True)
    cats = make_bundle("cats", name="cats", seed=77)
    fleet.publisher.publish(cats, "1.0.0")
    device = start(source=gated_source)
    commit(device, fleet, 1, "1.0.0")
    sly = fleet.desire("2.0.0", "sly", trial=LONG)
    device.obey(fleet.sign(2, sly))
    device.wait_for(lambda: device.infer(samples[:1])[0] == "2.0.0")
    gate.close()
    digest = open_bundle(cats).digest
    device.obey(fleet.sign(3, sly, fleet.desire(None, "cats", model="cats", release="cats@1.0.0", digest=digest, trial=NONE)))
    assert gate.came.wait(20)
    for _ in range(3):
        device.infer(samples[:1] + BRIGHT)
    device.wait_for(lambda: {one.model: one.deployment.state for one in device.updater.describe_status().models}["digits"] is State.ROLLED_BACK)
    assert not gate.opened.is_set()
    gate.opened.set()
    device.wait_for(lambda: {one.model: one.deployment.state for one in device.updater.describe_status().models}["cats"] is State.COMMITTED)


# What the contract in front of a model makes of a picture is proven too.


@pytest.fixture
def make_colours(make_contract_bundle):
    """Makes bundles of a model that takes pictures, under the name of the digits model."""
    return partial(make_contract_bundle, "image", name="digits")


def ask_colour(device: Device, picture: bytes) -> tuple[str, bytes]:
    """The version that answered, and the label that it read."""
    with device.serving.leasing("digits") as lease:
        answer = lease.infer_item(picture)
        return answer.info.version, answer.outputs["labels"][0]


def test_golden_raw_items_are_proven_in_an_update(start, fleet, make_colours, kits):
    """A release with a contract serves pictures on trial and afterwards, and the report says that its items were proven."""
    fleet.publish("1.0.0", make_colours)
    device = start()
    device.obey(fleet.order(1, "1.0.0", "d1", trial=SHORT))
    device.wait_until(State.TRIAL)
    assert any("6 golden raw items become what was recorded" in text for _, _, text in device.journal.events)
    found = [ask_colour(device, picture) for picture in kits("image").items[:3]]
    assert found == [("1.0.0", b"red"), ("1.0.0", b"green"), ("1.0.0", b"blue")]
    assert device.wait_until(State.COMMITTED).evidence.requests == 3


def test_a_wrong_contract_is_refused_by_name(start, fleet, make_colours, kits):
    """A release whose contract has blue for red is refused while it is proven, the report names that, and the one before serves on."""
    fleet.publish("1.0.0", make_colours)
    fleet.publish("2.0.0", make_colours, confused=True)
    device = start()
    commit(device, fleet, 1, "1.0.0")
    device.obey(fleet.order(2, "2.0.0", "d2", trial=SHORT))
    failed = device.wait_until(State.FAILED, "d2")
    assert "looks like RGB" in failed.reason
    assert "looks like RGB" in device.journal.events[-1][2][:200]
    assert ask_colour(device, kits("image").items[0]) == ("1.0.0", b"red")


def test_a_device_without_the_libraries_installs_all_the_same(start, fleet, make_colours, kits, lack_libraries):
    """Where Pillow is missing the release is proven by its golden samples alone, the report says so, and raw items are refused."""
    fleet.publish("1.0.0", make_colours)
    lack_libraries("PIL")
    device = start()
    commit(device, fleet, 1, "1.0.0")
    assert any("unproven raw: library 'PIL.Image'" in text for _, _, text in device.journal.events)
    with pytest.raises(RawUnavailable, match=r"edgekit\[images\]"):
        ask_colour(device, kits("image").items[0])
