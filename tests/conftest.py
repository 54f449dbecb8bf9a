"""What all tests share: where a skip is not allowed, it is a failure; and bundles whose contracts take real files."""

import io
import json
import os
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from edgekit.artifacts import FileEntry, bind_identically
from edgekit.bundles import MANIFEST
from edgekit.contract import (
    Classify,
    Color,
    Detect,
    Feature,
    Fit,
    Layout,
    Normalize,
    Processing,
    Reading,
    Resample,
    Resize,
    Scale,
    Segment,
    Step,
    Tokenize,
    Windows,
)
from edgekit.files import digest_bytes
from edgekit.golden import GoldenSamples
from edgekit.golden_raw import GoldenRaw, record_items
from edgekit.manifest import Lineage, Manifest, Parity, Tolerance, Variant
from edgekit.processing.pipeline import open_pipeline
from edgekit.runtimes.onnx_runtime import OnnxRuntime
from edgekit.runtimes.sessions import open_session
from edgekit.tensors import TensorSpec


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, pytest.TestReport]:
    """With EDGEKIT_NO_SKIPS set, as in continuous integration, a test that cannot run here fails with its reason."""
    report: pytest.TestReport = yield
    if report.skipped and os.environ.get("EDGEKIT_NO_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where no skip is allowed: {report.longrepr}"
    return report


@pytest.fixture
def watch_growth() -> Callable[[], Callable[[], int]]:
    """Begins to watch this process's memory, and gives what tells by how many bytes it has at most grown since.

    The kernel forgets the highest value so far when told to (proc(5), /proc/pid/clear_refs): what ran before would hide any growth.
    """

    def read() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

    def begin() -> Callable[[], int]:
        Path("/proc/self/clear_refs").write_text("5")
        before = read()
        return lambda: read() - before

    return begin


@dataclass(frozen=True)
class Kit:
    """A small model with its contract: *graph* as ONNX, *inputs* and *outputs*, and *items* that callers may give."""

    graph: bytes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    contract: Processing
    items: tuple[Any, ...]

    def name_items(self) -> list[dict[str, Any]]:
        """The items by the names of the contract's inputs."""
        return [item if isinstance(item, dict) else {self.contract.inputs[0].name: item} for item in self.items]


def _spec(name: str, dtype: str, *shape: int | str) -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape)


def _graph(inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], nodes: list[tuple[Any, ...]], constants: Mapping[str, Any]) -> bytes:
    """An ONNX model of *nodes*, each (operator, inputs, output) or with its attributes behind."""
    import onnx
    from onnx import helper, numpy_helper

    def declare(spec: TensorSpec) -> Any:
        return helper.make_tensor_value_info(spec.name, {"float32": 1, "int64": 7}[spec.dtype], spec.shape)

    made = [helper.make_node(kind, given, [output], **(attributes[0] if attributes else {})) for kind, given, output, *attributes in nodes]
    weights = [numpy_helper.from_array(np.array(value), name) for name, value in constants.items()]
    graph = helper.make_graph(made, "g", list(map(declare, inputs)), list(map(declare, outputs)), weights)
    model: bytes = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    assert onnx.checker.check_model(model) is None
    return model


def encode_png(pixels: Any) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _picture(index: int) -> bytes:
    """A PNG of 40 x 30 pixels in one of three colours, with steps of light and some noise."""
    rng = np.random.default_rng(index)
    light = np.linspace(0.4, 1.0, 40)[None, :, None] * np.linspace(1.0, 0.5, 30)[:, None, None]
    colour = np.array([(230, 40, 20), (30, 220, 60), (20, 60, 240)])[index % 3]
    return encode_png(np.clip(light * colour + rng.normal(0, 6, (30, 40, 3)), 0, 255).astype(np.uint8))


_PICTURES = tuple(map(_picture, range(6)))
_SHRUNK = (Resize(width=16, height=12), Color(order="RGB"), Scale(factor=1 / 255), Normalize(mean=(0.5,), std=(0.25,)), Layout(axes="CHW"))
_COLOURS = ("red", "green", "blue")


def _photo(batch: int | str, steps: tuple[Step, ...] = _SHRUNK) -> tuple[tuple[TensorSpec, ...], tuple[Feature, ...]]:
    return (_spec("x", "float32", batch, 3, 12, 16),), (Feature(name="photo", kind="image", feeds="x", steps=steps),)


def _make_colours() -> Kit:
    """Which of three colours a picture has."""
    inputs, features = _photo("n")
    outputs = (_spec("logits", "float32", "n", 3),)
    weights = np.array([[2, -1, -1], [-1, 2, -1], [-1, -1, 2]], np.float32)
    nodes = [("ReduceMean", ["x"], "mean", {"axes": [2, 3], "keepdims": 0}), ("MatMul", ["mean", "w"], "logits")]
    answer = Classify(output="logits", activation="softmax", top=2)
    contract = Processing(task="classify", inputs=features, answer=answer, labels=_COLOURS)
    return Kit(_graph(inputs, outputs, nodes, {"w": weights}), inputs, outputs, contract, _PICTURES)


def _make_boxes() -> Kit:
    """Two boxes, the first with the picture's redness as its score, the second with its blueness. It takes one picture at a time."""
    inputs, features = _photo(1)
    outputs = (_spec("boxes", "float32", 1, 2, 4), _spec("scores", "float32", 1, 2, 2))
    corners = np.array([[[2, 2, 8, 6], [9, 3, 15, 11]]], np.float32)
    weights = np.array([[4, 0, 0, -4], [0, 0, 0, 0], [-4, 0, 0, 4]], np.float32)
    nodes = [
        ("ReduceMean", ["x"], "mean", {"axes": [2, 3], "keepdims": 0}),
        ("MatMul", ["mean", "w"], "rows"),
        ("Reshape", ["rows", "form"], "scores"),
        ("ReduceSum", ["mean", "axis"], "sum", {"keepdims": 1}),
        ("Mul", ["sum", "zero"], "nothing"),
        ("Unsqueeze", ["nothing", "axis"], "still"),
        ("Add", ["still", "corners"], "boxes"),
    ]
    constants = {"w": weights, "form": np.array([1, 2, 2]), "axis": np.array([1]), "zero": np.float32(0), "corners": corners}
    reading: Reading = Detect(boxes="boxes", scores="scores", activation="sigmoid", threshold=0.55)
    contract = Processing(task="detect", inputs=features, answer=reading, labels=("warm", "cold"))
    return Kit(_graph(inputs, outputs, nodes, constants), inputs, outputs, contract, _PICTURES)


def _make_mask() -> Kit:
    """The colour of each pixel."""
    inputs, features = _photo("n")
    outputs = (_spec("scores", "float32", "n", 3, 12, 16),)
    contract = Processing(task="segment", inputs=features, answer=Segment(output="scores"), labels=_COLOURS)
    return Kit(_graph(inputs, outputs, [("Mul", ["x", "two"], "scores")], {"two": np.float32(2)}), inputs, outputs, contract, _PICTURES)


def _sound(index: int) -> bytes:
    """A WAV of a tone, 16 kHz, loud or quiet."""
    import soundfile

    time = np.arange(2400 + 800 * (index % 3)) / 16_000
    tone = (0.6 if index % 2 else 0.05) * np.sin(2 * np.pi * (300 + 90 * index) * time)
    buffer = io.BytesIO()
    soundfile.write(buffer, tone.astype(np.float32), 16_000, "PCM_16", format="WAV")
    return buffer.getvalue()


def _make_sounds() -> Kit:
    """Whether a sound is loud, heard in windows."""
    inputs, outputs = (_spec("wave", "float32", "n", 400),), (_spec("logits", "float32", "n", 2),)
    nodes = [
        ("Abs", ["wave"], "size"),
        ("ReduceMean", ["size"], "level", {"axes": [1], "keepdims": 1}),
        ("MatMul", ["level", "w"], "rows"),
        ("Add", ["rows", "b"], "logits"),
    ]
    constants = {"w": np.array([[-20, 20]], np.float32), "b": np.array([3, -3], np.float32)}
    steps: tuple[Step, ...] = (Resample(rate=8000), Fit(length=1200), Windows(length=400, hop=200))
    feature = Feature(name="sound", kind="audio", feeds="wave", steps=steps)
    contract = Processing(task="audio", inputs=(feature,), answer=Classify(output="logits", activation="softmax"), labels=("quiet", "loud"))
    return Kit(_graph(inputs, outputs, nodes, constants), inputs, outputs, contract, tuple(map(_sound, range(6))))


_WORDS = ("[PAD]", "[UNK]", "good", "bad", "fine", "awful", "a", "day", "this", "is")


def _make_texts() -> Kit:
    """Whether a text is kind, by the mean of its words' vectors."""
    inputs, outputs = (_spec("ids", "int64", "n", 6),), (_spec("logits", "float32", "n", 2),)
    vectors = np.zeros((len(_WORDS), 2), np.float32)
    vectors[[2, 4]], vectors[[3, 5]] = (0, 6), (6, 0)
    nodes = [("Gather", ["vectors", "ids"], "rows"), ("ReduceMean", ["rows"], "logits", {"axes": [1], "keepdims": 0})]
    feature = Feature(name="review", kind="text", steps=(Tokenize(file="processing/tokenizer.json", length=6, feeds={"ids": "ids"}),))
    contract = Processing(task="text", inputs=(feature,), answer=Classify(output="logits", activation="softmax"), labels=("unkind", "kind"))
    items = ("this is a good day", "awful day", "fine", "a bad bad day", "good good", "this is fine a good day")
    return Kit(_graph(inputs, outputs, nodes, {"vectors": vectors}), inputs, outputs, contract, items)


def _make_tokenizer() -> bytes:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(_WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return json.dumps(json.loads(tokenizer.to_str())).encode()


def _table(index: int) -> bytes:
    rng = np.random.default_rng(index)
    rows = rng.normal((index % 2) * 3, 0.5, (8, 2))
    return ("time,up,down\n" + "\n".join(f"{place},{up:.4f},{down:.4f}" for place, (up, down) in enumerate(rows))).encode()


def _make_tables() -> Kit:
    """Whether what is measured moves."""
    inputs, outputs = (_spec("rows", "float32", "n", 4, 2),), (_spec("logits", "float32", "n", 2),)
    nodes = [("Reshape", ["rows", "form"], "flat"), ("MatMul", ["flat", "w"], "sums"), ("Add", ["sums", "b"], "logits")]
    weights = np.tile(np.array([[-0.5, 0.5]], np.float32), (8, 1))
    constants = {"form": np.array([-1, 8]), "w": weights, "b": np.array([4, -4], np.float32)}
    feature = Feature(name="window", kind="series", feeds="rows", columns=("up", "down"), steps=(Windows(length=4, hop=4),))
    contract = Processing(task="classify", inputs=(feature,), answer=Classify(output="logits", activation="softmax"), labels=("still", "moving"))
    return Kit(_graph(inputs, outputs, nodes, constants), inputs, outputs, contract, tuple(map(_table, range(6))))


def _make_pairs() -> Kit:
    """Whether one picture is redder than another."""
    (x,), (photo,) = _photo("n")
    inputs, outputs = (x, replace(x, name="z")), (_spec("logits", "float32", "n", 2),)
    features = (photo, replace(photo, name="other", feeds="z"))
    nodes = [
        ("Sub", ["x", "z"], "difference"),
        ("ReduceMean", ["difference"], "mean", {"axes": [2, 3], "keepdims": 0}),
        ("MatMul", ["mean", "w"], "logits"),
    ]
    constants = {"w": np.array([[-1, 1], [0, 0], [0, 0]], np.float32)}
    contract = Processing(task="classify", inputs=features, answer=Classify(output="logits"), labels=("no", "yes"))
    pairs = tuple({"photo": one, "other": _PICTURES[(place + 1) % 6]} for place, one in enumerate(_PICTURES))
    return Kit(_graph(inputs, outputs, nodes, constants), inputs, outputs, contract, pairs)


_KITS = {
    "image": _make_colours,
    "pair": _make_pairs,
    "boxes": _make_boxes,
    "mask": _make_mask,
    "audio": _make_sounds,
    "text": _make_texts,
    "series": _make_tables,
}


def _write(root: Path, path: str, data: bytes) -> FileEntry:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(data)
    return FileEntry(path=path, digest=digest_bytes(data), length=len(data))


def _confuse(contract: Processing) -> Processing:
    """*contract* with blue where red should be."""
    steps = tuple(Color(order="BGR") if isinstance(step, Color) else step for step in contract.inputs[0].steps)
    return replace(contract, inputs=(replace(contract.inputs[0], steps=steps),))


@pytest.fixture
def kits() -> Callable[[str], Kit]:
    """Models with contracts by what they take or find: image, pair (of pictures), boxes, mask, audio, text, series."""
    return lambda kind: _KITS[kind]()


@pytest.fixture
def make_contract_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Makes a bundle of one of the kits, with golden samples and golden raw items of the source model's.

    With *confused*, its contract has blue where red was when these were recorded. *seed* makes another file of the same model.
    """

    def make(kind: str, directory: str = "contract", *, confused: bool = False, name: str = "", seed: int = 0) -> Path:
        kit, root = _KITS[kind](), tmp_path / directory
        model = kit.graph + b"\xfa\x01\x08" + seed.to_bytes(8, "little")
        files = (_write(root, "processing/tokenizer.json", _make_tokenizer()),) if kind == "text" else ()
        contract = replace(kit.contract, files=files)
        tolerance = Tolerance(max_abs=1e-3, mean_abs=1e-3)
        bound = {"inputs": bind_identically(kit.inputs), "outputs": bind_identically(kit.outputs)}
        entry = _write(root, "variants/onnx-fp32/model.onnx", model)
        parity = Parity(max_abs=0.0, mean_abs=0.0, n=6)
        variant = Variant(id="onnx-fp32", format="onnx", precision="fp32", files=(entry,), parity=parity, tolerance=tolerance, **bound)
        pipeline = open_pipeline(contract, kit.inputs, kit.outputs, root)
        with open_session(root / entry.path, variant, kit.inputs, kit.outputs, OnnxRuntime()) as session:
            items = record_items(pipeline, session, kit.name_items(), kind)
            fed = [{name: array[:1] for name, array in item.fed.items()} for item in items]
            answers = [session.infer(one) for one in fed]
        golden = GoldenSamples(*({name: np.concatenate([one[name] for one in many]) for name in many[0]} for many in (fed, answers)))
        manifest = Manifest(
            name=name or kind,
            inputs=kit.inputs,
            outputs=kit.outputs,
            golden=_write(root, "golden.npz", golden.encode()),
            golden_origin="synthetic",
            processing=_confuse(contract) if confused else contract,
            golden_raw=_write(root, "golden-raw.npz", GoldenRaw(items, {"onnx-fp32": 0.9}).encode()),
            golden_raw_origin="synthetic",
            variants=(variant,),
            lineage=Lineage(source="model.onnx", source_format="onnx", source_digest=digest_bytes(model), source_size=len(model)),
        )
        (root / MANIFEST).write_bytes(manifest.encode())
        return root

    return make


@pytest.fixture
def lack_libraries(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """From then on, libraries whose names begin as is said cannot be imported where contracts ask for them."""
    import importlib

    from edgekit.processing import libraries

    class Lacking:
        """importlib, without some of the libraries."""

        def __init__(self, *names: str) -> None:
            self._names = names

        def import_module(self, name: str) -> Any:
            if name.startswith(self._names):
                raise ImportError(f"No module named {name.partition('.')[0]!r}")
            return importlib.import_module(name)

    def lack(*names: str) -> None:
        monkeypatch.setattr(libraries, "importlib", Lacking(*names))

    return lack
