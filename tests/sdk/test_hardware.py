"""Machines as their kernels describe them, recorded."""

from pathlib import Path

from edgekit.hardware import describe_hardware
from edgekit.targets import Accelerator, find_target

ARM_V8 = "fp asimd evtstrm crc32 cpuid"
ARM_V82 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
X86_VNNI = "fpu lm sse sse2 ssse3 fma sse4_1 sse4_2 avx f16c avx2 avx512f avx512bw avx512vl avx512_vnni"


def record(root: Path, files: dict[str, str]) -> Path:
    """Write the files of a machine below *root*."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def arm_cpuinfo(part: str, cores: int, features: str, tail: str = "") -> str:
    core = "processor\t: {}\nBogoMIPS\t: 108.00\nFeatures\t: {}\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: {}\n\n"
    return "".join(core.format(index, features, part) for index in range(cores)) + tail


def x86_cpuinfo(name: str, cores: int, flags: str) -> str:
    return "".join(f"processor\t: {index}\nvendor_id\t: GenuineIntel\nmodel name\t: {name}\nflags\t\t: {flags}\n\n" for index in range(cores))


def test_raspberry_pi_4(tmp_path):
    """A Raspberry Pi 4 is known by its device tree, whose NUL is not part of the name."""
    files = {
        "proc/cpuinfo": arm_cpuinfo("0xd08", 4, ARM_V8, "Revision\t: c03114\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n"),
        "proc/meminfo": "MemTotal:        3884360 kB\nMemFree:  100 kB\n",
        "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    }
    hardware = describe_hardware(record(tmp_path, files))
    assert hardware.machine == hardware.board == "Raspberry Pi 4 Model B Rev 1.4"
    assert (hardware.arch, hardware.cpu, hardware.cores, hardware.memory_mb) == ("aarch64", "Cortex-A72", 4, 3793)
    assert hardware.cpu_features == ("asimd",)
    assert find_target(hardware) == "raspberry-pi-4"


def test_raspberry_pi_5_with_hailo(tmp_path):
    """A Raspberry Pi 5 has dot products and half floats, and its Hailo is found on the PCI bus once, though it has a device file too."""
    files = {
        "proc/cpuinfo": arm_cpuinfo("0xd0b", 4, ARM_V82, "Model\t\t: Raspberry Pi 5 Model B Rev 1.0\n"),
        "proc/meminfo": "MemTotal:        8245696 kB\n",
        "dev/hailo0": "",
        "sys/bus/pci/devices/0000:01:00.0/vendor": "0x1e60\n",
        "sys/bus/pci/devices/0000:01:00.0/device": "0x2864\n",
        "sys/bus/pci/devices/0000:01:00.0/class": "0x120000\n",
    }
    hardware = describe_hardware(record(tmp_path, files))
    # No device tree here: cpuinfo's own last lines name the board.
    assert hardware.board == "Raspberry Pi 5 Model B Rev 1.0"
    assert hardware.cpu == "Cortex-A76"
    assert hardware.cpu_features == ("asimd", "asimddp", "asimdhp")
    assert hardware.accelerators == (Accelerator(kind="hailo", model="Hailo-8"),)
    assert find_target(hardware) == "raspberry-pi-5"


def test_jetson_orin_nano(tmp_path):
    """A Jetson tells its L4T release, from which JetPack follows, and its GPU counts though no driver lists it."""
    files = {
        "proc/cpuinfo": arm_cpuinfo("0xd42", 6, ARM_V82),
        "proc/meminfo": "MemTotal:        7802056 kB\n",
        "proc/device-tree/model": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0",
        "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 01:49:37 UTC 2025\n",
    }
    hardware = describe_hardware(record(tmp_path, files))
    assert hardware.jetpack == "6 (L4T 36.4.3)"
    assert hardware.cpu == "Cortex-A78AE"
    assert hardware.has_nvidia and "integrated" in hardware.accelerators[0].model
    assert find_target(hardware) == "jetson-orin-nano"


def test_an_unknown_l4t_release_is_told_as_it_is(tmp_path):
    """A release of which no JetPack is known here is still told, with its number alone."""
    files = {"etc/nv_tegra_release": "# R99 (release), REVISION: 1.0, GCID: 1, BOARD: generic\n"}
    assert describe_hardware(record(tmp_path, files), arch="aarch64").jetpack == "L4T 99.1.0"


def test_x86_with_vnni_and_npu(tmp_path):
    """An Intel laptop's VNNI decides its target; its NPU counts when the driver made a device for it."""
    files = {
        "proc/cpuinfo": x86_cpuinfo("11th Gen Intel(R) Core(TM) i7-1185G7 @ 3.00GHz", 8, X86_VNNI),
        "proc/meminfo": "MemTotal:       16106127 kB\n",
        "sys/bus/pci/devices/0000:00:0b.0/vendor": "0x8086\n",
        "sys/bus/pci/devices/0000:00:0b.0/device": "0x7d1d\n",
        "sys/bus/pci/devices/0000:00:0b.0/class": "0x120000\n",
    }
    hardware = describe_hardware(record(tmp_path, files))
    assert hardware.machine == hardware.cpu == "11th Gen Intel Core i7-1185G7"
    assert (hardware.arch, hardware.cores, hardware.board, hardware.accelerators) == ("x86_64", 8, None, ())
    assert "sse2" not in hardware.cpu_features and "avx512_vnni" in hardware.cpu_features
    assert find_target(hardware) == "x86-64-vnni"
    record(tmp_path, {"dev/accel/accel0": ""})
    assert describe_hardware(tmp_path).accelerators == (Accelerator(kind="npu", model="Intel NPU 0x7d1d"),)


def test_gpu_host(tmp_path):
    """A host with NVIDIA GPUs lists each with the driver's name for it."""
    files = {"proc/cpuinfo": x86_cpuinfo("Intel(R) Xeon(R) Platinum 8480C", 2, X86_VNNI + " amx_int8 amx_bf16 amx_tile")}
    for slot in ("0000:19:00.0", "0000:3b:00.0"):
        files[f"proc/driver/nvidia/gpus/{slot}/information"] = f"Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 18\nBus Location: \t {slot}\n"
    hardware = describe_hardware(record(tmp_path, files))
    assert hardware.accelerators == (Accelerator(kind="nvidia", model="NVIDIA H100 80GB HBM3"),) * 2
    assert {"amx_int8", "amx_bf16", "amx_tile"} <= set(hardware.cpu_features)
    assert find_target(hardware) == "nvidia-gpu"


def test_coral_on_usb_and_pcie(tmp_path):
    """Coral is found on USB under both of its ids, and on PCIe by its device, counted once; other USB devices are not taken for it."""
    files = {
        "proc/cpuinfo": x86_cpuinfo("Intel(R) Atom(TM) CPU E3845 @ 1.91GHz", 4, "fpu lm sse4_1 sse4_2"),
        "sys/bus/usb/devices/1-1/idVendor": "1a6e\n",
        "sys/bus/usb/devices/1-1/idProduct": "089a\n",
        "sys/bus/usb/devices/2-1/idVendor": "18d1\n",
        "sys/bus/usb/devices/2-1/idProduct": "9302\n",
        "sys/bus/usb/devices/3-1/idVendor": "18d1\n",
        "sys/bus/usb/devices/3-1/idProduct": "4ee7\n",
        "dev/apex_0": "",
        "sys/class/apex/apex_0/status": "ALIVE\n",
    }
    hardware = describe_hardware(record(tmp_path, files))
    assert [one.model for one in hardware.accelerators] == ["Coral Edge TPU (PCIe)", "Coral Edge TPU (USB)", "Coral Edge TPU (USB)"]
    assert hardware.cpu == "Intel Atom E3845"
    assert find_target(hardware) == "x86-64"


def test_cores_that_differ_have_their_features_in_common(tmp_path):
    """Where a board has two kinds of cores, both are named, and only what all of them can do is listed."""
    files = {"proc/cpuinfo": arm_cpuinfo("0xd05", 1, ARM_V8) + arm_cpuinfo("0xd0b", 1, ARM_V82)}
    hardware = describe_hardware(record(tmp_path, files))
    assert (hardware.cpu, hardware.cpu_features) == ("Cortex-A55 + Cortex-A76", ("asimd",))
    assert find_target(hardware) == "aarch64"


def test_what_cannot_be_read_is_unknown(tmp_path):
    """A machine that tells nothing of itself has its architecture, and None for the rest: neither zero nor empty."""
    hardware = describe_hardware(tmp_path, arch="riscv64")
    assert hardware.machine == hardware.arch == "riscv64"
    assert (hardware.cpu, hardware.cores, hardware.memory_mb, hardware.board, hardware.jetpack) == (None,) * 5
    assert hardware.accelerators == () and find_target(hardware) == "riscv64"


def test_this_machine_is_described():
    """The machine that runs the tests has an architecture, cores and memory."""
    hardware = describe_hardware()
    assert hardware.arch and hardware.cores and hardware.memory_mb and hardware.memory_mb > 100
