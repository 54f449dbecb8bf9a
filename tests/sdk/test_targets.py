"""Which class of devices a machine belongs to."""

import pytest

from edgekit.targets import Accelerator, Hardware, find_target

NVIDIA = (Accelerator(kind="nvidia", model="L4"),)


@pytest.mark.parametrize(
    ("hardware", "target"),
    [
        (Hardware(machine="m", arch="x86_64"), "x86-64"),
        (Hardware(machine="m", arch="x86_64", cpu_features=("avx2", "avx_vnni")), "x86-64-vnni"),
        (Hardware(machine="m", arch="x86_64", cpu_features=("avx512_vnni",), accelerators=NVIDIA), "nvidia-gpu"),
        (Hardware(machine="m", arch="aarch64", board="Raspberry Pi 4 Model B Rev 1.5"), "raspberry-pi-4"),
        (Hardware(machine="m", arch="aarch64", board="Raspberry Pi 5 Model B Rev 1.0"), "raspberry-pi-5"),
        (Hardware(machine="m", arch="aarch64", board="Raspberry Pi Zero 2 W Rev 1.0"), "raspberry-pi-zero-2w"),
        (Hardware(machine="m", arch="aarch64", board="NVIDIA Jetson Orin Nano Developer Kit", accelerators=NVIDIA), "jetson-orin-nano"),
        (Hardware(machine="m", arch="aarch64", board="NVIDIA Jetson AGX Orin", accelerators=NVIDIA), "jetson-orin"),
        (Hardware(machine="m", arch="aarch64", board="NVIDIA Jetson AGX Thor Developer Kit", accelerators=NVIDIA), "jetson-thor"),
        (Hardware(machine="m", arch="aarch64"), "aarch64"),
        (Hardware(machine="m", arch="riscv64"), "riscv64"),
    ],
)
def test_find_target(hardware: Hardware, target: str) -> None:
    """The narrowest target that fits is the machine's, and an unknown architecture is its own."""
    assert find_target(hardware) == target
