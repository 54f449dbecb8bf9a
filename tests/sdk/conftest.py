"""Small real parts for the sdk's tests: a bundle, keys, and an HTTP server."""

import threading
from collections.abc import Callable, Iterator
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
