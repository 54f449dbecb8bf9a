"""What a raw request costs beside its parts: a 640 x 480 JPEG fed, inferred and read by hand, served, and sent over HTTP, in turns.

The contract is that of most classifiers: 224 x 224, normalised, in float32. What serving adds is its admission, its queue and its
count; what HTTP adds, a socket on this machine and an answer in JSON.
"""

import http.client
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from PIL import Image

from edgekit.artifacts import Artifact, FileEntry, bind_identically
from edgekit.contract import Classify, Crop, Feature, Layout, Normalize, Processing, Resize, Scale
from edgekit.files import digest_file
from edgekit.processing.pipeline import ContractPipeline, open_pipeline
from edgekit.runtimes.onnx_runtime import OnnxRuntime
from edgekit.runtimes.sessions import InferenceSession, open_session
from edgekit.tensors import TensorSpec
from edgekit_agent.config import Address
from edgekit_agent.local_api.connection import Limits
from edgekit_agent.local_api.routes import Routes
from edgekit_agent.local_api.server import LocalApi
from edgekit_agent.raw_access import OpenContract, RawAccess
from edgekit_agent.serving import LiveModel, ModelInfo, Serving

INPUTS = (TensorSpec(name="x", dtype="float32", shape=("batch", 3, 224, 224)),)
OUTPUTS = (TensorSpec(name="y", dtype="float32", shape=("batch", 10)),)
STEPS = (
    Resize(width=256, height=256, fit="cover"),
    Crop(width=224, height=224),
    Scale(factor=1 / 255),
    Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    Layout(axes="CHW"),
)
PHOTO = Feature(name="photo", kind="image", feeds="x", steps=STEPS)
CONTRACT = Processing(task="classify", inputs=(PHOTO,), answer=Classify(output="y", activation="softmax"))
ROUNDS, REQUESTS = 20, 20


def write_model(path: Path) -> None:
    """A model that costs next to nothing: the mean of each channel, and a dense layer."""
    weights = numpy_helper.from_array(np.random.default_rng(0).normal(size=(3, 10)).astype(np.float32), "w")
    nodes = [helper.make_node("ReduceMean", ["x"], ["mean"], axes=[2, 3], keepdims=0), helper.make_node("MatMul", ["mean", "w"], ["y"])]
    inputs, outputs = ([helper.make_tensor_value_info(spec.name, 1, spec.shape) for spec in specs] for specs in (INPUTS, OUTPUTS))
    graph = helper.make_graph(nodes, "g", inputs, outputs, [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def make_photo() -> bytes:
    """A JPEG of 640 x 480 pixels with as much detail as a photograph has."""
    rng = np.random.default_rng(1)
    coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).resize((640, 480), Image.Resampling.BICUBIC)
    noisy = np.clip(np.asarray(coarse) + rng.normal(0, 8, (480, 640, 3)), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noisy).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def open_live(session: InferenceSession, pipeline: ContractPipeline, digest: str) -> LiveModel:
    """The model as an agent serves it."""
    info = ModelInfo(
        name="photos",
        version="1.0.0",
        release="photos@1.0.0",
        digest=digest,
        variant="onnx-fp32",
        format="onnx",
        precision="fp32",
        runtime="onnxruntime",
        runtime_version=OnnxRuntime().find_version(),
        inputs=INPUTS,
        outputs=OUTPUTS,
        raw=RawAccess(inputs=pipeline.inputs, kinds={"photo": "image"}, answers=pipeline.answers),
    )
    return LiveModel(info, session, contract=OpenContract(pipeline))


def ask_by_hand(session: InferenceSession, pipeline: ContractPipeline, photo: bytes) -> object:
    """The three parts, one after the other."""
    fed = pipeline.feed({"photo": photo})
    return pipeline.read(session.infer(fed.inputs), fed)


def ask_serving(serving: Serving, photo: bytes) -> object:
    """A request as the local API makes it."""
    with serving.leasing("photos") as lease:
        return lease.infer_item(photo)


def ask_over_http(connection: http.client.HTTPConnection, photo: bytes) -> object:
    """A request as a program on the device makes it."""
    connection.request("POST", "/v2/models/photos/infer", photo, {"Content-Type": "image/jpeg"})
    answer = connection.getresponse()
    assert answer.status == 200
    return answer.read()


def time_requests(ask: Callable[[], object]) -> float:
    """The microseconds that one request takes on average."""
    started = time.perf_counter()
    for _ in range(REQUESTS):
        ask()
    return (time.perf_counter() - started) / REQUESTS * 1e6


def measure(session: InferenceSession, pipeline: ContractPipeline, digest: str) -> dict[str, float]:
    """The median of each way to ask, in microseconds; in turns, so that whatever else the machine does meets them alike."""
    photo = make_photo()
    with Serving() as serving, LocalApi(Address(host="127.0.0.1", port=0), Routes(serving).answer, Limits()) as api:
        serving.swap(open_live(session, pipeline, digest))
        connection = http.client.HTTPConnection("127.0.0.1", api.address.port, timeout=30)
        asking: dict[str, Callable[[], object]] = {
            "by hand": lambda: ask_by_hand(session, pipeline, photo),
            "served": lambda: ask_serving(serving, photo),
            "over HTTP": lambda: ask_over_http(connection, photo),
        }
        times: dict[str, list[float]] = {name: [time_requests(ask) for _ in range(2)][1:] for name, ask in asking.items()}
        for _ in range(ROUNDS):
            for name, ask in asking.items():
                times[name].append(time_requests(ask))
        connection.close()
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Print what each way takes, and how many times as much as by hand."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "model.onnx"
        write_model(path)
        entry = FileEntry(path=path.name, digest=digest_file(path), length=path.stat().st_size)
        artifact = Artifact(format="onnx", files=(entry,), inputs=bind_identically(INPUTS), outputs=bind_identically(OUTPUTS))
        pipeline = open_pipeline(CONTRACT, INPUTS, OUTPUTS, path.parent)
        medians = measure(open_session(path, artifact, INPUTS, OUTPUTS, OnnxRuntime()), pipeline, entry.digest)
    for name, median in medians.items():
        print(f"{name:12} {median:8.0f} us   {median / medians['by hand']:5.2f}")


if __name__ == "__main__":
    main()
