from msgspec.structs import replace

from edgekit.artifacts import EngineRecipe
from edgekit.cli.variants import explain_default, print_variants, to_dict
from edgekit.quantities import MINUS


def test_the_default_is_marked_in_json(make_manifest):
    """Each variant says whether it is the default on the target asked for."""
    manifest = make_manifest()
    marked = {one["id"]: one["default"] for one in to_dict(manifest, "x86-64")["variants"]}
    assert [name for name, is_default in marked.items() if is_default] == ["tflite-int8"]
    assert not any(one["default"] for one in to_dict(manifest, "raspberry-pi-5")["variants"])


def test_another_machines_latency_is_not_shown_as_ours(make_manifest, capsys):
    """A latency that was measured on another target is unknown here."""
    print_variants(make_manifest(), "raspberry-pi-5")
    row = next(line.split() for line in capsys.readouterr().out.splitlines() if line.startswith(" tflite-int8"))
    assert row == ["tflite-int8", "29.4", "KiB", "unknown", "0.9922", f"{MINUS}0.0017", "0.01", "100.0%"]


def test_skipped_variants_are_listed_with_their_reason(make_manifest, capsys):
    """What is not in the bundle is printed with the reason."""
    print_variants(make_manifest(), "x86-64")
    assert "openvino-int8   refused by the gate" in capsys.readouterr().out


def test_without_a_default_it_says_where_there_is_one(make_manifest):
    """On a target that was not measured, the targets that were are named."""
    assert explain_default(make_manifest(), "x86-64") == "Default on x86-64: tflite-int8, the fastest."
    assert "measured on x86-64" in explain_default(make_manifest(), "raspberry-pi-5")


def test_without_a_default_it_says_what_a_device_takes(make_manifest):
    """On an unmeasured target the variant that the devices' own rule gives is named with the reason."""
    told = explain_default(make_manifest(), "raspberry-pi-zero-2w")
    assert told.startswith("No default for raspberry-pi-zero-2w: unmeasured there")
    assert "takes tflite-int8, the smallest int8 variant of those that pay there" in told
    manifest = make_manifest(("onnx-fp32",))
    for_nvidia = tuple(replace(one, accelerator="nvidia", measured=()) for one in manifest.variants)
    assert "made for an accelerator" in explain_default(replace(manifest, variants=for_nvidia), "jetson-orin")


def test_precision_and_purpose_are_shown_where_they_are_known(make_manifest, capsys):
    """A scheme stands behind its number format; a variant for an accelerator says so, and that it was not measured here."""
    manifest = make_manifest(("onnx-fp32", "onnx-int8"))
    plain, reduced = manifest.variants
    engine = EngineRecipe(builder="tensorrt", minimum_version="10.0")
    for_nvidia = replace(reduced, scheme="static", accelerator="nvidia", engine=engine, measured=())
    print_variants(replace(manifest, variants=(plain, for_nvidia), defaults={}), "x86-64")
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(" onnx-int8"))
    assert "int8 static, for nvidia, tensorrt 10.0 or later" in row
    assert "not measured here" in row
