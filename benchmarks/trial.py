"""What a trial costs a request: the digits model served by itself, and on trial with another release behind it, in turns.

A trial looks at each output once, and runs nothing twice unless the new release fails.
"""

import statistics
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
from edgekit_agent.serving import LiveModel, ModelInfo, Serving

MODEL = Path(__file__).parents[1] / "examples" / "digits" / "digits.onnx"
INPUTS = (TensorSpec(name="image", dtype="float32", shape=("batch", 1, 8, 8)),)
OUTPUTS = (TensorSpec(name="logits", dtype="float32", shape=("batch", 10)),)
ROUNDS, REQUESTS = 30, 500


def open_live(version: str) -> LiveModel:
    """The digits model in ONNX Runtime, on one thread."""
    entry = FileEntry(path=MODEL.name, digest=digest_bytes(MODEL.read_bytes()), length=MODEL.stat().st_size)
    artifact = Artifact(format="onnx", files=(entry,), inputs=bind_identically(INPUTS), outputs=bind_identically(OUTPUTS))
    info = ModelInfo(
        name="digits",
        version=version,
        release=f"digits@{version}",
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


def make_asking(serving: Serving, image: Array) -> Callable[[], object]:
    """One request for the digits model."""

    def ask() -> object:
        with serving.leasing("digits") as lease:
            return lease.infer({"image": image})

    return ask


def time_requests(ask: Callable[[], object]) -> float:
    """The microseconds that one request takes on average."""
    started = time.perf_counter()
    for _ in range(REQUESTS):
        ask()
    return (time.perf_counter() - started) / REQUESTS * 1e6


def main() -> None:
    """Time all three in turn, so that whatever else the machine does meets them alike."""
    image = np.random.default_rng(1).random((1, 1, 8, 8), np.float32)
    with Serving() as plain, Serving() as trying:
        plain.swap(open_live("1.0.0"))
        trying.swap(open_live("1.0.0"))
        trying.begin_trial(open_live("2.0.0"))
        bare = open_live("1.0.0")
        asking = {
            "session alone": lambda: bare.infer({"image": image}),
            "served": make_asking(plain, image),
            "served on trial": make_asking(trying, image),
        }
        times = {name: [time_requests(ask) for _ in range(2)][1:] for name, ask in asking.items()}
        for _ in range(ROUNDS):
            for name, ask in asking.items():
                times[name].append(time_requests(ask))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name:16} {median:7.1f} us")
    print(f"ratio            {medians['served on trial'] / medians['served']:7.2f}")


if __name__ == "__main__":
    main()
