"""What is known of each class of devices agrees with the rest: precisions, targets, hardware, and the page that says where it comes from."""

import re
from pathlib import Path

import pytest

from edgekit.errors import UnknownName
from edgekit.hardware import RELEVANT_FEATURES
from edgekit.precisions import PRECISIONS
from edgekit.target_profiles import PROFILES, TargetProfile, find_profile
from edgekit.targets import TARGETS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "targets.md"
each_profile = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)


def test_every_class_that_a_machine_may_belong_to_has_a_profile() -> None:
    """What find_target answers for a known machine can be given to convert --target."""
    assert {name for name, _ in TARGETS} <= set(PROFILES)


def test_the_classes_that_are_promised_are_there() -> None:
    """Each class of devices that the documentation promises has a profile."""
    promised = {
        *("raspberry-pi-zero-2w", "raspberry-pi-4", "raspberry-pi-5", "jetson-orin-nano", "jetson-orin", "jetson-thor"),
        *("x86-64", "x86-64-vnni", "aarch64", "nvidia-gpu", "coral-edgetpu", "hailo-8", "intel-npu"),
    }
    assert promised == set(PROFILES)


@each_profile
def test_a_profile_speaks_the_words_of_the_rest(profile: TargetProfile) -> None:
    """Its precisions are in the table, its CPU features are those that an inventory tells, and its accelerators are known kinds."""
    assert {name for names in profile.precisions.values() for name in names} <= set(PRECISIONS)
    assert set(profile.precisions) <= {"onnx", "tflite", "openvino", "nvidia"}
    assert set(profile.cpu_features) <= RELEVANT_FEATURES
    assert profile.arch in ("x86_64", "aarch64")
    assert profile.accelerator in (None, "nvidia", "coral", "hailo", "npu")
    assert TargetProfile.decode(profile.encode()) == profile


@each_profile
def test_variants_for_nvidia_are_for_devices_that_have_it(profile: TargetProfile) -> None:
    """ONNX as TensorRT wants it is made where the accelerator is NVIDIA's, and nowhere else; the CPU gets a variant too."""
    assert ("nvidia" in profile.precisions) is (profile.accelerator == "nvidia")
    assert set(profile.precisions) - {"nvidia"}


@each_profile
def test_opset_and_ir_version_are_such_as_the_oldest_runtime_reads(profile: TargetProfile) -> None:
    """ONNX Runtime 1.17 refuses opset 21 and IR version 10, so no profile promises them."""
    assert profile.opset <= 20
    assert profile.ir_version <= 9


@pytest.mark.parametrize(("name", "compiler"), [("coral-edgetpu", "edgetpu_compiler"), ("hailo-8", "Hailo Dataflow Compiler"), ("intel-npu", "NPU")])
def test_a_compiler_that_is_not_here_is_named(name: str, compiler: str) -> None:
    """Where a device's own compiler comes next, the profile is unverified, fixes all shapes, and its note names the compiler."""
    profile = find_profile(name)
    assert not profile.verified
    assert profile.fixed_shapes
    assert compiler in profile.note


def test_the_edge_tpu_takes_integers_alone() -> None:
    """For the Edge TPU one variant is made: TFLite in int8, to its borders."""
    profile = find_profile("coral-edgetpu")
    assert profile.precisions == {"tflite": ("int8",)}
    assert profile.integer_borders


def test_static_integers_are_not_made_for_openvino_on_arm() -> None:
    """OpenVINO computes them wrongly there, so no profile for ARM lists them."""
    on_arm = [profile for profile in PROFILES.values() if profile.arch == "aarch64"]
    assert not any("int8" in profile.precisions.get("openvino", ()) for profile in on_arm)


def test_an_unknown_target_is_answered_with_those_that_exist() -> None:
    """A mistyped target is bad input that lists the known ones."""
    with pytest.raises(UnknownName, match=r"raspberry-pi-6.*Known here: aarch64, coral-edgetpu"):
        find_profile("raspberry-pi-6")


@each_profile
def test_the_page_says_what_the_table_says(profile: TargetProfile) -> None:
    """The row of the reference page has the class's features, memory, ONNX versions, precisions, and whether it was proven."""
    row = next(line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{profile.name}` |"))
    _, arch, features, memory, accelerator, precisions, onnx, verified = (cell.strip() for cell in row.strip("|").split("|"))
    assert arch == profile.arch
    assert features.split() == list(profile.cpu_features)
    assert memory == ("differs" if profile.memory_mb is None else f"{profile.memory_mb} MiB")
    assert accelerator == (profile.accelerator or "none")
    assert re.findall(r"(\w+): ([\w-]+(?:, [\w-]+)*)", precisions) == [(name, ", ".join(names)) for name, names in profile.precisions.items()]
    assert onnx == f"{profile.opset}, {profile.ir_version}"
    assert verified == ("yes" if profile.verified else "unverified")


@each_profile
def test_the_page_names_the_runtimes(profile: TargetProfile) -> None:
    """Each runtime of a class stands on the reference page with the versions that are known to run there."""
    row = next(line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{profile.name}`: "))
    for package, versions in profile.runtimes.items():
        assert f"{package} {versions}" in row
