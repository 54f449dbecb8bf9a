"""Target profiles: what is known of each class of device before anything runs there.

A profile fixes what a file may use, so that it loads *there*: the newest opset and IR version that the runtimes of that
class read, and the precisions that pay on its processor. docs/reference/targets.md has where each fact comes from.
"""

from typing import Annotated

from msgspec import Meta

from edgekit.errors import UnknownName
from edgekit.records import Name, Record


class TargetProfile(Record, frozen=True, kw_only=True):
    """One class of device.

    *arch* and *cpu_features* are what every device of the class has, by the kernel's names, and *memory_mb* is that of the
    smallest; None where devices differ too much. *precisions* has for each target converter (a format, or ``nvidia``) the
    precisions that pay there, cheapest first; among those for integers a model's own kind decides which are tried.
    *runtimes* has the versions that the class is known to run, by package, the oldest first. *opset* and *ir_version* are
    the newest of ONNX that all of them read. *fixed_shapes* says that its compiler takes no size that varies, the batch
    included, and *integer_borders* that inputs and outputs must be int8 too. *verified* says that variants were proven in
    the class's own runtimes, on such a processor or under emulation of it; the others have a compiler or runtime that
    nobody has run here. *note* says what a user has to know or do next.
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


# ONNX Runtime 1.17, the oldest that edgekit allows, refuses opset 21 and IR version 10: both were tried. TensorRT from
# 10.0 on reads opset 9 to 20 (github.com/onnx/onnx-tensorrt, docs/operators.md of release/10.0-GA).
_OPSET, _IR_VERSION = 20, 9

# Integers are multiplied fast where the CPU sums products of 8 bits in one instruction: VNNI, dot products. Elsewhere the
# ranges that dynamic quantisation finds in each inference cost more than it saves
# (onnxruntime.ai/docs/performance/model-optimizations/quantization.html, its questions on performance).
_WITH_DOT_PRODUCTS = ("int8", "int8-dynamic", "int8-weights", "int4-weights", "fp32")
_WITHOUT = ("int8", "int8-weights", "int4-weights", "fp32")
# OpenVINO 2026.4 computes static int8 wrongly on ARM where weights have one scale a channel: the digits' logits come out 5.6
# off, and 0.14 on x86-64, where the same file is right. With integers in the weights alone it is as right as elsewhere.
_OPENVINO_ON_ARM = ("int8-weights", "int4-weights", "fp32")
_FOR_NVIDIA = ("int8", "fp16", "fp32")

# The oldest that edgekit's extras allow, and the newest that was on PyPI with wheels for the architecture and its Pythons.
_ONNXRUNTIME, _LITERT, _TFLITE_RUNTIME = "1.17 to 1.32", "2.1 to 2.3", "2.14"
_OPENVINO = "2025.2 to 2026.4"
_EVERY_CPU = {"onnxruntime": _ONNXRUNTIME, "ai-edge-litert": _LITERT, "openvino": _OPENVINO}
_RASPBERRY_PI = {"ai-edge-litert": _LITERT, "tflite-runtime": _TFLITE_RUNTIME, "onnxruntime": _ONNXRUNTIME, "openvino": _OPENVINO}

_ON_ITS_CPU = "Until the agent has a runtime for TensorRT, devices serve the CPU's variants; their own have an engine recipe."


_NO_STATIC_OPENVINO = "OpenVINO's static int8 gives wrong answers on ARM, so it is left out: take TFLite or ONNX for int8."


def _pay_on_x86(precisions: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(("tflite", "onnx", "openvino"), precisions)


def _pay_on_arm(precisions: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {"tflite": precisions, "onnx": precisions, "openvino": _OPENVINO_ON_ARM}


_LISTED = (
    TargetProfile(
        name="raspberry-pi-zero-2w",
        summary="Raspberry Pi Zero 2 W: four Cortex-A53, no dot products, 512 MB",
        arch="aarch64",
        cpu_features=("asimd",),
        memory_mb=512,
        precisions={"tflite": _WITHOUT, "onnx": _WITHOUT},
        runtimes={"ai-edge-litert": _LITERT, "tflite-runtime": _TFLITE_RUNTIME, "onnxruntime": _ONNXRUNTIME},
        opset=_OPSET,
        ir_version=_IR_VERSION,
        verified=True,
        note="OpenVINO is left out: of the three runtimes it takes the most memory, twice that of LiteRT, and there is little.",
    ),
    TargetProfile(
        name="raspberry-pi-4",
        summary="Raspberry Pi 4 and 400, Compute Module 4: four Cortex-A72, no dot products, from 1 GB",
        arch="aarch64",
        cpu_features=("asimd",),
        memory_mb=1024,
        precisions=_pay_on_arm(_WITHOUT),
        runtimes=_RASPBERRY_PI,
        opset=_OPSET,
        ir_version=_IR_VERSION,
        verified=True,
        note=_NO_STATIC_OPENVINO,
    ),
    TargetProfile(
        name="raspberry-pi-5",
        summary="Raspberry Pi 5 and 500, Compute Module 5: four Cortex-A76 with dot products, from 1 GB",
        arch="aarch64",
        cpu_features=("asimd", "asimddp", "asimdhp"),
        memory_mb=1024,
        precisions=_pay_on_arm(_WITH_DOT_PRODUCTS),
        runtimes=_RASPBERRY_PI,
        opset=_OPSET,
        ir_version=_IR_VERSION,
        verified=True,
        note=_NO_STATIC_OPENVINO,
    ),
    TargetProfile(
        name="jetson-orin-nano",
        summary="Jetson Orin Nano: Cortex-A78AE and an Ampere GPU, from 4 GB shared by both; JetPack 6.1 or later",
        arch="aarch64",
        cpu_features=("asimd", "asimddp", "asimdhp"),
        accelerator="nvidia",
        memory_mb=4096,
        precisions={"nvidia": _FOR_NVIDIA, "onnx": _WITH_DOT_PRODUCTS},
        runtimes={"tensorrt": "10.3", "onnxruntime": "1.17 to 1.23"},
        opset=_OPSET,
        ir_version=_IR_VERSION,
        note=_ON_ITS_CPU,
    ),
    TargetProfile(
        name="jetson-orin",
        summary="Jetson Orin NX and AGX Orin: Cortex-A78AE and an Ampere GPU, from 8 GB shared by both; JetPack 6.1 or later",
        arch="aarch64",
        cpu_features=("asimd", "asimddp", "asimdhp"),
        accelerator="nvidia",
        memory_mb=8192,
        precisions={"nvidia": _FOR_NVIDIA, "onnx": _WITH_DOT_PRODUCTS},
        runtimes={"tensorrt": "10.3", "onnxruntime": "1.17 to 1.23"},
        opset=_OPSET,
        ir_version=_IR_VERSION,
        note=_ON_ITS_CPU,
    ),
    TargetProfile(
        name="jetson-thor",
        summary="Jetson Thor: Neoverse V3AE and a Blackwell GPU, from 64 GB shared by both; JetPack 7",
        arch="aarch64",
        cpu_features=("asimd", "asimddp", "asimdhp", "bf16", "i8mm", "sve", "sve2"),
        accelerator="nvidia",
        memory_mb=65536,
        precisions={"nvidia": _FOR_NVIDIA, "onnx": _WITH_DOT_PRODUCTS},
        runtimes={"tensorrt": "10.13", "onnxruntime": _ONNXRUNTIME},
        opset=_OPSET,
        ir_version=_IR_VERSION,
        note=_ON_ITS_CPU,
    ),
    TargetProfile(
        name="x86-64",
        summary="x86-64 without 8-bit dot products",
        arch="x86_64",
        cpu_features=("sse4_2",),
        precisions=_pay_on_x86(_WITHOUT),
        runtimes=_EVERY_CPU,
        opset=_OPSET,
        ir_version=_IR_VERSION,
        verified=True,
    ),
    TargetProfile(
        name="x86-64-vnni",
        summary="x86-64 with 8-bit dot products (AVX-512 VNNI or AVX-VNNI)",
        arch="x86_64",
        cpu_features=("avx2", "avx512_vnni"),
        precisions=_pay_on_x86(_WITH_DOT_PRODUCTS),
        runtimes=_EVERY_CPU,
        opset=_OPSET,
        ir_version=_IR_VERSION,
        verified=True,
    ),
    TargetProfile(
        name="aarch64",
        summary="Any other board with a 64-bit ARM processor",
        arch="aarch64",
        cpu_features=("asimd",),
        precisions=_pay_on_arm(_WITHOUT),
        runtimes=_RASPBERRY_PI,
        opset=_OPSET,
        ir_version=_IR_VERSION,
        verified=True,
        note=_NO_STATIC_OPENVINO,
    ),
    TargetProfile(
        name="nvidia-gpu",
        summary="A host with an NVIDIA GPU of compute capability 7.5 or later",
        arch="x86_64",
        cpu_features=("sse4_2",),
        accelerator="nvidia",
        precisions={"nvidia": _FOR_NVIDIA, "onnx": _WITHOUT},
        runtimes={"tensorrt": "10.0 to 11", "onnxruntime": _ONNXRUNTIME},
        opset=_OPSET,
        ir_version=_IR_VERSION,
        note=_ON_ITS_CPU,
    ),
    TargetProfile(
        name="coral-edgetpu",
        summary="Coral Edge TPU, on USB, PCIe or a Dev Board",
        arch="aarch64",
        cpu_features=("asimd",),
        accelerator="coral",
        precisions={"tflite": ("int8",)},
        runtimes={"tflite-runtime": _TFLITE_RUNTIME},
        fixed_shapes=True,
        integer_borders=True,
        note="Next, on an x86-64 Debian: edgetpu_compiler model.tflite makes model_edgetpu.tflite, which libedgetpu loads. "
        "What it does not map stays on the CPU; its log says which operators.",
    ),
    TargetProfile(
        name="hailo-8",
        summary="Hailo-8 and Hailo-8L, as on the Raspberry Pi AI HAT+",
        arch="aarch64",
        cpu_features=("asimd",),
        accelerator="hailo",
        precisions={"onnx": ("int8", "fp32")},
        runtimes={"hailort": "4"},
        fixed_shapes=True,
        note="Next, with the Hailo Dataflow Compiler: hailo parser onnx, hailo optimize, hailo compiler make the .hef. "
        "It finds its own integers: give it the fp32 variant and the calibration data; the Q/DQ variant says what int8 costs in accuracy.",
    ),
    TargetProfile(
        name="intel-npu",
        summary="Intel Core Ultra with an NPU",
        arch="x86_64",
        cpu_features=("avx2", "avx_vnni"),
        accelerator="npu",
        precisions={"openvino": ("int8", "fp16"), "onnx": ("int8",)},
        runtimes={"openvino": _OPENVINO},
        fixed_shapes=True,
        note="Next, on the machine with the NPU and its driver: openvino.Core().compile_model(path, 'NPU'), which compiles there. "
        "The Q/DQ ONNX is for ONNX Runtime's OpenVINO execution provider.",
    ),
)

#: Every profile by name, in the order in which they are shown.
PROFILES: dict[str, TargetProfile] = {one.name: one for one in _LISTED}


def find_profile(name: str) -> TargetProfile:
    """The profile called *name*, or UnknownName."""
    if name not in PROFILES:
        raise UnknownName("target", name, PROFILES)
    return PROFILES[name]
