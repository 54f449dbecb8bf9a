"""What is tried for a class of devices: what pays there, suits the model, and fits into its memory."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from edgekit.build import build_bundle
from edgekit.build_request import BuildRequest
from edgekit.candidates import tell_reasons
from edgekit.errors import ConversionError, UnknownName
from edgekit.manifest import Skipped
from edgekit.target_profiles import PROFILES, TargetProfile

DIGITS = Path(__file__).parents[2] / "examples" / "digits"


def quiet(what: str, done: int, total: int) -> None:
    """No progress is shown."""


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> TargetProfile:
    """A class of devices with one megabyte of memory, that takes ONNX in fp32 alone."""
    profile = TargetProfile(name="tiny", summary="A test's", arch="aarch64", memory_mb=1, precisions={"onnx": ("fp32",)})
    monkeypatch.setitem(PROFILES, "tiny", profile)
    return profile


@pytest.mark.workstation
def test_a_target_decides_what_is_made(tmp_path: Path, tiny: TargetProfile) -> None:
    """Formats and precisions that do not pay on the target are not tried, though there is data for them; the lineage names the target."""
    data = {"calibration": DIGITS / "calibration.npz"}
    request = BuildRequest(source=DIGITS / "digits.onnx", destination=tmp_path / "bundle", target=tiny.name, **data)
    manifest = build_bundle(request, quiet)
    assert [variant.id for variant in manifest.variants] == ["onnx-fp32"]
    assert manifest.skipped == ()
    assert manifest.lineage.options["target"] == "tiny"
    assert tiny.name not in manifest.defaults


@pytest.mark.workstation
@pytest.mark.parametrize(
    ("format", "told"), [("openvino", "In OpenVINO bf16 is a hint to the runtime"), ("tflite", "tflite is made in fp32, fp16, ")]
)
def test_a_precision_that_a_target_does_not_make_has_a_reason(tmp_path: Path, format: str, told: str) -> None:
    """Where a target says why it does not make a precision its words are told, and else which precisions it makes."""
    request = BuildRequest(source=DIGITS / "digits.onnx", destination=tmp_path / "bundle", formats=(format,), precisions=("bf16",))
    with pytest.raises(ConversionError, match=f"{format}-bf16: {told}"):
        build_bundle(request, quiet)


@pytest.mark.workstation
def test_what_a_user_asks_for_overrules_the_target(tmp_path: Path, tiny: TargetProfile) -> None:
    """A precision asked for is made whatever the target gains by it, and an unknown target is refused before any work."""
    data = {"calibration": DIGITS / "calibration.npz", "precisions": ("int8",)}
    request = BuildRequest(source=DIGITS / "digits.onnx", destination=tmp_path / "bundle", target=tiny.name, formats=("onnx",), **data)
    assert [variant.id for variant in build_bundle(request, quiet).variants] == ["onnx-int8"]
    with pytest.raises(UnknownName, match="raspberry-pi-zero-2w"):
        build_bundle(replace(request, target="raspberry-pi-6"), quiet)


@pytest.mark.workstation
def test_what_the_devices_cannot_hold_is_not_made(tmp_path: Path, tiny: TargetProfile) -> None:
    """A variant whose files have more than the smallest device's memory is left out with both figures."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(0).normal(size=(600, 600)).astype(np.float32)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 600]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", ends[:1], ends[1:], [numpy_helper.from_array(weights, "w")])
    source = tmp_path / "large.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), source)
    with pytest.raises(ConversionError, match=r"onnx-fp32: it has 1\.37 MiB, and a tiny may have no more than 1\.00 MiB of memory"):
        build_bundle(BuildRequest(source=source, destination=tmp_path / "bundle", target=tiny.name), quiet)


@pytest.mark.workstation
@pytest.mark.parametrize(("paying", "taken"), [(("fp32",), False), (("int8", "fp32"), True)])
def test_integers_that_a_source_came_in_are_kept_where_the_target_takes_them(
    tmp_path: Path, tiny: TargetProfile, monkeypatch: pytest.MonkeyPatch, paying: tuple[str, ...], taken: bool
) -> None:
    """A source in int8 is not made for a class of devices whose runtime does not take int8 in that format, and the reason says what it takes."""
    data = {"calibration": DIGITS / "calibration.npz", "formats": ("onnx",), "precisions": ("int8",)}
    build_bundle(BuildRequest(source=DIGITS / "digits.onnx", destination=tmp_path / "first", **data), quiet)
    monkeypatch.setitem(PROFILES, "tiny", structs.replace(tiny, precisions={"onnx": paying}))
    source = tmp_path / "first" / "variants" / "onnx-int8" / "model.onnx"
    request = BuildRequest(source=source, destination=tmp_path / "second", target=tiny.name)
    if not taken:
        with pytest.raises(ConversionError, match=r"onnx-int8: tiny takes onnx in fp32, and the source model came in int8\. Give the float model"):
            build_bundle(request, quiet)
        request = replace(request, precisions=("int8",))  # whoever asks for it gets it
    assert [variant.id for variant in build_bundle(request, quiet).variants] == ["onnx-int8"]


def test_reasons_are_told_once() -> None:
    """Variants that were left out for the same reason are named together, and no full stop stands within the clause."""
    reasons = {"onnx-int8": "Give data.", "onnx-fp32": "It is odd", "tflite-int8": "Give data."}
    skipped = [Skipped(id=name, format=name.split("-")[0], precision=name.split("-")[1], reason=reason) for name, reason in reasons.items()]
    assert tell_reasons(skipped) == "onnx-int8, tflite-int8: Give data; onnx-fp32: It is odd"


@pytest.mark.workstation
def test_what_lacks_data_is_not_blamed_on_operators(tmp_path: Path) -> None:
    """Where nothing was tried for want of data, the message asks for the data and sends nobody to look at operators."""
    request = BuildRequest(source=DIGITS / "digits.onnx", destination=tmp_path / "bundle", precisions=("int8",))
    with pytest.raises(ConversionError, match=r"onnx-int8, openvino-int8, tflite-int8: static int8 needs .* Give --calibration FILE\.npz\.$"):
        build_bundle(request, quiet)
