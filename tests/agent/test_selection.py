"""The best variant is chosen by what was measured on this target, and by what can be loaded here."""

import msgspec
import pytest

from edgekit.artifacts import FileEntry, bind_identically
from edgekit.errors import DeviceError, UnknownName
from edgekit.files import digest_bytes
from edgekit.manifest import Choice, Latency, Lineage, Manifest, Measurement, Parity, Tolerance, Variant
from edgekit.tensors import TensorSpec
from edgekit_agent.selection import choose_variant

SPECS = (TensorSpec(name="x", dtype="float32", shape=("n", 2)),)
ALL = ("onnx", "tflite", "openvino")


def make_variant(variant_id: str, size: int, **latencies: float) -> Variant:
    """A variant whose *latencies* in ms were measured on the targets named, with "_" for "-"."""
    kind, _, precision = variant_id.partition("-")
    measured = tuple(
        Measurement(
            machine="m",
            target=target.replace("_", "-"),
            runtime="r",
            runtime_version="1",
            threads=1,
            latency_ms=Latency(p50=p50, p95=p50, p99=p50, spread=0, rounds=1, n=1),
        )
        for target, p50 in latencies.items()
    )
    return Variant(
        id=variant_id,
        format=kind,
        precision=precision,
        files=(FileEntry(path=f"variants/{variant_id}/model", digest=digest_bytes(b""), length=size),),
        inputs=bind_identically(SPECS),
        outputs=bind_identically(SPECS),
        parity=Parity(max_abs=0, mean_abs=0, n=32),
        tolerance=Tolerance(max_abs=0, mean_abs=0),
        measured=measured,
    )


MANIFEST = Manifest(
    name="digits",
    inputs=SPECS,
    outputs=SPECS,
    golden=FileEntry(path="golden.npz", digest=digest_bytes(b""), length=0),
    golden_origin="synthetic",
    variants=(
        make_variant("onnx-fp32", 400, x86_64=0.5, raspberry_pi_5=2.0),
        make_variant("onnx-int8", 110, x86_64=0.6),
        make_variant("tflite-int8", 100, x86_64=0.2, raspberry_pi_5=0.9),
        make_variant("openvino-int8", 120, x86_64=0.4),
    ),
    defaults={"x86-64": Choice(variant="tflite-int8", reason="the fastest of 4")},
    lineage=Lineage(source="m.onnx", source_format="onnx", source_digest=digest_bytes(b""), source_size=0),
)


@pytest.mark.parametrize(
    ("target", "formats", "chosen", "reason"),
    [
        ("x86-64", ALL, "tflite-int8", "the default on x86-64: the fastest of 4"),
        ("x86-64", ("onnx", "openvino"), "openvino-int8", "the fastest measured on x86-64"),
        ("x86-64", ("onnx",), "onnx-fp32", "the fastest measured on x86-64"),
        ("raspberry-pi-5", ALL, "tflite-int8", "the fastest measured on raspberry-pi-5"),
        ("raspberry-pi-5", ("onnx",), "onnx-fp32", "the fastest measured on raspberry-pi-5"),
        ("aarch64", ALL, "tflite-int8", "unmeasured on aarch64: the smallest int8 variant"),
        ("aarch64", ("onnx",), "onnx-int8", "unmeasured on aarch64: the smallest int8 variant"),
    ],
)
def test_the_best_measured_variant_that_can_be_loaded_is_chosen(target, formats, chosen, reason):
    """The target's default first, then the fastest measured on it, then the smallest int8; only with a runtime here."""
    selection = choose_variant(MANIFEST, target, formats)
    assert selection.variant.id == chosen
    assert selection.reason.startswith(reason)


def test_without_int8_the_smallest_is_chosen():
    """Where nothing was measured and nothing is int8, size alone decides."""
    variants = (make_variant("onnx-fp32", 400), make_variant("tflite-fp16", 200))
    manifest = msgspec.structs.replace(MANIFEST, variants=variants, defaults={})
    selection = choose_variant(manifest, "aarch64", ALL)
    assert selection.variant.id == "tflite-fp16"
    assert selection.reason == "unmeasured on aarch64: the smallest variant that has a runtime here"


def test_a_wanted_variant_overrules_the_choice():
    """Who names a variant gets it."""
    assert choose_variant(MANIFEST, "x86-64", ALL, "onnx-fp32").variant.id == "onnx-fp32"


def test_an_unknown_wanted_variant_is_refused_with_those_that_exist():
    """A mistyped variant is bad input."""
    with pytest.raises(UnknownName, match=r"onnx-fp16.*Known here: onnx-fp32, onnx-int8"):
        choose_variant(MANIFEST, "x86-64", ALL, "onnx-fp16")


def test_a_device_without_a_runtime_is_told_what_to_install():
    """The refusal lists the formats that there are and the commands that install a runtime for them."""
    with pytest.raises(DeviceError) as refusal:
        choose_variant(MANIFEST, "x86-64", ())
    assert "onnx, openvino, tflite" in str(refusal.value)
    assert "pip install 'edgekit[litert]'" in str(refusal.value)
    with pytest.raises(DeviceError, match="tflite-int8"):
        choose_variant(MANIFEST, "x86-64", ("onnx",), "tflite-int8")


FOR_NVIDIA = msgspec.structs.replace(make_variant("nvidia-int8", 50, jetson_orin=0.1), format="onnx", accelerator="nvidia")


def test_what_is_made_for_an_accelerator_is_never_chosen():
    """No runtime here drives one, so such a variant is left aside though it is the smallest, the fastest, and the default."""
    defaults = {"jetson-orin": Choice(variant="nvidia-int8", reason="the fastest")}
    manifest = msgspec.structs.replace(MANIFEST, variants=(FOR_NVIDIA, *MANIFEST.variants), defaults=defaults)
    for target in ("jetson-orin", "nvidia-gpu", "aarch64"):
        assert choose_variant(manifest, target, ALL).variant.accelerator is None


def test_a_wanted_variant_for_an_accelerator_is_refused_with_the_reason():
    """Asked for by name, or where there is no other, the refusal says for what it is made and which variant to make too."""
    manifest = msgspec.structs.replace(MANIFEST, variants=(FOR_NVIDIA,), defaults={})
    for wanted in ("nvidia-int8", None):
        with pytest.raises(DeviceError, match=r"made for nvidia, and no runtime here drives that.*--to onnx,nvidia"):
            choose_variant(manifest, "jetson-orin", ALL, wanted)


def test_what_does_not_pay_on_the_class_is_not_chosen():
    """On ARM the smaller OpenVINO int8 gives way to ONNX, and with OpenVINO alone to what is right there."""
    variants = (make_variant("openvino-int8", 90), make_variant("openvino-fp32", 400), make_variant("onnx-int8", 110))
    manifest = msgspec.structs.replace(MANIFEST, variants=variants, defaults={})
    assert choose_variant(manifest, "raspberry-pi-4", ALL).variant.id == "onnx-int8"
    assert choose_variant(manifest, "raspberry-pi-4", ("openvino",)).variant.id == "openvino-fp32"
