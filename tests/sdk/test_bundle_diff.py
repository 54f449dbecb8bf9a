"""Two bundles are told apart in what they take, hold, cost and come from; those without today's fields too."""

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from edgekit.bundle_diff import BundleDiff, compare_bundles
from edgekit.bundles import MANIFEST, VerifiedBundle, open_bundle
from edgekit.contract import Feature, Processing, Resize
from edgekit.files import digest_file
from edgekit.manifest import DataUse, Manifest, Metric
from edgekit.tensors import TensorSpec


def change(bundle: VerifiedBundle, root: Path, **fields: object) -> VerifiedBundle:
    """A copy of *bundle* in *root* whose manifest has other *fields*."""
    import shutil

    shutil.copytree(bundle.root, root)
    (root / MANIFEST).write_bytes(replace(bundle.manifest, **fields).encode())
    return open_bundle(root)


def tell(changes: tuple[object, ...]) -> dict[str, tuple[str, str]]:
    return {one.what: (one.before, one.after) for one in changes}


def test_a_bundle_does_not_differ_from_itself(small_bundle: VerifiedBundle) -> None:
    """Two bundles that are one have an empty difference, whatever fields they lack."""
    found = compare_bundles(small_bundle, small_bundle)
    assert found.is_empty
    assert {one.state for one in found.variants} == {"same"}


def test_files_that_cannot_be_read_are_unknown(make_small_bundle) -> None:
    """A variant whose file is no model differs in its bytes, and why no more is known is said."""
    found = compare_bundles(make_small_bundle(b"a"), make_small_bundle(b"b"))
    (same, other) = found.variants
    assert (same.id, same.state) == ("onnx-fp32", "same")
    assert (other.id, other.state) == ("openvino-int8", "changed")
    assert "graph and weights" in other.unknown[0]


def test_a_variant_that_is_not_here_is_unknown(make_small_bundle) -> None:
    """Of a device's bundle, which has one variant, the others are not opened."""
    before, after = make_small_bundle(b"a"), make_small_bundle(b"b")
    (after.root / "variants" / "openvino-int8" / "model.bin").unlink()
    found = compare_bundles(before, open_bundle(after.root, variants=("onnx-fp32",)))
    assert found.variants[1].unknown == (f"its files are not in {after.root}",)


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("tensors", {"input x.shape": ("batch, 3", "batch, 4"), "output z": ("", "z: float32[batch, 3]"), "output y": ("y: float32[batch, 3]", "")}),
        ("processing", {"contract": ("no contract", "a contract")}),
        ("lineage", {"platform": ("", "Linux"), "parent": ("", "digits@1.0.0"), "options.seed": ("", "3")}),
        ("tools", {"onnx": ("", "1.23.2")}),
    ],
)
def test_every_part_is_compared(small_bundle: VerifiedBundle, tmp_path: Path, part: str, told: dict[str, tuple[str, str]]) -> None:
    """A change of the tensors, the contract, the lineage or the tools is found in its own part, and in no other."""
    manifest = small_bundle.manifest
    x, z = (TensorSpec(name=name, dtype="float32", shape=("batch", size)) for name, size in (("x", 4), ("z", 3)))
    bound = tuple(replace(one, outputs=(replace(one.outputs[0], name="z"),)) for one in manifest.variants)
    contract = Processing(inputs=(Feature(name="photo", kind="image", feeds="x", steps=(Resize(width=3, height=1),)),))
    changes: dict[str, dict[str, object]] = {
        "tensors": {"inputs": (x,), "outputs": (z,), "variants": bound},
        "processing": {"processing": contract},
        "lineage": {"lineage": replace(manifest.lineage, platform="Linux", parent="digits@1.0.0", options={"seed": "3"})},
        "tools": {"lineage": replace(manifest.lineage, tools={"onnx": "1.23.2"})},
    }
    found = compare_bundles(small_bundle, change(small_bundle, tmp_path / "other", **changes[part]))
    assert tell(getattr(found, part)) == told
    assert not found.is_empty
    assert not any(getattr(found, other) for other in changes if other != part)


def test_data_that_took_part_are_compared_by_their_role(small_bundle: VerifiedBundle, tmp_path: Path) -> None:
    """Other samples of the same set differ in what was taken."""
    digest = "sha256:" + "a" * 64
    use = DataUse(role="calibration", name="photos", kind="class folders", digest=digest, taken=digest, samples=300, available=5000)
    lineage = small_bundle.manifest.lineage
    first = change(small_bundle, tmp_path / "first", lineage=replace(lineage, data=(use,)))
    second = change(small_bundle, tmp_path / "second", lineage=replace(lineage, data=(replace(use, samples=200, seed=1),)))
    told = tell(compare_bundles(first, second).lineage)
    assert told == {"data.calibration.photos.samples": ("300", "200"), "data.calibration.photos.seed": ("0", "1")}


def test_figures_stand_side_by_side(make_manifest, small_bundle: VerifiedBundle, tmp_path: Path) -> None:
    """Metric, parity, size and latency of a variant are told where they differ, the metric with its change."""
    manifest: Manifest = small_bundle.manifest
    measured = make_manifest(("onnx-fp32",)).variants[0].measured
    metric = Metric(name="top1", value=0.98, n=500, source_value=0.99)
    first = replace(manifest.variants[0], metric=metric, measured=measured)
    second = replace(first, metric=replace(metric, value=0.97), parity=replace(first.parity, max_abs=0.5, top1_agreement=0.9), measured=())
    pair = [change(small_bundle, tmp_path / str(index), variants=(one, manifest.variants[1])) for index, one in enumerate((first, second))]
    found: BundleDiff = compare_bundles(*pair)
    assert found.variants[0].state == "same"
    assert tell(found.variants[0].figures) == {
        "largest deviation": ("0", "0.5"),
        "top1": ("0.9800 on 500", "0.9700 on 500 (\N{MINUS SIGN}0.0100)"),
        "p50 on x86-64, Example CPU, engine": ("42.0 µs", ""),
        "top-1 agreement": ("", "90.0%"),
    }


def test_variants_that_came_and_went_are_told(small_bundle: VerifiedBundle, tmp_path: Path) -> None:
    """A variant of only one of the two is added or removed, with its size."""
    fewer = change(small_bundle, tmp_path / "fewer", variants=small_bundle.manifest.variants[:1])
    assert [(one.id, one.state) for one in compare_bundles(small_bundle, fewer).variants] == [("onnx-fp32", "same"), ("openvino-int8", "removed")]
    assert compare_bundles(fewer, small_bundle).variants[1].state == "added"


@pytest.mark.workstation
def test_graphs_and_weights_are_compared_by_name(small_bundle: VerifiedBundle, tmp_path: Path) -> None:
    """Of two ONNX files the operators that differ in number are counted, and the constant that changed is told with its distance."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def make(name: str, weights: np.ndarray, *extra: str) -> VerifiedBundle:
        chain = ["MatMul", *extra]
        ends = ["x", *(f"h{index}" for index in range(len(chain) - 1)), "y"]
        nodes = [
            helper.make_node(kind, [ends[index], "w"] if kind == "MatMul" else [ends[index]], [ends[index + 1]]) for index, kind in enumerate(chain)
        ]
        tensors = [helper.make_tensor_value_info(end, TensorProto.FLOAT, ["n", 3]) for end in ("x", "y")]
        graph = helper.make_graph(nodes, "g", tensors[:1], tensors[1:], [numpy_helper.from_array(weights, "w")])
        bundle = change(small_bundle, tmp_path / name)
        path = bundle.root / bundle.manifest.variants[0].files[0].path
        onnx.save(helper.make_model(graph), path)
        entry = replace(bundle.manifest.variants[0].files[0], digest=digest_file(path), length=path.stat().st_size)
        variants = (replace(bundle.manifest.variants[0], files=(entry,)), bundle.manifest.variants[1])
        (bundle.root / MANIFEST).write_bytes(replace(bundle.manifest, variants=variants).encode())
        return open_bundle(bundle.root)

    weights = np.eye(3, dtype=np.float32)
    found = compare_bundles(make("first", weights), make("second", weights + np.float32(0.25), "Relu", "Relu")).variants[0]
    assert (found.state, found.operators, found.constants) == ("changed", {"Relu": (0, 2)}, 1)
    assert [(one.name, one.change, one.max_abs) for one in found.weights] == [("w", "changed", 0.25)]
