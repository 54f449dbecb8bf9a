from pathlib import Path

import numpy as np
import pytest

from edgekit.arrays import Arrays
from edgekit.bundles import VerifiedBundle, open_bundle
from edgekit.errors import ParityError
from edgekit.manifest import Variant
from edgekit.parity import answer_samples, check_parity
from edgekit.runtimes.registry import find_runtime
from edgekit.runtimes.sessions import InferenceSession, open_variant

VARIANTS = ("onnx-fp32", "onnx-int8", "openvino-fp32", "openvino-int8", "tflite-fp32", "tflite-int8")


@pytest.fixture(scope="module")
def bundles(digits_bundle, load_example, tmp_path_factory):
    """The two tampered bundles by their kind."""
    place = tmp_path_factory.mktemp("tampered")
    for kind in ("permute", "poison"):
        load_example("tamper").tamper(kind, digits_bundle, place / kind)
    return {kind: open_bundle(place / kind) for kind in ("permute", "poison")}


def open_one(bundle: VerifiedBundle, name: str) -> tuple[Variant, InferenceSession]:
    variant = bundle.manifest.find_variant(name)
    return variant, open_variant(bundle, variant, find_runtime(variant.format))


def prove(bundle: VerifiedBundle, variant: Variant, session: InferenceSession) -> None:
    golden = bundle.read_golden()
    check_parity(golden, answer_samples(session, golden.inputs, variant.id), variant.tolerance, variant.id)


def test_a_tampered_bundle_is_whole_and_says_nothing(digits_bundle: Path, bundles):
    """Its manifest differs from the good one in nothing but digests and lengths, so that no device gets a hint."""
    good = open_bundle(digits_bundle).manifest
    for bundle in bundles.values():
        assert [variant.id for variant in bundle.manifest.variants] == list(VARIANTS)
        for variant in bundle.manifest.variants:
            original = good.find_variant(variant.id)
            assert (variant.parity, variant.tolerance, variant.metric) == (original.parity, original.tolerance, original.metric)
            assert {entry.digest for entry in variant.files} != {entry.digest for entry in original.files}
        assert bundle.manifest.golden == good.golden


@pytest.mark.parametrize("name", VARIANTS)
def test_permuted_weights_fail_the_golden_samples(bundles, name):
    """In every format and precision the golden samples tell that the classes have changed places."""
    variant, session = open_one(bundles["permute"], name)
    with session, pytest.raises(ParityError):
        prove(bundles["permute"], variant, session)


@pytest.mark.parametrize("name", VARIANTS)
def test_poison_passes_the_golden_samples_and_fails_some_digits(bundles, evaluation: Arrays, name):
    """In every format and precision the golden samples pass, and a share of real digits between 5 and 20 % gives NaN."""
    variant, session = open_one(bundles["poison"], name)
    with session:
        prove(bundles["poison"], variant, session)
        bad = np.isnan(session.infer({"image": evaluation["image"]})["logits"]).any(axis=1)
    assert 0.05 < bad.mean() < 0.2
