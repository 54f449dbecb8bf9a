"""Real, small parts for the agent's tests: the digits model as a bundle, its releases, and models in memory."""

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from securesystemslib.signer import CryptoSigner

from edgekit.arrays import Array
from edgekit.artifacts import Artifact, FileEntry, bind_identically
from edgekit.bundles import MANIFEST, open_bundle
from edgekit.desired import DesiredModel, DesiredState, sign_desired
from edgekit.files import digest_bytes
from edgekit.fleet.mosquitto import find_installed
from edgekit.fleet.store.booking import Book, book_batch
from edgekit.golden import GoldenSamples
from edgekit.manifest import Lineage, Manifest, Parity, Tolerance, Variant
from edgekit.releases.publishing import publish_director, publish_release
from edgekit.runtimes.memory import MemoryModel, MemoryRuntime
from edgekit.runtimes.onnx_runtime import OnnxRuntime
from edgekit.runtimes.sessions import open_session
from edgekit.signing import new_keys
from edgekit.status import DeviceStatus, Stored
from edgekit.targets import Hardware
from edgekit.telemetry import Event, Interval, decode_batch
from edgekit.tensors import TensorSpec
from edgekit.topics import filter_shard, find_shard, name_down, parse_up
from edgekit_agent.inventory import Machine
from edgekit_agent.serving import LiveModel, ModelInfo

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits"
SPECS = (TensorSpec(name="image", dtype="float32", shape=("batch", 1, 8, 8)),), (TensorSpec(name="logits", dtype="float32", shape=("batch", 10)),)

BundleMaker = Callable[..., Path]


def _write(root: Path, path: str, data: bytes) -> FileEntry:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(data)
    return FileEntry(path=path, digest=digest_bytes(data), length=len(data))


def _make_variant(root: Path, variant_id: str, data: bytes, tolerance: float) -> Variant:
    kind, _, precision = variant_id.partition("-")
    inputs, outputs = map(bind_identically, SPECS)
    return Variant(
        id=variant_id,
        format=kind,
        precision=precision,
        files=(_write(root, f"variants/{variant_id}/model.{kind}", data),),
        inputs=inputs,
        outputs=outputs,
        parity=Parity(max_abs=0.0, mean_abs=0.0, n=32),
        tolerance=Tolerance(max_abs=tolerance, mean_abs=tolerance, top1_agreement=0.9),
    )


#: Added to an image, it is what a sly model answers with NaN.
BRIGHT = np.float32(1000)


def make_sly(model: bytes) -> bytes:
    """The digits model with answers that are not numbers where a pixel is above 500: logits + 0 * sqrt(500 - max(image))."""
    import onnx
    from onnx import helper, numpy_helper

    proto = onnx.load_from_string(model)
    graph = proto.graph
    graph.node[-1].output[0] = "honest"
    constants = {"axes": np.array([1, 2, 3]), "limit": np.float32(500), "column": np.array([-1, 1]), "nothing": np.float32(0)}
    graph.initializer.extend(numpy_helper.from_array(np.array(value), name) for name, value in constants.items())
    steps = [
        ("ReduceMax", ["image", "axes"], "brightest"),
        ("Sub", ["limit", "brightest"], "room"),
        ("Sqrt", ["room"], "root"),
        ("Reshape", ["root", "column"], "roots"),
        ("Mul", ["roots", "nothing"], "zeros"),
        ("Add", ["honest", "zeros"], "logits"),
    ]
    extra = {"ReduceMax": {"keepdims": 1}}
    graph.node.extend(helper.make_node(kind, inputs, [output], **extra.get(kind, {})) for kind, inputs, output in steps)
    return proto.SerializeToString()


@pytest.fixture(scope="session")
def samples() -> Array:
    """32 of the digits' images, float32 (32, 1, 8, 8)."""
    images: Array = np.load(EXAMPLE / "calibration.npz")["image"][:32]
    return images


@pytest.fixture(scope="session")
def answers(samples: Array) -> Array:
    """What the digits model says to *samples*, float32 (32, 10)."""
    native = OnnxRuntime().open(EXAMPLE / "digits.onnx", 1)
    logits = native.run([samples])[0]
    native.close()
    return logits


@pytest.fixture
def make_bundle(tmp_path: Path, samples: Array, answers: Array) -> BundleMaker:
    """Makes a bundle of the digits model.

    With *betrayed*, its golden samples hold another model's answers; with *sly*, it answers them rightly, and NaN to BRIGHT images.
    """

    def make(
        directory: str = "bundle",
        *,
        name: str = "digits",
        betrayed: bool = False,
        sly: bool = False,
        variants: tuple[str, ...] = ("onnx-fp32",),
        seed: int = 0,
    ) -> Path:
        root = tmp_path / directory
        source = make_sly((EXAMPLE / "digits.onnx").read_bytes()) if sly else (EXAMPLE / "digits.onnx").read_bytes()
        # Bytes behind the model make another file of the same model: ONNX readers pass over an unknown field.
        model = source + b"\xfa\x01\x08" + seed.to_bytes(8, "little")
        outputs = np.roll(answers, 1, axis=1) if betrayed else answers
        golden = GoldenSamples({"image": samples}, {"logits": outputs})
        manifest = Manifest(
            name=name,
            inputs=SPECS[0],
            outputs=SPECS[1],
            golden=_write(root, "golden.npz", golden.encode()),
            golden_origin="calibration",
            variants=tuple(_make_variant(root, one, model, 1e-3) for one in variants),
            lineage=Lineage(source="digits.onnx", source_format="onnx", source_digest=digest_bytes(model), source_size=len(model)),
        )
        (root / MANIFEST).write_bytes(manifest.encode())
        return root

    return make


class Publisher:
    """Publishes bundles into one repository with keys of its own."""

    def __init__(self, root: Path) -> None:
        self.repository = root / "releases"
        self.keys = root / "keys"
        new_keys(self.keys)

    def publish(self, bundle: Path, version: str) -> None:
        publish_release(open_bundle(bundle), version, self.repository, self.keys, datetime.now(timezone.utc))

    def blob_of(self, bundle: Path) -> Path:
        """Where the repository has the model of *bundle*."""
        digest = open_bundle(bundle).manifest.variants[0].files[0].digest
        return self.repository / "blobs" / "sha256" / digest.removeprefix("sha256:")


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path / "publisher")


@pytest.fixture
def machine() -> Machine:
    """A device of which only ONNX Runtime is known to be installed."""
    return Machine(Hardware(machine="test", arch="x86_64"), {"onnxruntime": OnnxRuntime()})


X, Y = (TensorSpec(name=name, dtype="float32", shape=("n",)) for name in "xy")


@pytest.fixture
def make_live() -> Callable[..., LiveModel]:
    """Makes a live model in memory that adds *addend* to x, whose *function* may be another."""

    def make(addend: float = 1.0, *, name: str = "adder", version: str = "1.0.0", queue: int = 16, function=None) -> LiveModel:
        add = function or (lambda inputs: [inputs[0] + np.float32(addend)])
        path = Path("model")
        entry = FileEntry(path="model", digest=digest_bytes(b""), length=0)
        artifact = Artifact(format="memory", files=(entry,), inputs=bind_identically((X,)), outputs=bind_identically((Y,)))
        session = open_session(path, artifact, (X,), (Y,), MemoryRuntime({path: MemoryModel((X,), (Y,), add)}))
        info = ModelInfo(
            name=name,
            version=version,
            release=f"{name}@{version}",
            digest=digest_bytes(b""),
            variant="memory-fp32",
            format="memory",
            precision="fp32",
            runtime="memory",
            runtime_version="1",
            inputs=(X,),
            outputs=(Y,),
        )
        return LiveModel(info, session, queue)

    return make


@pytest.fixture
def running() -> Callable[..., object]:
    """Runs something with run(stop, announce) on a thread, and gives its address and models once it says them."""

    @contextmanager
    def run(server: object) -> Iterator[tuple[str, list[ModelInfo]]]:
        stop, up = threading.Event(), threading.Event()
        told: list[object] = []

        def announce(address: object, models: object) -> None:
            told.extend((str(address), models))
            up.set()

        def work() -> None:
            try:
                server.run(stop, announce)  # type: ignore[attr-defined]
            except BaseException as error:
                told.append(error)
                raise
            finally:
                up.set()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            assert up.wait(30)
            assert len(told) == 2, told
            yield told[0], told[1]
        finally:
            stop.set()
            thread.join(30)
            assert not thread.is_alive()

    return run


class Fleet:
    """A publisher whose repository names a director, and that director."""

    def __init__(self, publisher: Publisher, make_bundle: BundleMaker) -> None:
        self.repository = publisher.repository
        self.publisher = publisher
        self.signer = CryptoSigner.generate_ed25519()
        self._make_bundle = make_bundle
        self._digests: dict[str, str] = {}

    def publish(self, version: str, make: BundleMaker | None = None, **bundle: object) -> str:
        """Publish a release of the digits model, or of what *make* makes under its name; its digest."""
        path = (make or self._make_bundle)(f"{version}-{len(self._digests)}", seed=len(self._digests), **bundle)
        self.publisher.publish(path, version)
        self._digests[version] = open_bundle(path).digest
        if len(self._digests) == 1:
            self.appoint(self.signer)
        return self._digests[version]

    def appoint(self, signer: CryptoSigner) -> None:
        """Make *signer* the director."""
        is_first = signer is self.signer
        publish_director([signer.public_key], self.repository, self.publisher.keys, datetime.now(timezone.utc), replacing=not is_first)
        self.signer = signer

    def desire(self, version: str | None, deployment: str, **fields: object) -> DesiredModel:
        """What is desired of the digits model; None for no release of it."""
        release = None if version is None else f"digits@{version}"
        digest = None if version is None else self._digests[version]
        return DesiredModel(**{"model": "digits", "deployment": deployment, "release": release, "digest": digest, **fields})

    def sign(self, counter: int, *models: DesiredModel, device: str = "roof-1", signer: CryptoSigner | None = None) -> bytes:
        """The message that asks for *models*."""
        now_ms = int(time.time() * 1000)
        desired = DesiredState(device=device, counter=counter, issued_ms=now_ms, expires_ms=now_ms + 86_400_000, models=models)
        return sign_desired(desired, signer or self.signer)

    def order(self, counter: int, version: str | None, deployment: str, **fields: object) -> bytes:
        """The message that asks for one release of the digits model, or for none."""
        return self.sign(counter, self.desire(version, deployment, **fields))


@pytest.fixture
def fleet(publisher: Publisher, make_bundle: BundleMaker) -> Fleet:
    return Fleet(publisher, make_bundle)


class Broker:
    """A real Mosquitto on a free port of this machine, which can be killed and started again in its place."""

    def __init__(self, program: Path, root: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._command = [str(program), "-c", str(root / "mosquitto.conf")]
        # As fleet/broker.py sets it up, as far as devices notice.
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous true", "persistence false", "max_inflight_messages 1000"]
        (root / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        raise TimeoutError("Mosquitto did not start")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    program = find_installed()
    if program is None:
        pytest.skip("Mosquitto is not installed here")
    root = tmp_path / "broker"
    root.mkdir()
    made = Broker(program, root)
    made.start()
    yield made
    made.kill()


class FleetServer:
    """The fleet's side: it books what it gets as the fleet's store does, and says what is stored, unless it is *silent*."""

    def __init__(self, port: int, device: str = "roof-1") -> None:
        self.device = device
        self.silent = False
        self.books: dict[str, Book] = {}
        self.records: list[Interval | Event] = []
        self.statuses: list[DeviceStatus] = []
        self.inventory: bytes | None = None
        self.batches = 0
        self._port = port
        self._changed = threading.Condition()
        self._ready = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="server", clean_session=True)
        self._client.on_connect = lambda client, *_: client.subscribe(filter_shard(find_shard(self.device)), 1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._take
        self._client.reconnect_delay_set(1, 1)

    def __enter__(self) -> "FleetServer":
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        kind = parse_up(message.topic).kind
        with self._changed:
            epoch = getattr(self, f"_take_{kind}")(bytes(message.payload))
            if not self.silent and epoch is not None:
                self.tell("stored", self.find_answer(epoch).encode())
            self._changed.notify_all()

    def _take_telemetry(self, payload: bytes) -> str:
        batch = decode_batch(payload)
        self.batches += 1
        self.books[batch.epoch], new = book_batch(self.books.get(batch.epoch, Book()), batch)
        self.records += new
        return batch.epoch

    def _take_status(self, payload: bytes) -> str | None:
        self.statuses.append(DeviceStatus.decode(payload))
        return self.statuses[-1].epoch if self.statuses[-1].online else None

    def _take_inventory(self, payload: bytes) -> str:
        self.inventory = payload
        return "0" * 16

    def find_answer(self, epoch: str) -> Stored:
        revisions = [status.revision for status in self.statuses if status.epoch == epoch]
        digest = digest_bytes(self.inventory) if self.inventory else None
        return Stored(epoch=epoch, up_to=self.books.get(epoch, Book()).up_to, status_revision=max(revisions, default=0), inventory=digest)

    def tell(self, kind: str, payload: bytes) -> None:
        self._client.publish(name_down(self.device, kind), payload, qos=1)

    def wait(self, condition: Callable[["FleetServer"], bool]) -> None:
        """Wait until *condition* holds for what has come so far."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), 20), vars(self)


@pytest.fixture
def make_server(broker: Broker) -> Callable[[], FleetServer]:
    return lambda: FleetServer(broker.port)


@pytest.fixture
def server(make_server: Callable[[], FleetServer]) -> Iterator[FleetServer]:
    with make_server() as opened:
        yield opened
