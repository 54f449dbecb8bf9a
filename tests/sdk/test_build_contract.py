"""Builds with a contract: from files as people keep them to a bundle that says how it was made of them."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.build import build_bundle
from edgekit.build_request import BuildRequest
from edgekit.bundles import open_bundle
from edgekit.contract import Classify, Feature, Processing, Tokenize
from edgekit.errors import InputError
from edgekit.golden_raw import read_golden_raw
from edgekit.reference import find_source

pytestmark = pytest.mark.workstation

ONNX = {"formats": ("onnx",), "precisions": ("fp32", "int8")}


def quiet(what: str, done: int, total: int) -> None:
    """No progress is shown."""


def save(
    path: Path, nodes: list[onnx.NodeProto], inputs: dict[str, tuple[int, list[Any]]], output: list[Any], weights: dict[str, np.ndarray]
) -> Path:
    """A model of *nodes* with one output y."""
    ends = [helper.make_tensor_value_info(name, kind, sizes) for name, (kind, sizes) in inputs.items()]
    last = [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)]
    graph = helper.make_graph(nodes, "graph", ends, last, [numpy_helper.from_array(array, name) for name, array in weights.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_pictures_are_measured_as_people_keep_them(colours: Any, tmp_path: Path) -> None:
    """Folders of pictures give a metric with its interval, and the lineage says which of how many samples took part."""
    manifest = build_bundle(BuildRequest(colours.model, tmp_path / "bundle", processing=colours.contract, samples=60, **ONNX, **colours.data), quiet)
    bundle = open_bundle(tmp_path / "bundle")
    assert bundle.manifest == manifest
    assert manifest.processing is not None
    assert manifest.processing.labels == ("bright", "dark", "blue", "red", "stripes")
    for variant in manifest.variants:
        assert variant.metric is not None
        assert variant.metric.interval is not None
        low, high = variant.metric.interval
        assert (variant.metric.name, variant.metric.n) == ("top1", 60)
        assert 0.9 < low <= variant.metric.value <= high
    uses = {use.role: use for use in manifest.lineage.data}
    assert {role: (use.kind, use.samples, use.available) for role, use in uses.items()} == {
        "calibration": ("class-folders", 60, 120),
        "evaluation": ("class-folders", 60, 100),
        "golden": ("class-folders", 60, 120),
    }
    assert manifest.lineage.calibration_digest == uses["calibration"].digest
    assert manifest.lineage.options["processing"] == "colours.toml"
    assert {"pillow", "numpy"} <= manifest.lineage.tools.keys()
    golden_raw = read_golden_raw(bundle)
    assert golden_raw is not None
    assert golden_raw.agreements.keys() == {"onnx-fp32", "onnx-int8"}


def test_arrays_of_pixels_give_the_same_figures(colours: Any, tmp_path: Path) -> None:
    """Pictures in one .npz, as pixels with the names of their classes, are the same data as the folders."""
    from PIL import Image

    files = sorted((colours.root / "test").rglob("*.png"))
    pixels = np.stack([np.asarray(Image.open(path)) for path in files])
    np.savez(tmp_path / "test.npz", image=pixels, labels=np.array([path.parent.name for path in files]))
    request = BuildRequest(colours.model, tmp_path / "bundle", processing=colours.contract, formats=("onnx",), precisions=("fp32",))
    values = [build_bundle(replace(request, evaluation=data), quiet).variants[0].metric for data in (tmp_path / "test.npz", colours.root / "test")]
    assert values[0] == values[1]


def test_damaged_pictures_are_skipped_and_too_many_stop(colours: Any, tmp_path: Path) -> None:
    """A few unusable pictures are counted and warned of; where they are many the build ends and names them."""
    import shutil

    data = shutil.copytree(colours.root / "test", tmp_path / "data")
    request = BuildRequest(colours.model, tmp_path / "bundle", processing=colours.contract, evaluation=data, formats=("onnx",), precisions=("fp32",))
    (data / "blue" / "03.png").write_bytes(b"no picture")
    manifest = build_bundle(request, quiet)
    assert manifest.lineage.data[0].skipped == 1
    assert any("1 samples were skipped, the first blue/03.png: " in warning for warning in manifest.warnings)
    for path in (data / "red").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"of its samples cannot be used.*blue/03\.png"):
        build_bundle(request, quiet)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"processing": None}, "nothing says how its samples become the model's inputs"),
        ({"processing": None, "calibration": None, "evaluation": None, "golden_raw": True}, "--golden-raw: there is no contract"),
        ({"calibration": None, "evaluation": None, "golden_raw": True}, "--golden-raw: there is no data with raw items"),
        ({"task": "classify"}, "--processing names a contract already"),
        ({"processing": Path("none.toml")}, "none.toml: it cannot be read"),
        ({"metric": "map50"}, "the answers have no boxes"),
    ],
)
def test_what_cannot_end_well_is_refused(colours: Any, tmp_path: Path, change: dict[str, Any], told: str) -> None:
    """Pictures without a contract, items without data, two contracts and a metric about something else each have their answer."""
    request = BuildRequest(colours.model, tmp_path / "bundle", processing=colours.contract, **ONNX, **colours.data)
    with pytest.raises(InputError, match=told):
        build_bundle(replace(request, **change), quiet)
    assert list(tmp_path.iterdir()) == []


def make_detector(path: Path) -> Path:
    """Sixteen cells of 8 x 8 pixels, each a box with how red and how blue it is: boxes (4 + 2, 16) as Ultralytics has them."""
    centres = np.stack(np.meshgrid(np.arange(4), np.arange(4)), axis=0).reshape(2, 16) * 8 + 4
    boxes = np.concatenate([centres, np.full((2, 16), 8)])[None].astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["x"], ["means"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Reshape", ["means", "flat"], ["cells"]),
        helper.make_node("Gather", ["cells", "channels"], ["scores"], axis=1),
        helper.make_node("Gather", ["cells", "first"], ["one"], axis=1),
        helper.make_node("Mul", ["one", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "boxes"], ["placed"]),
        helper.make_node("Concat", ["placed", "scores"], ["y"], axis=1),
    ]
    weights = {"flat": np.array([0, 3, 16]), "channels": np.array([0, 2]), "first": np.array([0]), "zero": np.zeros(1, np.float32), "boxes": boxes}
    return save(path, nodes, {"x": (TensorProto.FLOAT, ["n", 3, 32, 32])}, ["n", 6, 16], weights)


def write_coco(root: Path, count: int) -> Path:
    """Pictures of 64 x 48 pixels with red and blue squares, a third of whose height is the letterbox's border."""
    from PIL import Image

    rng, images, annotations = np.random.default_rng(0), [], []
    (root / "images").mkdir(parents=True)
    for index in range(count):
        pixels = np.zeros((48, 64, 3), np.uint8)
        for place in rng.choice(12, 2, replace=False).tolist():
            row, column, label = place // 4, place % 4, int(rng.integers(2))
            x, y = column * 16, row * 16
            pixels[y : y + 16, x : x + 16, 2 * label] = 255
            annotations.append({"id": len(annotations) + 1, "image_id": index, "category_id": label + 5, "bbox": [x, y, 16, 16], "iscrowd": 0})
        Image.fromarray(pixels).save(root / "images" / f"{index}.png")
        images.append({"id": index, "file_name": f"{index}.png", "width": 64, "height": 48})
    categories = [{"id": 5, "name": "red"}, {"id": 6, "name": "blue"}]
    (root / "annotations.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return root


DETECT = """
task = "detect"

[[inputs]]
name = "image"
kind = "image"
feeds = "x"
steps = [
    { step = "resize", width = 32, height = 32, fit = "letterbox", anchor = "corner" },
    { step = "scale", factor = 0.00392156862745098 },
    { step = "layout", axes = "CHW" },
]

[answer]
read = "boxes"
boxes = "y"
layout = "yolo"
form = "cxcywh"
"""


def test_a_detector_is_measured_by_its_boxes(tmp_path: Path) -> None:
    """COCO's boxes are found in the pictures' own pixels, classes have COCO's names, and each variant's boxes are held against the source's."""
    source, data = make_detector(tmp_path / "cells.onnx"), write_coco(tmp_path / "coco", 40)
    (tmp_path / "detect.toml").write_text(DETECT)
    request = BuildRequest(
        source, tmp_path / "bundle", processing=tmp_path / "detect.toml", calibration=data, evaluation=data, formats=("onnx",), precisions=("fp32",)
    )
    manifest = build_bundle(request, quiet)
    (variant,) = manifest.variants
    assert variant.metric is not None
    assert (variant.metric.name, variant.metric.value, variant.metric.n) == ("map50", pytest.approx(1.0, abs=0.01), 40)
    assert variant.parity.box_agreement == 1.0
    assert variant.tolerance.box_agreement is not None
    assert manifest.processing is not None
    assert manifest.processing.labels == ("red", "blue")
    assert {use.kind for use in manifest.lineage.data} == {"coco"}


def make_text_model(path: Path) -> Path:
    """The mean of three numbers for each of eight tokens."""
    rng = np.random.default_rng(0)
    nodes = [helper.make_node("Gather", ["table", "ids"], ["vectors"]), helper.make_node("ReduceMean", ["vectors"], ["y"], axes=[1], keepdims=0)]
    return save(path, nodes, {"ids": (TensorProto.INT64, ["n", 8])}, ["n", 3], {"table": rng.normal(size=(9, 3)).astype(np.float32)})


def test_a_tokeniser_that_the_source_brings_travels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A contract with a file that comes with the source is in the bundle, its file verified like any other, and used there alone."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ("[UNK]", "good", "bad", "very", "not", "film", "the", "a", "was")
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words[1:], 6).tolist()) for _ in range(60)]
    (tmp_path / "texts.csv").write_text("text\n" + "\n".join(texts) + "\n")
    source = make_text_model(tmp_path / "texts.onnx")
    plain = find_source(source)
    step = Tokenize(file="tokenizer.json", length=8, feeds={"ids": "ids"})
    contract = Processing(
        task="text", inputs=(Feature(name="text", kind="text", steps=(step,)),), answer=Classify(output="y", top=1), labels=("pos", "neg", "neutral")
    )

    class Bringing:
        def load(self, path: Path, workspace: Path, options: Any) -> Any:
            brought = plain.load(path, workspace, options)
            return replace(brought, processing=contract, processing_files={"tokenizer.json": tmp_path / "tokenizer.json"})

    monkeypatch.setattr("edgekit.reference.find_source", lambda _: Bringing())
    request = BuildRequest(source, tmp_path / "bundle", calibration=tmp_path / "texts.csv", formats=("onnx",), precisions=("fp32",))
    manifest = build_bundle(request, quiet)
    assert manifest.processing is not None
    assert [entry.path for entry in manifest.processing.files] == ["processing/tokenizer.json"]
    (tmp_path / "tokenizer.json").unlink()
    bundle = open_bundle(tmp_path / "bundle")
    golden_raw = read_golden_raw(bundle)
    assert golden_raw is not None
    assert all(isinstance(item.raws["text"], str) for item in golden_raw.items)
    (tmp_path / "bundle" / "processing" / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"processing/tokenizer\.json"):
        open_bundle(tmp_path / "bundle")


def make_large(root: Path, count: int) -> dict[str, Path]:
    """A model of pictures of 224 x 224, and *count* of them as small files."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for index in range(count):
        (root / "data" / str(index % 3)).mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 120, (6, 8, 3), dtype=np.uint8)
        pixels[..., index % 3] += 100
        Image.fromarray(pixels).resize((320, 240)).save(root / "data" / str(index % 3) / f"{index}.jpg")
    nodes = [helper.make_node("GlobalAveragePool", ["x"], ["means"]), helper.make_node("Flatten", ["means"], ["y"])]
    return {"source": save(root / "large.onnx", nodes, {"x": (TensorProto.FLOAT, ["n", 3, 224, 224])}, ["n", 3], {}), "data": root / "data"}


WATCHED = """
import sys, threading
from pathlib import Path
from edgekit.build import build_bundle
from edgekit.build_request import BuildRequest

ended, highest = threading.Event(), 0

def watch():
    # What is mapped from files is the kernel's to take back, and stays for as long as it has room.
    global highest
    while not ended.wait(0.005):
        lines = Path("/proc/self/status").read_text().splitlines()
        highest = max(highest, next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")))

watcher = threading.Thread(target=watch)
watcher.start()
source, data, out = map(Path, sys.argv[1:])
request = BuildRequest(source, out, task="classify", calibration=data, evaluation=data, samples=2000, formats=("onnx",), max_drop=1.0)
build_bundle(request, lambda *_: None)
ended.set()
watcher.join()
print(highest >> 10)
"""


@pytest.mark.heavy
def test_memory_does_not_grow_with_the_samples(tmp_path: Path) -> None:
    """A build with two thousand pictures of 224 x 224, 1.2 GB as floats in each set, holds less than a third of that as memory of its own."""
    made = make_large(tmp_path, 2000)
    command = [sys.executable, "-c", WATCHED, made["source"], made["data"], tmp_path / "bundle"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True, timeout=280)
    assert 50 < int(done.stdout) < 400
