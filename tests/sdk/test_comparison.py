"""Two models on the same samples."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from edgekit.bundles import MANIFEST, open_bundle
from edgekit.comparison import compare_variants, word_difference
from edgekit.contract import Embed
from edgekit.errors import InputError
from edgekit.evaluation import ALL, EvaluationRequest
from edgekit.manifest import decode_manifest
from edgekit.metrics.embeddings import COSINE
from edgekit.metrics.intervals import Difference, Interval
from edgekit.metrics.registry import find_metric
from edgekit.metrics.transcripts import WER

COLOURS = ("red", "green", "blue")


def compare(first: Path, second: Path, data: Path, other: tuple[str, ...] = (), **fields):
    request = EvaluationRequest(data, **fields)
    return compare_variants(open_bundle(first), open_bundle(second), other, request, lambda _activity, _done, _total: None)


@pytest.fixture
def pictures(kits, tmp_path) -> Path:
    """Six pictures in three folders by their colour."""
    for place, data in enumerate(kits("image").items):
        folder = tmp_path / "pictures" / COLOURS[place % 3]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{place}.png").write_bytes(data)
    return tmp_path / "pictures"


def test_what_a_wrong_contract_loses_is_told(make_contract_bundle, pictures) -> None:
    """The same model, fed with blue for red, answers red and blue pictures wrongly: each is named with both answers."""
    found = compare(make_contract_bundle("image"), make_contract_bundle("image", "confused", confused=True), pictures)
    (top1,) = found.metrics
    assert (top1.before, top1.after, top1.n, top1.lost, top1.won) == (1.0, pytest.approx(1 / 3), 6, 4, 0)
    assert top1.difference.p == pytest.approx(0.125)
    assert top1.verdict == "4 of 6 flipped: 4 lost, 0 won; the difference of -66.7 percentage points in top1 is within chance (p = 0.12)"
    assert {flip.key for flip in top1.flips} == {"red/0.png", "red/3.png", "blue/2.png", "blue/5.png"}
    red = next(flip for flip in top1.flips if flip.key == "red/0.png")
    assert (red.truth, red.answer_before, red.answer_after, red.change) == ("red", "red", "blue", -1.0)
    assert (found.first.variant, found.second.variant) == ("onnx-fp32", "onnx-fp32")
    assert found.first.manifest_digest != found.second.manifest_digest


def test_the_same_bundle_does_not_differ_from_itself(make_contract_bundle, pictures) -> None:
    """Nothing flips, and nothing is said to be better."""
    root = make_contract_bundle("image")
    (top1,) = compare(root, root, pictures, ("onnx-fp32",)).metrics
    assert (top1.lost, top1.won, top1.flips, top1.difference.p) == (0, 0, (), 1.0)
    assert top1.verdict == "none of 6 flipped; there is no difference"


def test_classes_may_be_in_another_order(make_contract_bundle, pictures) -> None:
    """A bundle that numbers its classes otherwise is held against its own numbers: what counts are their names."""
    other = make_contract_bundle("image", "swapped")
    manifest = decode_manifest((other / MANIFEST).read_bytes())
    contract = replace(manifest.processing, labels=("blue", "green", "red"))
    (other / MANIFEST).write_bytes(replace(manifest, processing=contract).encode())
    (top1,) = compare(make_contract_bundle("image"), other, pictures).metrics
    assert (top1.before, top1.after) == (1.0, pytest.approx(1 / 3))
    assert next(flip for flip in top1.flips if flip.key == "red/0.png").answer_after == "blue"


def test_a_sample_that_one_cannot_use_is_left_out_for_both(make_contract_bundle, pictures) -> None:
    """A damaged picture counts for neither of the two, and its absence is told."""
    (pictures / "red" / "broken.png").write_bytes(b"no picture")
    found = compare(make_contract_bundle("image"), make_contract_bundle("image", "again", seed=1), pictures)
    assert (found.left_out, found.metrics[0].n) == (1, 6)


def test_vectors_are_held_each_against_its_own_source(make_contract_bundle, pictures) -> None:
    """Without vectors in the data each bundle's full precision is what is true for it."""
    roots = [make_contract_bundle("image"), make_contract_bundle("image", "again", seed=1)]
    for root in roots:
        manifest = decode_manifest((root / MANIFEST).read_bytes())
        contract = replace(manifest.processing, task="embed", answer=Embed(output="logits"), labels=())
        (root / MANIFEST).write_bytes(replace(manifest, processing=contract).encode())
    found = compare(*roots, pictures)
    assert (found.metrics[0].before, found.metrics[0].after) == (pytest.approx(1.0), pytest.approx(1.0))
    assert "held against the answers of onnx-fp32" in found.remarks[0]


def test_a_metric_of_all_items_alone_names_no_samples(make_contract_bundle, pictures, tmp_path, monkeypatch) -> None:
    """One's own function says nothing of single samples, so none is named."""
    (tmp_path / "own_mean.py").write_text("def measure(answers, truths):\n    return float(answers.outputs['logits'].mean())\n")
    monkeypatch.chdir(tmp_path)
    root = make_contract_bundle("image")
    (own,) = compare(root, root, pictures, metrics=("own_mean:measure",)).metrics
    assert (own.lost, own.won, own.flips, own.verdict) == (None, None, (), "there is no difference")


@pytest.mark.parametrize("fields", [{"variants": (ALL,)}, {"variants": ("onnx-fp32", "onnx-int8")}])
def test_two_are_compared_and_no_more(make_contract_bundle, pictures, fields: dict) -> None:
    """More than one variant of a bundle cannot be held against another."""
    root = make_contract_bundle("image")
    with pytest.raises(InputError, match=r"two variants are compared.*--variant onnx-fp32"):
        compare(root, root, pictures, **fields)


def _differ(value: float, p: float) -> Difference:
    return Difference(value=value, interval=Interval(bounds=None, method=""), p=p, p_method="")


@pytest.mark.parametrize(
    ("metric", "value", "p", "words"),
    [
        (find_metric("top1"), -0.004, 0.7265, "the difference of -0.4 percentage points in top1 is within chance (p = 0.73)"),
        (find_metric("map50"), 0.0312, 0.0001, "the difference of +0.0312 in map50 is more than chance (p < 0.001)"),
        (COSINE, -0.00012, 0.02, "the difference of -0.00012 in cosine is more than chance (p = 0.02)"),
        (WER, 0.0, 1.0, "there is no difference"),
    ],
)
def test_a_difference_is_told_in_plain_words(metric, value: float, p: float, words: str) -> None:
    """Whether it may be luck is said, and not only by a number."""
    assert word_difference(metric, _differ(value, p)) == words
