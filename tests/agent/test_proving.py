"""A variant is given to nobody before its answers to the golden samples are within its own tolerance."""

import pytest

from edgekit.bundles import open_bundle
from edgekit.errors import GateRefused
from edgekit.runtimes.onnx_runtime import OnnxRuntime
from edgekit_agent.proving import open_proven


class Watched(OnnxRuntime):
    """ONNX Runtime, with the sessions that it opened."""

    def __init__(self) -> None:
        self.closed = 0

    def open(self, path, threads):
        native = super().open(path, threads)
        close = native.close

        def count() -> None:
            self.closed += 1
            close()

        native.close = count
        return native


def test_a_sound_variant_is_given_loaded(make_bundle, samples, answers):
    """The session that was proven is the one that answers."""
    bundle = open_bundle(make_bundle())
    proven = open_proven(bundle, bundle.variants[0], OnnxRuntime(), 1)
    with proven.session as session:
        assert (session.infer({"image": samples})["logits"] == answers).all()
    assert (proven.parity.n, proven.parity.top1_agreement) == (32, 1.0)


def test_a_betrayed_variant_is_refused_and_closed(make_bundle):
    """Golden samples of another model refuse the variant, name the way out, and leave nothing open."""
    bundle, runtime = open_bundle(make_bundle(betrayed=True)), Watched()
    with pytest.raises(GateRefused, match=r"digits, variant onnx-fp32: .*not the source model's.*--variant"):
        open_proven(bundle, bundle.variants[0], runtime, 1)
    assert runtime.closed == 1


def open_one(root):
    bundle = open_bundle(root)
    return open_proven(bundle, bundle.variants[0], OnnxRuntime(), 1)


@pytest.mark.parametrize("kind", ["image", "pair", "boxes", "mask", "audio", "text", "series"])
def test_golden_raw_items_prove_the_contract(make_contract_bundle, kind):
    """Pictures, sounds, texts and tables become here what they became where they were recorded, and are answered alike."""
    proven = open_one(make_contract_bundle(kind))
    with proven.session:
        assert (proven.raw.items, proven.raw.agreement) == (6, 1.0)
        assert proven.raw.fed_deviation < 1e-6
        assert proven.contract.pipeline is not None
        assert proven.raw_proof.startswith("6 golden raw items become what was recorded")


def test_a_wrong_contract_is_refused_by_name_and_closed(make_contract_bundle, caplog):
    """Blue for red, which the golden samples cannot see, is refused by the raw items, named, and nothing stays open."""
    bundle, runtime = open_bundle(make_contract_bundle("image", confused=True)), Watched()
    with pytest.raises(GateRefused, match=r"image, variant onnx-fp32: .*looks like RGB.*Nothing was changed.*--processing"):
        open_proven(bundle, bundle.variants[0], runtime, 1)
    assert runtime.closed == 1


def test_without_the_libraries_raw_items_stay_unproven(make_contract_bundle, lack_libraries, caplog):
    """A device that lacks Pillow proves what it can, and says what it could not and what to install."""
    root = make_contract_bundle("image")
    lack_libraries("PIL", "cv2")
    proven = open_one(root)
    proven.session.close()
    assert (proven.raw, proven.contract.pipeline) == (None, None)
    assert proven.raw_proof.startswith("unproven raw: library 'PIL.Image'")
    assert "image takes tensors alone here" in caplog.text
    assert "pip install 'edgekit[images]'" in caplog.text


def test_a_detector_is_held_to_its_boxes(make_contract_bundle, lack_libraries):
    """Where the contract can be carried out its boxes are compared; where it cannot, its tensors alone."""
    root = make_contract_bundle("boxes")
    with (proven := open_one(root)).session:
        assert proven.parity.box_agreement == 1.0
    lack_libraries("cv2")
    with (proven := open_one(root)).session:
        assert proven.parity.box_agreement is None


def test_a_bundle_without_a_contract_is_proven_as_ever(make_bundle):
    """Tensors in, tensors out: there is nothing raw to prove, and nothing is said of it."""
    proven = open_one(make_bundle())
    proven.session.close()
    assert (proven.raw, proven.raw_proof, proven.contract.pipeline, proven.contract.obstacle) == (None, "", None, None)
