"""The gate: what keeps its bound, what misses it, and which variant is the default."""

import pytest
from msgspec.structs import replace

from edgekit.artifacts import FileEntry
from edgekit.box_parity import prepare_box_reader
from edgekit.contract import Detect, Feature, Processing
from edgekit.gate import choose_default, choose_unmeasured, find_drop_fault, find_parity_fault, refuse_all
from edgekit.manifest import Deviation, Latency, Measurement, Metric, Parity, Tolerance, Variant
from edgekit.quantities import MINUS
from edgekit.tensors import TensorSpec


def metric(value: float, source: float = 0.99, n: int = 500) -> Metric:
    return Metric(name="top1", value=value, n=n, source_value=source)


def variant(variant_id: str, p50: float | None, size: int, target: str = "x86-64") -> Variant:
    latency = None if p50 is None else Latency(p50=p50, p95=p50, p99=p50, spread=0.0, rounds=1, n=1)
    measured = (
        ()
        if latency is None
        else (Measurement(machine="m", target=target, runtime="onnxruntime", runtime_version="1", threads=1, latency_ms=latency),)
    )
    return Variant(
        id=variant_id,
        format="onnx",
        precision=variant_id.split("-")[1],
        files=(FileEntry(path=variant_id, digest="sha256:" + "0" * 64, length=size),),
        inputs=(),
        outputs=(),
        parity=Parity(max_abs=0.0, mean_abs=0.0, n=32),
        tolerance=Tolerance(max_abs=0.0, mean_abs=0.0),
        metric=metric(0.988),
        measured=measured,
    )


@pytest.mark.parametrize(("value", "kept"), [(0.99, True), (1.0, True), (0.98, True), (0.979, False), (0.5, False)])
def test_drop_is_absolute_and_the_bound_included(value: float, kept: bool) -> None:
    """A drop of exactly the bound keeps it, more does not, and a gain always does."""
    assert (find_drop_fault(metric(value), 0.01) is None) is kept


def test_a_negative_bound_asks_for_a_gain() -> None:
    """A bound below zero is kept only by a variant that is better than its source."""
    assert find_drop_fault(metric(0.99), -0.001) is not None
    assert find_drop_fault(metric(0.995), -0.001) is None


def test_refusal_names_the_best_and_the_bound_that_it_would_keep() -> None:
    """When nothing keeps the bound, the nearest is named with its drop."""
    told = str(refuse_all([("onnx-int8", metric(0.97)), ("tflite-int8", metric(0.985))], 0.001))
    assert "tflite-int8: top1 0.9850 on 500 samples, a drop of 0.0050" in told
    assert "--max-drop 0.0050" in told


def test_refusal_of_what_was_asked_for_names_it() -> None:
    """Where other formats kept the bound, the refusal says which format was asked for and missed it."""
    assert "no variant of --to tflite meets it" in str(refuse_all([("tflite-int8", metric(0.97))], 0.001, "--to tflite"))


def test_default_is_the_fastest_on_this_target() -> None:
    """The fastest variant measured on the target is the default, whatever its size, and the reason says how much faster."""
    choice = choose_default([variant("onnx-fp32", 2.0, 10), variant("onnx-int8", 1.0, 40)], "x86-64")
    assert choice is not None
    assert choice.variant == "onnx-int8"
    assert "2.0x as fast as onnx-fp32" in choice.reason
    assert f"top1 {MINUS}0.0020 against the source" in choice.reason


def test_default_is_not_said_to_keep_a_bound_that_nothing_was_held_against() -> None:
    """Without labelled data the reason says so, and speaks of no bound; a speed that is the same is not told as a gain."""
    unjudged = [replace(variant(name, p50, size), metric=None) for name, p50, size in (("onnx-fp32", 1.01, 20), ("onnx-int8", 1.0, 10))]
    choice = choose_default(unjudged, "x86-64")
    assert choice is not None
    assert choice.reason == "the fastest of 2, 1.00 ms, no labelled data to judge it by"


def test_default_is_the_smaller_of_equally_fast_ones() -> None:
    """Latencies within three per cent count as equal, and the smaller file wins."""
    choice = choose_default([variant("onnx-fp32", 1.0, 40), variant("onnx-int8", 1.02, 10)], "x86-64")
    assert choice is not None
    assert choice.variant == "onnx-int8"


def test_nothing_measured_on_the_target_gives_no_default() -> None:
    """A figure from another target never makes a default."""
    assert choose_default([variant("onnx-fp32", 1.0, 1, target="raspberry-pi-4"), variant("onnx-int8", None, 1)], "x86-64") is None


def test_conversions_that_went_wrong_are_caught() -> None:
    """A float conversion must agree nearly exactly, a reduced one may deviate by a share of the output's range."""

    def parity(mean: float) -> Parity:
        return Parity(max_abs=mean, mean_abs=mean, n=32, outputs={"y": Deviation(max_abs=mean, mean_abs=mean)})

    assert find_parity_fault("fp32", parity(1e-5), {"y": 10.0}) is None
    assert "'y' deviates by 1.00%" in str(find_parity_fault("fp32", parity(0.1), {"y": 10.0}))
    assert find_parity_fault("int8", parity(0.1), {"y": 10.0}) is None
    assert find_parity_fault("int8", parity(1.0), {"y": 10.0}) is not None


@pytest.mark.parametrize(
    ("precision", "agreement", "refused"), [("fp32", 0.98, False), ("fp32", 0.97, True), ("int8", 0.5, False), ("int8", 0.4, True)]
)
def test_detectors_that_lost_their_boxes_are_caught(precision: str, agreement: float, refused: bool) -> None:
    """However little its numbers deviate, a detector must find its boxes again: in floats nearly all, reduced at least half."""
    parity = Parity(max_abs=0.0, mean_abs=0.0, n=32, box_agreement=agreement, outputs={"y": Deviation(max_abs=0.0, mean_abs=0.0)})
    fault = find_parity_fault(precision, parity, {"y": 640.0})
    assert (fault is not None) == refused
    if refused:
        assert f"it finds {agreement:.1%} of the boxes again" in str(fault)


def test_a_detectors_sorted_outputs_are_judged_by_boxes_alone() -> None:
    """Where boxes agree, rows that changed places are no fault, and any other output still is; where none were found all are judged."""
    parity = Parity(max_abs=9.0, mean_abs=9.0, n=32, box_agreement=1.0, outputs={"boxes": Deviation(max_abs=9.0, mean_abs=9.0)})
    reading = Detect(boxes="boxes", scores="scores", classes="classes", layout="classified")
    contract = Processing(inputs=(Feature(name="picture", kind="image", feeds="x"),), answer=reading)
    shapes = {"boxes": ("n", 5, 4), "scores": ("n", 5), "classes": ("n", 5)}
    boxes = prepare_box_reader(contract, [TensorSpec(name=name, dtype="float32", shape=shape) for name, shape in shapes.items()])
    ranges = {"boxes": 10.0, "other": 10.0}
    assert find_parity_fault("fp32", parity, ranges, boxes) is None
    assert "'boxes' deviates" in str(find_parity_fault("fp32", parity, ranges))
    assert "'boxes' deviates" in str(find_parity_fault("fp32", replace(parity, box_agreement=None), ranges, boxes))
    other = replace(parity, outputs={"other": parity.outputs["boxes"]})
    assert "'other' deviates" in str(find_parity_fault("fp32", other, ranges, boxes))


def test_what_is_made_for_an_accelerator_is_no_default_without_one() -> None:
    """A variant for NVIDIA that somebody timed on a CPU is never that machine's default, however fast; on a target with the GPU it may be."""
    for_nvidia = replace(variant("nvidia-int8", 0.1, 10), accelerator="nvidia")
    choice = choose_default([variant("onnx-fp32", 2.0, 40), for_nvidia], "x86-64")
    assert choice is not None
    assert choice.variant == "onnx-fp32"
    assert choose_default([for_nvidia], "x86-64") is None
    there = replace(variant("nvidia-int8", 0.1, 10, target="jetson-orin"), accelerator="nvidia")
    assert choose_default([there], "jetson-orin") is not None


def reduced(variant_id: str, size: int, scheme: str | None = None, **changes: object) -> Variant:
    kind, number = variant_id.split("-")[:2]
    return replace(variant(variant_id, None, size), format=kind, precision=number, scheme=scheme, **changes)


FP32, FP16 = reduced("onnx-fp32", 400), reduced("tflite-fp16", 200)
STATIC, DYNAMIC = reduced("onnx-int8", 110, "static"), reduced("onnx-int8-dynamic", 105, "dynamic")
WEIGHTS = reduced("onnx-int4-weights", 60, "weights")


@pytest.mark.parametrize(
    ("variants", "chosen", "reason"),
    [
        ((FP32, WEIGHTS, DYNAMIC, STATIC), "onnx-int8", "the smallest int8 variant"),
        ((FP32, WEIGHTS, DYNAMIC), "onnx-int8-dynamic", "the smallest dynamic int8 variant"),
        ((FP32, WEIGHTS, FP16), "onnx-int4-weights", "the smallest variant with integer weights"),
        ((FP32, FP16), "tflite-fp16", "the smallest variant"),
        ((FP32, reduced("tflite-int8", 100)), "tflite-int8", "the smallest int8 variant"),
    ],
)
def test_unmeasured_the_cheapest_arithmetic_goes_first(variants: tuple[Variant, ...], chosen: str, reason: str) -> None:
    """Static integers go before dynamic ones, before those of weights alone, before floats, however small the others are."""
    choice = choose_unmeasured(variants, "riscv64")
    assert choice is not None
    assert (choice.variant, choice.reason) == (chosen, reason)


def test_unmeasured_what_does_not_pay_on_the_target_goes_last() -> None:
    """On ARM OpenVINO's static int8, which is wrong there, is taken after everything else; on x86-64 it is as good as any."""
    variants = (reduced("openvino-int8", 90, "static"), reduced("openvino-fp32", 400), STATIC)
    (on_arm, on_x86) = (choose_unmeasured(variants, target) for target in ("raspberry-pi-5", "x86-64"))
    assert on_arm is not None
    assert on_x86 is not None
    assert (on_arm.variant, on_arm.reason) == ("onnx-int8", "the smallest int8 variant of those that pay there")
    assert on_x86.variant == "openvino-int8"
    alone = choose_unmeasured(variants[:2], "raspberry-pi-5")
    assert alone is not None
    assert alone.variant == "openvino-fp32"
    last = choose_unmeasured(variants[:1], "raspberry-pi-5")
    assert last is not None
    assert last.variant == "openvino-int8"


def test_unmeasured_of_equal_sizes_the_targets_first_format_goes_first() -> None:
    """Sizes within three per cent count as equal: a Raspberry Pi takes TFLite then, and a target without a profile the smaller."""
    variants = (reduced("onnx-int8", 1000, "static"), reduced("tflite-int8", 1020, "static"))
    (there, nowhere) = (choose_unmeasured(variants, target) for target in ("raspberry-pi-4", "riscv64"))
    assert there is not None
    assert nowhere is not None
    assert (there.variant, nowhere.variant) == ("tflite-int8", "onnx-int8")


def test_unmeasured_an_accelerators_variant_is_left_aside() -> None:
    """Where all variants are for accelerators there is none to take."""
    for_nvidia = reduced("nvidia-int8", 10, "static", accelerator="nvidia")
    assert choose_unmeasured((for_nvidia,), "jetson-orin") is None
    choice = choose_unmeasured((for_nvidia, FP32), "jetson-orin")
    assert choice is not None
    assert choice.variant == "onnx-fp32"
