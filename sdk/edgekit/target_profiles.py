"""Target profiles: what is known of each class of device before anything runs there.

A profile fixes what a file may use, so that it loads *there*: the newest opset and IR version that the runtimes of that
class read, and the precisions that pay on its processor.
"""

from typing import Annotated

from msgspec import Meta

from edgekit.errors import UnknownName
from edgekit.records import Name, Record


class TargetProfile(Record, frozen=True, kw_only=True):
    """One class of device.

    *precisions* has for each target converter (a format, or ``nvidia``) the precisions that pay there, cheapest first.
    *runtimes* has the versions that the class is known to run, by package. *opset* and *ir_version* are the newest of ONNX
    that all of them read. *fixed_shapes* says that its compiler takes no size that varies, the batch included, and
    *integer_borders* that inputs and outputs must be int8 too. A profile that is not *verified* names a device whose
    compiler or runtime no test here has run.
    """

    name: Name
    summary: str
    arch: str
    cpu_features: tuple[str, ...] = ()
    accelerator: Name | None = None
    memory_mb: Annotated[int, Meta(ge=1)] | None = None
    precisions: dict[str, tuple[str, ...]]
    runtimes: dict[str, str] = {}
    opset: Annotated[int, Meta(ge=11)] = 17
    ir_version: Annotated[int, Meta(ge=3)] = 8
    fixed_shapes: bool = False
    integer_borders: bool = False
    verified: bool = False
    note: str = ""


_CPU_PRECISIONS: dict[str, tuple[str, ...]] = {"onnx": ("int8", "fp32"), "tflite": ("int8", "fp32"), "openvino": ("int8", "fp32")}

PROFILES: dict[str, TargetProfile] = {
    one.name: one
    for one in (
        TargetProfile(
            name="x86-64-vnni",
            summary="x86-64 with 8-bit dot products (AVX-512 VNNI or AVX-VNNI)",
            arch="x86_64",
            cpu_features=("avx2", "avx512_vnni"),
            precisions=_CPU_PRECISIONS,
            verified=True,
        ),
    )
}


def find_profile(name: str) -> TargetProfile:
    """The profile called *name*, or UnknownName."""
    if name not in PROFILES:
        raise UnknownName("target", name, PROFILES)
    return PROFILES[name]
