"""Small real parts for the sdk's tests: a bundle, keys, and an HTTP server."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from edgekit.artifacts import FileEntry, bind_identically
from edgekit.bundles import MANIFEST, VerifiedBundle, open_bundle
from edgekit.files import digest_bytes
from edgekit.golden import GoldenSamples
from edgekit.manifest import Choice, Latency, Lineage, Manifest, Measurement, Metric, Parity, Skipped, Tolerance, Variant
from edgekit.signing import new_keys
from edgekit.tensors import TensorSpec

X, Y = (TensorSpec(name=name, dtype="float32", shape=("batch", 3)) for name in "xy")
PARITY = Parity(max_abs=0.0, mean_abs=0.0, n=32)
TOLERANCE = Tolerance(max_abs=0.1, mean_abs=0.1)


def _write(root: Path, path: str, data: bytes) -> FileEntry:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(data)
    return FileEntry(path=path, digest=digest_bytes(data), length=len(data))


def _variant(root: Path, id: str, files: dict[str, bytes]) -> Variant:
    kind, _, precision = id.partition("-")
    entries = tuple(_write(root, f"variants/{id}/{name}", data) for name, data in files.items())
    bound = {"inputs": bind_identically((X,)), "outputs": bind_identically((Y,))}
    return Variant(id=id, format=kind, precision=precision, files=entries, parity=PARITY, tolerance=TOLERANCE, **bound)


@pytest.fixture
def make_small_bundle(tmp_path: Path) -> Callable[..., VerifiedBundle]:
    """Makes a bundle of two variants whose models are no models: the first is the same each time, the second has *content*."""

    def make(content: bytes = b"int8 model", name: str = "digits") -> VerifiedBundle:
        root = tmp_path / "bundles" / digest_bytes(name.encode() + content)[7:15]
        samples = np.arange(96, dtype=np.float32).reshape(32, 3)
        manifest = Manifest(
            name=name,
            inputs=(X,),
            outputs=(Y,),
            golden=_write(root, "golden.npz", GoldenSamples({"x": samples}, {"y": samples}).encode()),
            golden_origin="synthetic",
            variants=(
                _variant(root, "onnx-fp32", {"model.onnx": b"fp32 model " * 20_000}),
                _variant(root, "openvino-int8", {"model.xml": b"<net/>", "model.bin": content}),
            ),
            lineage=Lineage(source="digits.onnx", source_format="onnx", source_digest=digest_bytes(b"source"), source_size=6),
        )
        (root / MANIFEST).write_bytes(manifest.encode())
        return open_bundle(root)

    return make


@pytest.fixture
def small_bundle(make_small_bundle: Callable[..., VerifiedBundle]) -> VerifiedBundle:
    return make_small_bundle()


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A directory with new keys."""
    new_keys(tmp_path / "keys")
    return tmp_path / "keys"


class _Quiet(SimpleHTTPRequestHandler):
    """Serves a directory as python -m http.server does: it knows no ranges."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a test's output is for its claim."""


class _Server(ThreadingHTTPServer):
    """A server to which a client that leaves early is nothing to speak of."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: the test looks at what the client says."""


@pytest.fixture
def serve() -> Iterator[Callable[[Path | type[BaseHTTPRequestHandler]], str]]:
    """Serves a directory, or what a handler answers, on a free port of this machine; gives the address."""
    servers: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start(what: Path | type[BaseHTTPRequestHandler]) -> str:
        handler = partial(_Quiet, directory=str(what)) if isinstance(what, Path) else what
        server = _Server(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}/"

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join(10)


@dataclass(frozen=True)
class Colours:
    """A model of colours in a folder of its own: *model* was trained by the contract in *contract*, and *data* has what to try it with.

    Classes differ in what each usual mistake takes away: red and blue in the order of channels, bright and dark in their
    values, and fine stripes in whether a resize looks at every pixel.
    """

    root: Path

    @property
    def model(self) -> Path:
        return self.root / "colours.onnx"

    @property
    def data(self) -> dict[str, Path]:
        return {"calibration": self.root / "train", "evaluation": self.root / "test"}

    @property
    def contract(self) -> Path:
        return self.root / "colours.toml"

    def change_contract(self, path: Path, old: str, new: str) -> Path:
        """The contract with *new* in the place of *old*, written to *path*."""
        text = self.contract.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        return path


COLOURS = {"bright": (215, 215, 215), "dark": (40, 40, 40), "blue": (40, 60, 200), "red": (200, 60, 40), "stripes": None}
COLOUR_CONTRACT = """
task = "classify"
labels = ["bright", "dark", "blue", "red", "stripes"]

[[inputs]]
name = "image"
kind = "image"
feeds = "x"
steps = [{ step = "resize", width = 12, height = 9 }, { step = "scale", factor = 0.00392156862745098 }, { step = "layout", axes = "CHW" }]

[answer]
read = "classes"
output = "scores"
"""


def _paint(colour: tuple[int, int, int] | None, rng: np.random.Generator) -> np.ndarray:
    pixels = np.full((27, 36, 3), 40.0) if colour is None else np.tile(np.array(colour, float), (27, 36, 1))
    if colour is None:
        pixels[:, ::3] = 215
    return np.clip(pixels + rng.normal(0, 8, pixels.shape) + rng.normal(0, 6, 3), 0, 255).astype(np.uint8)


def _train_colours(pictures: np.ndarray, classes: np.ndarray, path: Path) -> None:
    """Random features with a linear layer that least squares find: pictures (n, 3, 9, 12), from 0 to 1."""
    from onnx import TensorProto, helper, numpy_helper, save

    rng = np.random.default_rng(0)
    first, bias = rng.normal(size=(324, 64)) / 18, rng.normal(size=64) / 2
    hidden = np.hstack([np.maximum((pictures.reshape(-1, 324) - 0.5) @ first + bias, 0), np.ones((len(pictures), 1))])
    second = np.linalg.solve(hidden.T @ hidden + 0.01 * np.eye(65), hidden.T @ np.eye(5)[classes])
    weights = {"half": np.array([0.5]), "w": first, "b": bias, "v": second[:-1], "a": second[-1]}
    steps = (("Sub", ["x", "half"]), ("Flatten", ["0"]), ("Gemm", ["1", "w", "b"]), ("Relu", ["2"]), ("Gemm", ["3", "v", "a"]))
    nodes = [helper.make_node(kind, inputs, ["scores" if place == 4 else str(place)]) for place, (kind, inputs) in enumerate(steps)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes) for name, sizes in (("x", ["n", 3, 9, 12]), ("scores", ["n", 5]))]
    graph = helper.make_graph(nodes, "colours", ends[:1], ends[1:], [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Colours:
    """A small classifier of colours with its contract, and pictures in a folder for each class, 24 each to train by and 20 to test."""
    from PIL import Image

    made, rng = Colours(tmp_path_factory.mktemp("colours")), np.random.default_rng(0)
    made.contract.write_text(COLOUR_CONTRACT)
    taken = []
    for folder, count in (("train", 24), ("test", 20)):
        for label, (name, colour) in enumerate(COLOURS.items()):
            (made.root / folder / name).mkdir(parents=True)
            for index in range(count):
                image = Image.fromarray(_paint(colour, rng))
                image.save(made.root / folder / name / f"{index:02}.png")
                if folder == "train":
                    small = np.asarray(image.resize((12, 9), Image.Resampling.BILINEAR)) / 255
                    taken.append((small.transpose(2, 0, 1), label))
    _train_colours(np.array([one for one, _ in taken]), np.array([label for _, label in taken]), made.model)
    return made


# The variants of make_manifest: size in bytes, p50 in milliseconds, and the metric's value.
MEASURED = {
    "onnx-fp32": (120_400, 0.042, 0.9939),
    "onnx-int8": (38_120, 0.057, 0.9911),
    "tflite-fp32": (118_000, 0.026, 0.9939),
    "tflite-int8": (30_100, 0.021, 0.9922),
    "openvino-fp32": (131_000, 0.148, 0.9939),
}


def _measured_variant(name: str, target: str, metric: str | None) -> Variant:
    kind, _, precision = name.partition("-")
    size, p50, value = MEASURED[name]
    latency = Latency(p50=p50, p95=p50 * 1.2, p99=p50 * 1.5, spread=p50 * 0.05, rounds=7, n=7000)
    engine = {"machine": "Example CPU", "runtime": "engine", "runtime_version": "1.0", "threads": 1}
    measurement = Measurement(**engine, target=target, latency_ms=latency, rss_mb=60.0)
    return Variant(
        id=name,
        format=kind,
        precision=precision,
        files=(FileEntry(path=f"variants/{name}/model", digest=digest_bytes(name.encode()), length=size),),
        inputs=bind_identically((X,)),
        outputs=bind_identically((Y,)),
        parity=Parity(max_abs=0.01, mean_abs=0.001, n=64, top1_agreement=1.0),
        tolerance=TOLERANCE,
        metric=None if metric is None else Metric(name=metric, value=value, n=360, source_value=0.9939),
        measured=(measurement,),
    )


@pytest.fixture
def make_manifest() -> Callable[..., Manifest]:
    """Makes a manifest with figures and no files: of the variants *ids*, measured on *target*, with *metric* or None."""

    def make(ids: tuple[str, ...] = tuple(MEASURED), *, metric: str | None = "top1", target: str = "x86-64", source: str = "digits.onnx") -> Manifest:
        fastest = min(ids, key=lambda name: MEASURED[name][1])
        return Manifest(
            name="digits",
            inputs=(X,),
            outputs=(Y,),
            golden=FileEntry(path="golden.npz", digest=digest_bytes(b"golden"), length=6),
            golden_origin="calibration",
            variants=tuple(_measured_variant(name, target, metric) for name in ids),
            defaults={target: Choice(variant=fastest, reason="the fastest")},
            skipped=(Skipped(id="openvino-int8", format="openvino", precision="int8", reason="refused by the gate"),),
            lineage=Lineage(
                source=source, source_format="onnx", source_digest=digest_bytes(b"source"), source_size=121_000, options={"max_drop": "0.01"}
            ),
        )

    return make
