"""What recording costs a request: the digits model served with and without a recorder, in turns, and larger inputs by themselves.

Serving must not notice: the ratio of the medians is the figure to look at. The model is as small as models get.
"""

import http.client
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from edgekit.arrays import Array
from edgekit.artifacts import Artifact, FileEntry, bind_identically
from edgekit.files import digest_bytes
from edgekit.runtimes.onnx_runtime import OnnxRuntime
from edgekit.runtimes.sessions import open_session
from edgekit.tensors import TensorSpec
from edgekit_agent.agent import opening_api
from edgekit_agent.config import ApiSettings
from edgekit_agent.local_api.server import LocalApi
from edgekit_agent.observing import Outcome
from edgekit_agent.outbox import Outbox
from edgekit_agent.recorder import Recorder
from edgekit_agent.serving import LiveModel, ModelInfo, Serving
from edgekit_agent.vitals import Vitals

MODEL = Path(__file__).parents[1] / "examples" / "digits" / "digits.onnx"
INPUTS = (TensorSpec(name="image", dtype="float32", shape=("batch", 1, 8, 8)),)
OUTPUTS = (TensorSpec(name="logits", dtype="float32", shape=("batch", 10)),)
ROUNDS, REQUESTS = 30, 300


def open_live() -> LiveModel:
    """The digits model in ONNX Runtime, on one thread."""
    entry = FileEntry(path=MODEL.name, digest=digest_bytes(MODEL.read_bytes()), length=MODEL.stat().st_size)
    artifact = Artifact(format="onnx", files=(entry,), inputs=bind_identically(INPUTS), outputs=bind_identically(OUTPUTS))
    info = ModelInfo(
        name="digits",
        version="1.0.0",
        release="digits@1.0.0",
        digest=entry.digest,
        variant="onnx-fp32",
        format="onnx",
        precision="fp32",
        runtime="onnxruntime",
        runtime_version=OnnxRuntime().find_version(),
        inputs=INPUTS,
        outputs=OUTPUTS,
    )
    return LiveModel(info, open_session(MODEL, artifact, INPUTS, OUTPUTS, OnnxRuntime()))


def time_requests(ask: Callable[[], object], count: int = REQUESTS) -> float:
    """The microseconds that one of *count* calls takes on average."""
    started = time.perf_counter()
    for _ in range(count):
        ask()
    return (time.perf_counter() - started) / count * 1e6


def make_asking(serving: Serving, image: Array) -> Callable[[], object]:
    """One request for the digits model, from within the process."""

    def ask() -> object:
        with serving.leasing("digits") as lease:
            return lease.infer({"image": image})

    return ask


def make_posting(api: LocalApi, image: Array) -> Callable[[], object]:
    """The same request as clients make it: over HTTP, on a connection that stays open."""
    tensor = {"name": "image", "shape": list(image.shape), "datatype": "FP32", "data": image.ravel().tolist()}
    body = json.dumps({"inputs": [tensor]})
    connection = http.client.HTTPConnection(str(api.address))

    def ask() -> object:
        connection.request("POST", "/v2/models/digits/infer", body)
        return connection.getresponse().read()

    return ask


def compare(asking: dict[str, Callable[[], object]], where: str) -> None:
    """Time requests without and with a recorder in turns, so that whatever else the machine does meets both alike."""
    times: dict[str, list[float]] = {name: [] for name in asking}
    for _ in range(ROUNDS):
        for name, ask in asking.items():
            times[name].append(time_requests(ask))
    without, recorded = (statistics.median(values[1:]) for values in times.values())
    print(f"{where:36} {without:7.1f} µs without, {recorded:7.1f} with a recorder, ratio {recorded / without:.2f}")


def time_alone(recorder: Recorder, info: ModelInfo) -> None:
    """What recording costs by itself, for images of several sizes."""
    for side in (8, 224, 640):
        frame = {"image": np.random.default_rng(0).random((1, 3, side, side), np.float32)}
        scores = {"logits": np.random.default_rng(0).random((1, 10), np.float32)}
        cost = time_requests(partial(recorder.on_request, info, 1.0, Outcome.ANSWERED, frame, scores), 5000)
        print(f"{f'recording alone, 3x{side}x{side}':36} {cost:7.1f} µs")


def main() -> None:
    """Print the figures."""
    image = np.random.default_rng(0).random((1, 1, 8, 8), np.float32)
    settings = ApiSettings(http="127.0.0.1:0")
    with tempfile.TemporaryDirectory() as state, Outbox(Path(state) / "outbox.db", 64 << 20) as outbox:
        recorder = Recorder(outbox, 60.0, Vitals())
        with opening_api(settings, set()) as (api, bare), opening_api(settings, set(), recorder) as (recorded_api, recorded):
            bare.swap(open_live())
            recorded.swap(open_live())
            compare({"without": make_asking(bare, image), "with": make_asking(recorded, image)}, "a request within the process")
            compare({"without": make_posting(api, image), "with": make_posting(recorded_api, image)}, "a request over HTTP")
            time_alone(recorder, recorded.list_models()[0])
        started = time.perf_counter()
        recorder.flush()
        print(f"{'a record made and kept':36} {(time.perf_counter() - started) * 1e6:7.1f} µs an interval")


if __name__ == "__main__":
    main()
