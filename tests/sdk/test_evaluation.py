"""A bundle on data as people keep it: each variant in its own runtime, by the bundle's own contract."""

import contextlib
import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import edgekit
from edgekit.artifacts import FileEntry
from edgekit.bundles import MANIFEST, VerifiedBundle, open_bundle
from edgekit.contract import Anomaly, Detect, Embed
from edgekit.errors import DeviceError, InputError, UnknownName
from edgekit.evaluation import ALL, EvaluationRequest, choose_variants, evaluate_bundle
from edgekit.files import digest_bytes
from edgekit.hardware import describe_hardware
from edgekit.manifest import Choice, decode_manifest
from edgekit.targets import find_target

COLOURS = ("red", "green", "blue")


def evaluate(root: Path, data: Path, **fields):
    return evaluate_bundle(open_bundle(root), EvaluationRequest(data, **fields), lambda _activity, _done, _total: None)


def change(root: Path, **fields) -> Path:
    """The bundle with other fields in its manifest."""
    manifest = decode_manifest((root / MANIFEST).read_bytes())
    (root / MANIFEST).write_bytes(replace(manifest, **fields).encode())
    return root


def add_variant(root: Path, name: str, model: bytes, **fields) -> None:
    """Give the bundle a further variant, whose file is *model*."""
    manifest = decode_manifest((root / MANIFEST).read_bytes())
    path = f"variants/{name}/model.onnx"
    (root / path).parent.mkdir()
    (root / path).write_bytes(model)
    entry = FileEntry(path=path, digest=digest_bytes(model), length=len(model))
    change(root, variants=(*manifest.variants, replace(manifest.variants[0], id=name, files=(entry,), **fields)))


@pytest.fixture
def pictures(kits, tmp_path) -> Path:
    """Six pictures in three folders by their colour, and one among them that is not what its folder says."""
    for place, data in enumerate(kits("image").items):
        folder = tmp_path / "pictures" / COLOURS[2 if place == 3 else place % 3]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{place}.png").write_bytes(data)
    return tmp_path / "pictures"


def test_folders_of_pictures_are_answered_and_counted(make_contract_bundle, pictures) -> None:
    """Five of six are right, with the interval, the data that were taken and what it cost beside it."""
    found = evaluate(make_contract_bundle("image"), pictures)
    (variant,) = found.variants
    (top1,) = variant.metrics
    assert (top1.metric, top1.value, top1.n, top1.better) == ("top1", pytest.approx(5 / 6), 6, "higher")
    assert top1.interval.bounds == pytest.approx((0.4365, 0.9699), abs=1e-4)
    assert (variant.id, variant.cost.runtime) == ("onnx-fp32", "onnxruntime")
    assert 0 < variant.cost.latency_ms.p50 < 100
    assert (found.data.kind, found.data.samples, found.data.available) == ("class-folders", 6, 6)


def test_ready_tensors_give_the_same_figure(make_contract_bundle, kits, pictures, tmp_path) -> None:
    """What the model is fed with may also be given as it is: the figure is the same as through the contract."""
    from edgekit.processing.pipeline import open_pipeline

    root, kit = make_contract_bundle("image"), kits("image")
    pipeline = open_pipeline(kit.contract, kit.inputs, kit.outputs, root)
    fed = np.concatenate([pipeline.feed({"photo": item}).inputs["x"] for item in kit.items])
    np.savez(tmp_path / "ready.npz", x=fed, labels=np.array([0, 1, 2, 2, 1, 2]))
    assert evaluate(root, tmp_path / "ready.npz").variants[0].metrics == evaluate(root, pictures).variants[0].metrics


def test_several_metrics_are_measured_by_their_names(make_contract_bundle, pictures, tmp_path, monkeypatch) -> None:
    """Each is measured once, one's own among them, however often it is named."""
    (tmp_path / "own_share.py").write_text("def measure(answers, truths):\n    return len(truths) / 10\n")
    monkeypatch.chdir(tmp_path)
    found = evaluate(make_contract_bundle("image"), pictures, metrics=("f1", "own_share:measure", "f1"))
    figures = {one.metric: one.value for one in found.variants[0].metrics}
    assert figures == {"f1": pytest.approx((2 / 3 + 1 + 4 / 5) / 3), "own_share:measure": 0.6}


def test_a_sample_is_taken_by_its_seed(make_contract_bundle, pictures) -> None:
    """Three of six are one of each class, and the record says which by their digest."""
    root = make_contract_bundle("image")
    found = evaluate(root, pictures, samples=3, seed=4)
    assert (found.variants[0].metrics[0].n, found.data.samples, found.data.seed) == (3, 3, 4)
    assert found.data.taken != evaluate(root, pictures, samples=3, seed=5).data.taken


def test_a_damaged_picture_is_skipped_and_named(make_contract_bundle, pictures) -> None:
    """One of seven cannot be used: it is left out, named, and counted."""
    (pictures / "red" / "broken.png").write_bytes(b"no picture")
    found = evaluate(make_contract_bundle("image"), pictures)
    assert [skip.key for skip in found.skipped] == ["red/broken.png"]
    assert (found.variants[0].metrics[0].n, found.data.skipped) == (6, 1)


def test_sounds_of_several_windows_are_one_answer_each(make_contract_bundle, kits, tmp_path) -> None:
    """A WAV in windows is read as one item, whose label a CSV has."""
    for place, data in enumerate(kits("audio").items):
        (tmp_path / f"{place}.wav").write_bytes(data)
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *((f"{place}.wav", ("quiet", "loud")[place % 2]) for place in range(6))])
    found = evaluate(make_contract_bundle("audio"), tmp_path / "labels.csv", metrics=("top1", "auc"))
    assert {one.metric: one.value for one in found.variants[0].metrics} == {"top1": 1.0, "auc": 1.0}


def test_texts_are_answered(make_contract_bundle, kits, tmp_path) -> None:
    """Texts in a CSV become tokens by the tokeniser that the bundle carries."""
    with (tmp_path / "reviews.csv").open("w", newline="") as file:
        labels = ("kind", "unkind", "kind", "unkind", "kind", "kind")
        csv.writer(file).writerows([("text", "label"), *zip(kits("text").items, labels, strict=True)])
    assert evaluate(make_contract_bundle("text"), tmp_path / "reviews.csv").variants[0].metrics[0].value == 1.0


def test_masks_are_held_against_those_of_the_data(make_contract_bundle, kits, tmp_path) -> None:
    """Whole pictures of one colour have that class everywhere; one whose truth is another has no pixel right: by hand 0.5."""
    from PIL import Image

    pixels = np.stack([np.asarray(Image.open(_as_file(tmp_path, data))) for data in kits("mask").items])
    truths = np.stack([np.full((30, 40), place % 3, np.uint8) for place in range(6)])
    truths[3] = 1
    np.savez(tmp_path / "masks.npz", photo=pixels, labels=truths)
    (figure,) = evaluate(make_contract_bundle("mask"), tmp_path / "masks.npz").variants[0].metrics
    # Of red one picture of two that were answered so is right, of green two of three that are so, and blue is right.
    assert (figure.metric, figure.value) == ("iou", pytest.approx((1 / 2 + 2 / 3 + 1) / 3, abs=0.02))


def _as_file(folder: Path, data: bytes) -> Path:
    (folder / "one.png").write_bytes(data)
    return folder / "one.png"


def _write_coco(folder: Path, items: tuple[bytes, ...]) -> Path:
    """Pictures in which a warm object lies where the model sees one, in red ones; the second red one has it elsewhere."""
    (folder / "images").mkdir(parents=True)
    annotations = []
    for place, data in enumerate(items):
        (folder / "images" / f"{place}.png").write_bytes(data)
        box = [5, 5, 15, 10] if place != 3 else [25, 15, 10, 10]
        annotations += [{"id": place + 1, "image_id": place, "category_id": 7, "bbox": box, "iscrowd": 0, "area": 1}] if place % 3 == 0 else []
    images = [{"id": place, "file_name": f"{place}.png", "width": 40, "height": 30} for place in range(6)]
    categories = [{"id": 7, "name": "warm"}, {"id": 9, "name": "cold"}]
    (folder / "instances.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return folder


def test_boxes_are_measured_as_coco_does(make_contract_bundle, kits, tmp_path) -> None:
    """Of two warm objects one is found exactly and one is missed, and boxes of cold ones are of a class that the data do not have.

    Recall reaches a half, 51 of 101 points, up to which precision is 1, or 0.5 where the wrong box has the higher score.
    """
    data = _write_coco(tmp_path / "coco", kits("boxes").items)
    found = evaluate(make_contract_bundle("boxes"), data, metrics=("map50", "map50-95"))
    figures = {one.metric: one.value for one in found.variants[0].metrics}
    assert min(abs(figures["map50"] - precision * 51 / 101) for precision in (1.0, 0.5)) < 1e-9
    assert figures["map50-95"] == pytest.approx(figures["map50"], abs=1e-9)
    assert found.remarks == ("map50, map50-95: the contract leaves boxes below 0.55 out, which published figures count",)


def test_boxes_are_measured_as_pycocotools_does_by_hand(make_contract_bundle, kits, tmp_path) -> None:
    """Annotations and results written out and given to pycocotools have the same figures, crowds and strangers' classes included."""
    root, rng = make_contract_bundle("boxes"), np.random.default_rng(3)
    data, results = _write_coco(tmp_path / "coco", kits("boxes").items), []
    described = json.loads((data / "instances.json").read_text())
    described["annotations"] = [_annotate(number, rng) for number in range(14)]
    (data / "instances.json").write_text(json.dumps(described))
    with edgekit.load(root) as model:
        for image in range(6):
            answer = model(data / "images" / f"{image}.png").arrays
            for (left, top, right, bottom), number, score in zip(*(answer[name].tolist() for name in ("boxes", "classes", "scores")), strict=True):
                results.append({"image_id": image, "category_id": (7, 9)[number], "bbox": [left, top, right - left, bottom - top], "score": score})
    strict, loose = _measure_by_hand(data / "instances.json", results)
    assert 0 < strict < loose < 1
    (variant,) = evaluate(root, data, metrics=("map50-95", "map50")).variants
    assert [one.value for one in variant.metrics] == pytest.approx([strict, loose], abs=1e-9)


def _annotate(number: int, rng: np.random.Generator) -> dict[str, object]:
    """An object near where the model sees one in such a picture, in one of six, every fifth of them a crowd."""
    image = number % 6
    box = np.array([5.0, 5, 15, 10] if image % 3 == 0 else [22.5, 7.5, 15, 20]) + rng.uniform(-2, 2, 4).round(1)
    category = 7 if image % 3 == 0 else 9
    area = float(box[2] * box[3])
    return {"id": number + 1, "image_id": image, "category_id": category, "bbox": box.tolist(), "iscrowd": int(number % 5 == 4), "area": area}


def _measure_by_hand(annotations: Path, results: list[dict[str, object]]) -> tuple[float, float]:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(annotations))
        by_hand = COCOeval(coco, coco.loadRes(results), "bbox")
        by_hand.evaluate()
        by_hand.accumulate()
        by_hand.summarize()
    return float(by_hand.stats[0]), float(by_hand.stats[1])


def test_published_thresholds_need_no_remark(make_contract_bundle, kits, tmp_path) -> None:
    """Where the contract lets nearly all boxes through nothing is to be known."""
    root = make_contract_bundle("boxes")
    contract = decode_manifest((root / MANIFEST).read_bytes()).processing
    assert isinstance(contract.answer, Detect)
    change(root, processing=replace(contract, answer=replace(contract.answer, threshold=0.001)))
    assert evaluate(root, _write_coco(tmp_path / "coco", kits("boxes").items)).remarks == ()


def test_vectors_without_truths_are_held_against_the_source(make_contract_bundle, kits, pictures) -> None:
    """Where the data have no vectors, full precision stands for the source model: it is itself, and another variant is near it."""
    root = make_contract_bundle("image")
    contract = decode_manifest((root / MANIFEST).read_bytes()).processing
    change(root, processing=replace(contract, task="embed", answer=Embed(output="logits"), labels=()))
    coarse = kits("image").graph.replace(np.float32(2).tobytes(), np.float32(3).tobytes())
    add_variant(root, "onnx-int8", coarse, precision="int8")
    found = evaluate(root, pictures, variants=(ALL,))
    exact, near = (one.metrics[0].value for one in found.variants)
    assert exact == pytest.approx(1.0)
    assert 0.9 < near < 0.999
    assert found.remarks == ("cosine: held against the answers of onnx-fp32, since the data have no vectors",)
    alone = decode_manifest((root / MANIFEST).read_bytes()).variants[1:]
    with pytest.raises(InputError, match="no variant of full precision"):
        evaluate(change(root, variants=alone), pictures)


def test_anomalies_are_ranked(make_contract_bundle, pictures) -> None:
    """A contract that reads an anomaly is measured by auc, where folders say what is normal."""
    root = make_contract_bundle("image")
    contract = decode_manifest((root / MANIFEST).read_bytes()).processing
    change(root, processing=replace(contract, task="anomaly", answer=Anomaly(output="logits"), labels=()))
    (pictures / "blue").rename(pictures / "normal")
    (figure,) = evaluate(root, pictures).variants[0].metrics
    assert figure.metric == "auc"
    assert 0 <= figure.value <= 1


def test_all_variants_are_measured_and_what_does_not_run_is_told(make_contract_bundle, kits, pictures) -> None:
    """A variant that is no model, one for an accelerator and one without a runtime have a reason; the others have figures."""
    root = make_contract_bundle("image")
    add_variant(root, "onnx-again", kits("image").graph)
    add_variant(root, "onnx-broken", b"no model")
    add_variant(root, "onnx-nvidia", kits("image").graph, accelerator="nvidia")
    add_variant(root, "abacus-fp32", b"beads", format="abacus")
    found = evaluate(root, pictures, variants=(ALL,))
    assert [one.id for one in found.variants] == ["onnx-fp32", "onnx-again"]
    assert found.variants[0].metrics == found.variants[1].metrics
    reasons = {one.id: one.reason for one in found.missing}
    assert list(reasons) == ["onnx-broken", "onnx-nvidia", "abacus-fp32"]
    assert "made for nvidia" in reasons["onnx-nvidia"]
    with pytest.raises(DeviceError, match=r"no variant of it that was asked for runs here: abacus-fp32.*edgekit\[abacus\]"):
        evaluate(root, pictures, variants=("abacus-fp32",))


def test_the_default_of_this_machine_is_measured(make_contract_bundle, kits) -> None:
    """Without a name it is the default here, unless that does not run; then the likeliest that does."""
    root = make_contract_bundle("image")
    add_variant(root, "onnx-again", kits("image").graph)
    add_variant(root, "abacus-fp32", b"beads", format="abacus")
    target = find_target(describe_hardware())

    def choose(default: str) -> str:
        (chosen,) = choose_variants(open_bundle(change(root, defaults={target: Choice(variant=default, reason="fast")})), ())
        return chosen.id

    assert choose("onnx-again") == "onnx-again"
    assert choose("abacus-fp32").startswith("onnx-")
    with pytest.raises(UnknownName, match="onnx-again, onnx-fp32"):
        choose_variants(open_bundle(root), ("onnx-int4",))


def test_nothing_that_runs_here_is_said(small_bundle: VerifiedBundle) -> None:
    """A bundle whose formats have no runtime here is not measured."""
    manifest = replace(small_bundle.manifest, variants=tuple(replace(one, format="abacus") for one in small_bundle.manifest.variants))
    with pytest.raises(DeviceError, match="no variant of it runs here"):
        choose_variants(VerifiedBundle(small_bundle.root, manifest, small_bundle.digest, manifest.variants), ())


def test_raw_data_need_a_contract(make_contract_bundle, pictures) -> None:
    """Without one pictures are none of the model's inputs, and the message says how to give one."""
    root = change(make_contract_bundle("image"), processing=None, golden_raw=None, golden_raw_origin=None)
    with pytest.raises(InputError, match=r"no contract by which.*edgekit convert --task or --processing"):
        evaluate(root, pictures)


def test_samples_without_labels_are_refused(make_contract_bundle, kits, tmp_path) -> None:
    """A plain folder says nothing of what is true."""
    for place, data in enumerate(kits("image").items):
        (tmp_path / "plain").mkdir(exist_ok=True)
        (tmp_path / "plain" / f"{place}.png").write_bytes(data)
    with pytest.raises(InputError, match="6 of its 6 samples have no label"):
        evaluate(make_contract_bundle("image"), tmp_path / "plain")


@pytest.mark.parametrize(("metric", "problem"), [("map50", "no boxes"), ("iou", "no mask"), ("wer", "no text")])
def test_a_metric_that_does_not_fit_is_refused(make_contract_bundle, pictures, metric: str, problem: str) -> None:
    """A classifier has no boxes, no masks and no texts, and nothing is measured instead."""
    with pytest.raises(InputError, match=problem):
        evaluate(make_contract_bundle("image"), pictures, metrics=(metric,))


def test_classes_that_only_data_name_are_told_and_their_number_held_against_the_model(make_contract_bundle, kits, pictures) -> None:
    """Where the contract has no labels folders are numbered by the alphabet, which is said; two folders cannot be three classes."""
    root = make_contract_bundle("image")
    contract = decode_manifest((root / MANIFEST).read_bytes()).processing
    change(root, processing=replace(contract, labels=()))
    found = evaluate(root, pictures)
    assert found.variants[0].metrics[0].value == 0.5  # the green ones, and the red one that lies among the blue ones
    assert found.remarks[0].endswith("taken to be numbered as the data have them: 0 blue, 1 green, 2 red")
    (pictures / "green").rename(pictures.parent / "green")
    with pytest.raises(InputError, match="2 classes by name, the model has 3"):
        evaluate(root, pictures)
