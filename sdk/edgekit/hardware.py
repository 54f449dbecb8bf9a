"""What this machine is made of, read from the files in which the kernel says so."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from edgekit.targets import Accelerator, Hardware

#: The CPU features that decide how fast a model runs, of all that the kernel lists (proc(5), cpuinfo).
# fmt: off
RELEVANT_FEATURES = frozenset({
    "ssse3", "sse4_1", "sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx_vnni_int8",
    "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "amx_fp16",
    "neon", "asimd", "asimddp", "asimdhp", "asimdfhm", "i8mm", "bf16", "sve", "sve2", "svei8mm", "svebf16", "sme",
})
# fmt: on

# (implementer, part) of ARM cores: util-linux, sys-utils/lscpu-arm.c. The kernel gives no names on ARM.
# fmt: off
_ARM_CORES = {
    ("0x41", "0xd03"): "Cortex-A53",   ("0x41", "0xd04"): "Cortex-A35",   ("0x41", "0xd05"): "Cortex-A55",   ("0x41", "0xd07"): "Cortex-A57",
    ("0x41", "0xd08"): "Cortex-A72",   ("0x41", "0xd0a"): "Cortex-A75",   ("0x41", "0xd0b"): "Cortex-A76",   ("0x41", "0xd0c"): "Neoverse N1",
    ("0x41", "0xd40"): "Neoverse V1",  ("0x41", "0xd41"): "Cortex-A78",   ("0x41", "0xd42"): "Cortex-A78AE", ("0x41", "0xd49"): "Neoverse N2",
    ("0x41", "0xd4f"): "Neoverse V2",  ("0x41", "0xd83"): "Neoverse V3AE", ("0x4e", "0x004"): "Carmel",
}
# fmt: on
#: Major versions of JetPack by that of the L4T release beneath (developer.nvidia.com/embedded/jetpack-archive).
_JETPACKS = {"32": "4", "34": "5", "35": "5", "36": "6", "38": "7"}
#: Coral's USB ids: before its firmware is loaded, and afterwards (coral.ai, USB Accelerator datasheet).
_CORAL_USB = {("1a6e", "089a"), ("18d1", "9302")}
#: Hailo's PCI devices (pci.ids, vendor 1e60).
_HAILO = {"0x2864": "Hailo-8", "0x45c4": "Hailo-10H"}
_HAILO_VENDOR, _INTEL_VENDOR = "0x1e60", "0x8086"
#: The PCI class of processing accelerators: base class 12h, sub-class 00h (PCI Code and ID Assignment Specification).
_ACCELERATOR_CLASS = "0x1200"

_CpuInfo = dict[str, list[str]]


def describe_hardware(root: Path = Path("/"), arch: str | None = None) -> Hardware:
    """What the machine whose file system is at *root* is made of.

    *arch* is told by the CPU's features where it is not given, and by uname(2) where these do not tell.
    A field is None where its file cannot be read.
    """
    info = _read_cpuinfo(root / "proc/cpuinfo")
    listed = _list_features(info)
    cpu = _name_cpu(info)
    board = _read(root / "proc/device-tree/model") or next(iter(info.get("Model", [])), None)
    jetpack = _find_jetpack(root / "etc/nv_tegra_release")
    arch = arch or _tell_arch(listed) or os.uname().machine
    return Hardware(
        machine=board or cpu or arch,
        arch=arch,
        cpu=cpu,
        cpu_features=tuple(sorted(listed & RELEVANT_FEATURES)),
        cores=len(info.get("processor", [])) or None,
        memory_mb=_read_memory_mb(root / "proc/meminfo"),
        board=board,
        accelerators=tuple(_find_accelerators(root, board, jetpack)),
        jetpack=jetpack,
    )


def _read(path: Path) -> str | None:
    """The text at *path* without the NUL that device trees end it with; None where there is none to read."""
    try:
        return path.read_text(errors="replace").strip("\0 \t\n") or None
    except OSError:
        return None


def _read_cpuinfo(path: Path) -> _CpuInfo:
    """The values of each key of /proc/cpuinfo, one for each core that has it."""
    info: _CpuInfo = {}
    for line in (_read(path) or "").splitlines():
        key, separator, value = line.partition(":")
        if separator:
            info.setdefault(key.strip(), []).append(value.strip())
    return info


def _list_features(info: _CpuInfo) -> set[str]:
    """What every core can do: the cores of one board may differ, and a model may run on any."""
    listed = [set(line.split()) for key in ("flags", "Features") for line in info.get(key, [])]
    return set.intersection(*listed) if listed else set()


def _tell_arch(features: set[str]) -> str | None:
    if "asimd" in features:
        return "aarch64"
    # "Long mode": the name that the kernel gives to 64-bit x86.
    return "x86_64" if "lm" in features else None


def _name_cpu(info: _CpuInfo) -> str | None:
    """The CPU's name without marks and clock; on ARM its cores' names, the kernel having none."""
    for name in info.get("model name", []):
        if not name.startswith("ARM"):
            return re.sub(r"\((R|TM)\)|\bCPU\b|@.*", "", name).replace("  ", " ").strip()
    parts = dict.fromkeys(zip(info.get("CPU implementer", []), info.get("CPU part", []), strict=False))
    names = [_ARM_CORES.get(part, f"ARM {part[0]}:{part[1]}") for part in parts]
    return " + ".join(names) or None


def _read_memory_mb(path: Path) -> int | None:
    found = re.search(r"^MemTotal:\s+(\d+) kB$", _read(path) or "", re.MULTILINE)
    return int(found[1]) // 1024 if found else None


def _find_jetpack(path: Path) -> str | None:
    """JetPack's major version with the L4T release that tells it, as in ``6 (L4T 36.4.3)``."""
    found = re.match(r"# R(\d+) \(release\), REVISION: ([\d.]+)", _read(path) or "")
    if found is None:
        return None
    release = f"L4T {found[1]}.{found[2]}"
    return f"{_JETPACKS[found[1]]} ({release})" if found[1] in _JETPACKS else release


def _find_accelerators(root: Path, board: str | None, jetpack: str | None) -> Iterator[Accelerator]:
    yield from _find_nvidia(root, board, jetpack)
    yield from _find_coral(root)
    yield from _find_hailo(root)
    yield from _find_intel_npu(root)


def _find_nvidia(root: Path, board: str | None, jetpack: str | None) -> Iterator[Accelerator]:
    models = [re.search(r"^Model:\s*(.+)$", _read(path) or "", re.MULTILINE) for path in _glob(root, "proc/driver/nvidia/gpus/*/information")]
    for model in models:
        yield Accelerator(kind="nvidia", model=model[1].strip() if model else "unknown")
    # A Jetson's GPU is part of its chip, and no PCI device that the driver could list.
    if not models and (jetpack is not None or "jetson" in (board or "").lower()):
        yield Accelerator(kind="nvidia", model=f"{board or 'Jetson'} (integrated)")


def _find_coral(root: Path) -> Iterator[Accelerator]:
    names = {path.name for pattern in ("dev/apex_*", "sys/class/apex/apex_*") for path in _glob(root, pattern)}
    for _ in sorted(names):
        yield Accelerator(kind="coral", model="Coral Edge TPU (PCIe)")
    for path in _glob(root, "sys/bus/usb/devices/*/idVendor"):
        if (_read(path), _read(path.with_name("idProduct"))) in _CORAL_USB:
            yield Accelerator(kind="coral", model="Coral Edge TPU (USB)")


def _find_hailo(root: Path) -> Iterator[Accelerator]:
    models = [_HAILO.get(device, f"Hailo {device}") for vendor, device, _ in _list_pci(root) if vendor == _HAILO_VENDOR]
    for model in models or ["Hailo" for _ in _glob(root, "dev/hailo[0-9]*")]:
        yield Accelerator(kind="hailo", model=model)


def _find_intel_npu(root: Path) -> Iterator[Accelerator]:
    """Intel's NPU, where its driver made a device: without one it cannot be used."""
    if not _glob(root, "dev/accel/accel*"):
        return
    for vendor, device, kind in _list_pci(root):
        if vendor == _INTEL_VENDOR and kind.startswith(_ACCELERATOR_CLASS):
            yield Accelerator(kind="npu", model=f"Intel NPU {device}")


def _list_pci(root: Path) -> list[tuple[str, str, str]]:
    """Vendor, device and class of each PCI device, as ``0x…``."""
    devices = [path.parent for path in _glob(root, "sys/bus/pci/devices/*/vendor")]
    return [(_read(one / "vendor") or "", _read(one / "device") or "", _read(one / "class") or "") for one in devices]


def _glob(root: Path, pattern: str) -> list[Path]:
    return sorted(root.glob(pattern))
