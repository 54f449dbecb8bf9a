"""The first journey, whole and with real processes: a trained model becomes a bundle, a signed release, and a served model."""

import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits"
EDGEKIT = (sys.executable, "-c", "from edgekit.cli.main import main; main()")
AGENT = (sys.executable, "-m", "edgekit_agent")


def run(*words: object, code: int = 0) -> str:
    done = subprocess.run(list(map(str, words)), check=False, capture_output=True, text=True, timeout=240, env=os.environ)
    assert done.returncode == code, done.stderr
    return done.stdout


class Published:
    """A bundle made by edgekit convert, and the repository into which it is published."""

    def __init__(self, root: Path) -> None:
        self.bundle, self.repository, self._keys = root / "bundle", root / "releases", root / "keys"
        data = ("--calibration", EXAMPLE / "calibration.npz", "--evaluation", EXAMPLE / "evaluation.npz")
        self.made = json.loads(run(*EDGEKIT, "convert", EXAMPLE / "digits.onnx", "-o", self.bundle, "--to", "onnx", *data, "--json"))
        run(*EDGEKIT, "keys", "new", self._keys)

    @property
    def root(self) -> Path:
        return self.repository / "metadata" / "1.root.json"

    def publish(self, version: str) -> None:
        run(*EDGEKIT, "release", "publish", self.bundle, "--version", version, "--to", self.repository, "--keys", self._keys)


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Published:
    published = Published(tmp_path_factory.mktemp("publisher"))
    published.publish("1.0.0")
    published.publish("1.1.0")
    return published


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    evaluation = np.load(EXAMPLE / "evaluation.npz")
    return evaluation["image"], evaluation["labels"]


@contextmanager
def running(*words: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """An agent that serves, and its address; afterwards it is asked to stop, and must do so well."""
    with subprocess.Popen(list(map(str, (*AGENT, *words, "--json"))), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert line, process.communicate(timeout=30)[1]
            yield process, json.loads(line)["address"]
            process.send_signal(signal.SIGTERM)
            log = process.communicate(timeout=30)[1]
            assert process.returncode == 0, log
            assert "Traceback" not in log
        finally:
            process.kill()


@contextmanager
def serving_files(directory: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_args):
            """Tests keep their output to themselves."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(directory))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def ask(address: str, path: str, body: bytes | None = None, **headers: str) -> tuple[Any, bytes]:
    request = urllib.request.Request(f"{address}/v2/{path}", body, headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        data, split = response.read(), response.headers.get("Inference-Header-Content-Length")
        return json.loads(data[: int(split)] if split else data), data[int(split) :] if split else b""


def classify_json(address: str, images: np.ndarray) -> list[int]:
    tensor = {"name": "image", "datatype": "FP32", "shape": list(images.shape), "data": images.tolist()}
    answer, _ = ask(address, "models/digits/infer", json.dumps({"inputs": [tensor]}).encode())
    output = answer["outputs"][0]
    return np.array(output["data"]).reshape(output["shape"]).argmax(1).tolist()


def classify_binary(address: str, images: np.ndarray) -> list[int]:
    tensor = {"name": "image", "datatype": "FP32", "shape": list(images.shape), "parameters": {"binary_data_size": images.nbytes}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    answer, data = ask(address, "models/digits/infer", head + images.tobytes(), **{"Inference-Header-Content-Length": str(len(head))})
    count = len(data) // 4
    return np.array(struct.unpack(f"<{count}f", data)).reshape(answer["outputs"][0]["shape"]).argmax(1).tolist()


def test_a_bundle_serves_as_well_as_its_manifest_says(published, digits):
    """Served over HTTP, in JSON and in binary, the default variant is right as often as was measured when it was made."""
    images, labels = digits
    default = next(variant for variant in published.made["variants"] if variant["default"])
    with running("serve", published.bundle, "--http", "127.0.0.1:0") as (_, address):
        told, _ = ask(address, "models/digits")
        assert told["parameters"]["variant"] == default["id"]
        found = classify_binary(address, images)
        assert classify_json(address, images[:50]) == found[:50]
    assert np.mean(np.array(found) == labels) == pytest.approx(default["metric"]["value"], abs=0.005)


def test_a_release_travels_to_an_empty_device_and_the_next_is_swapped_in(published, digits, tmp_path):
    """An empty device fetches over HTTP, proves and serves; the next release takes over while requests go on, and none fails."""
    images, labels = digits
    with serving_files(published.repository) as url:
        config = tmp_path / "agent.toml"
        config.write_text(
            f'state = "{tmp_path}/device"\n[api]\nhttp = "127.0.0.1:0"\n'
            f'[releases]\nfrom = "{url}"\ntrust_root = "{published.root}"\n[[models]]\nrelease = "digits@1.0.0"\n'
        )
        with running("run", "--config", config) as (_, address):
            wait_until(lambda: is_ready(address))
            with hammering(address, images[:1]) as versions:
                wait_until(lambda: "1.0.0" in versions)
                run(*AGENT, "install", "digits@1.1.0", "--config", config)
                wait_until(lambda: versions[-1] == "1.1.0")
                run(*AGENT, "rollback", "digits", "--config", config)
                wait_until(lambda: versions[-1] == "1.0.0")
            assert set(versions) == {"1.0.0", "1.1.0"}
            assert np.mean(np.array(classify_binary(address, images)) == labels) > 0.95


def test_a_changed_release_is_refused_while_the_device_serves(published, digits, tmp_path):
    """One flipped bit: exit code 4, the slots stay byte for byte, and the answers go on."""
    images, labels = digits
    run(*AGENT, "install", "--from", published.repository, "digits@1.0.0", "--state", tmp_path)
    slots = tmp_path / "models" / "digits" / "slots.json"
    before = slots.read_bytes()
    installed = json.loads(before)["active"]["variant"]
    other = next(variant for variant in published.made["variants"] if variant["id"] != installed)
    blob = published.repository / "blobs" / "sha256" / other["files"][0]["digest"].removeprefix("sha256:")
    good = blob.read_bytes()
    blob.chmod(0o644)
    try:
        blob.write_bytes(bytes([good[0] ^ 1]) + good[1:])
        config = tmp_path / "agent.toml"
        config.write_text('[api]\nhttp = "127.0.0.1:0"\n')
        with running("run", "--config", config, "--state", tmp_path) as (_, address):
            run(*AGENT, "install", "--from", published.repository, "digits@1.1.0", "--state", tmp_path, "--variant", other["id"], code=4)
            assert slots.read_bytes() == before
            assert np.mean(np.array(classify_json(address, images[:50])) == labels[:50]) > 0.9
    finally:
        blob.write_bytes(good)


def is_ready(address: str) -> bool:
    try:
        return bool(ask(address, "health/ready")[0]["ready"])
    except urllib.error.HTTPError as error:
        error.close()
        assert error.code == 503
        return False


def wait_until(is_so) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def hammering(address: str, images: np.ndarray) -> Iterator[list[str]]:
    """The versions that answer a client which asks without pause; a request that fails fails the test."""
    versions, failures, stop = [], [], threading.Event()
    tensor = {"name": "image", "datatype": "FP32", "shape": list(images.shape), "data": images.tolist()}
    body = json.dumps({"inputs": [tensor]}).encode()

    def hammer() -> None:
        while not stop.is_set():
            try:
                versions.append(ask(address, "models/digits/infer", body)[0]["model_version"])
            except OSError as error:
                failures.append(error)

    thread = threading.Thread(target=hammer)
    thread.start()
    try:
        yield versions
    finally:
        stop.set()
        thread.join(30)
    assert failures == []
