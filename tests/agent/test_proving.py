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
