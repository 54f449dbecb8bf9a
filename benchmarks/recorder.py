"""What recording costs a request: the digits model served with and without a recorder, in turns, and larger inputs by themselves.

Serving must not notice: the ratio of the medians is the figure to look at, and the microseconds a request are its difference.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgekit.arrays import Array
from edgekit.artifacts import Artifact, FileEntry, bind_identically
from edgekit.files import digest_bytes
from edgekit.runtimes.onnx_runtime import OnnxRuntime
from edgekit.runtimes.sessions import open_session
from edgekit.tensors import TensorSpec
from edgekit_agent.observing import Outcome
from edgekit_agent.outbox import Outbox
from edgekit_agent.recorder import Recorder
from edgekit_agent.serving import LiveModel, ModelInfo, Serving
from edgekit_agent.vitals import Vitals

MODEL = Path(__file__).parents[1] / "examples" / "digits" / "digits.onnx"
INPUTS = (TensorSpec(name="image", dtype="float32", shape=("batch", 1, 8, 8)),)
OUTPUTS = (TensorSpec(name="logits", dtype="float32", shape=("batch", 10)),)
ROUNDS, REQUESTS = 30, 500


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
    """One request for the digits model."""

    def ask() -> object:
        with serving.leasing("digits") as lease:
            return lease.infer({"image": image})

    return ask


def main() -> None:
    """Time both in turns, so that whatever else the machine does meets both alike."""
    image = np.random.default_rng(0).random((1, 1, 8, 8), np.float32)
    with tempfile.TemporaryDirectory() as state, Outbox(Path(state) / "outbox.db", 64 << 20) as outbox:
        recorder = Recorder(outbox, 60.0, Vitals())
        with Serving() as bare, Serving(observer=recorder) as recorded:
            bare.swap(open_live())
            recorded.swap(open_live())
            asking = {"without": make_asking(bare, image), "with a recorder": make_asking(recorded, image)}
            times: dict[str, list[float]] = {name: [] for name in asking}
            for _ in range(ROUNDS):
                for name, ask in asking.items():
                    times[name].append(time_requests(ask))
        medians = {name: statistics.median(values[1:]) for name, values in times.items()}
        for name, median in medians.items():
            print(f"{name:32} {median:7.1f} µs a request")
        print(f"{'ratio':32} {medians['with a recorder'] / medians['without']:7.2f}")
        print(f"{'recording':32} {medians['with a recorder'] - medians['without']:7.1f} µs a request")
        for side in (32, 224, 640):
            frame = {"image": np.random.default_rng(0).random((1, 3, side, side), np.float32)}
            scores = {"logits": np.random.default_rng(0).random((1, 1000), np.float32)}
            info = open_live().info
            cost = time_requests(lambda: recorder.on_request(info, 1.0, Outcome.ANSWERED, frame, scores))  # noqa: B023 - called at once
            print(f"{f'alone, image 3x{side}x{side}, 1000 classes':32} {cost:7.1f} µs a request")
        started = time.perf_counter()
        recorder.flush()
        print(f"{'a record made and kept':32} {(time.perf_counter() - started) * 1e3:7.1f} ms an interval")


if __name__ == "__main__":
    main()
