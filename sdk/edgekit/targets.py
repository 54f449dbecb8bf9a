"""Classes of devices, and which of them a machine belongs to.

A measurement counts for the target of the machine that made it, and for no other.
"""

from collections.abc import Callable

from edgekit.records import Record


class Accelerator(Record, frozen=True, kw_only=True):
    """A device beside the CPU that can run models: its kind (``nvidia``, ``coral``, ``hailo``, ``npu``) and model."""

    kind: str
    model: str


class Hardware(Record, frozen=True, kw_only=True):
    """What a machine is made of. What could not be read is None, never zero or empty."""

    machine: str
    arch: str
    cpu: str | None = None
    cpu_features: tuple[str, ...] = ()
    cores: int | None = None
    memory_mb: int | None = None
    board: str | None = None
    accelerators: tuple[Accelerator, ...] = ()
    jetpack: str | None = None

    @property
    def has_nvidia(self) -> bool:
        """Whether an NVIDIA GPU was found."""
        return any(accelerator.kind == "nvidia" for accelerator in self.accelerators)


VNNI = frozenset({"avx512_vnni", "avx_vnni"})


def _board_is(text: str) -> Callable[[Hardware], bool]:
    return lambda hardware: text in (hardware.board or "").lower()


# The first row that fits is the machine's target, so the narrower stand above the wider.
# fmt: off
TARGETS: tuple[tuple[str, Callable[[Hardware], bool]], ...] = (
    ("jetson-thor",          _board_is("jetson agx thor")),
    ("jetson-orin-nano",     _board_is("orin nano")),
    ("jetson-orin",          _board_is("orin")),
    ("raspberry-pi-zero-2w", _board_is("raspberry pi zero 2")),
    ("raspberry-pi-5",       _board_is("raspberry pi 5")),
    ("raspberry-pi-4",       _board_is("raspberry pi 4")),
    ("nvidia-gpu",           lambda hardware: hardware.has_nvidia),
    ("x86-64-vnni",          lambda hardware: hardware.arch == "x86_64" and not VNNI.isdisjoint(hardware.cpu_features)),
    ("x86-64",               lambda hardware: hardware.arch == "x86_64"),
    ("aarch64",              lambda hardware: hardware.arch == "aarch64"),
)
# fmt: on


def find_target(hardware: Hardware) -> str:
    """The name of the target that *hardware* belongs to; its bare architecture where no target fits."""
    return next((name for name, fits in TARGETS if fits(hardware)), hardware.arch)
