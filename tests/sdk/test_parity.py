"""Parity: broken models are caught, sound ones pass, on whatever machine."""

import numpy as np
import pytest

from edgekit.arrays import Array, Arrays
from edgekit.box_parity import BoxReader, prepare_box_reader
from edgekit.contract import Detect, Feature, Processing, Resize
from edgekit.errors import ConversionError, ParityError
from edgekit.golden import GoldenSamples
from edgekit.manifest import Tolerance
from edgekit.parity import answer_samples, check_parity, check_power, derive_tolerance, find_range, find_violations, measure_parity, prove
from edgekit.tensors import TensorSpec

RNG = np.random.default_rng(3)
LOGITS = (np.eye(5)[np.arange(40) % 5] * 6 + RNG.normal(size=(40, 5))).astype(np.float32)
GOLDEN = GoldenSamples({"x": np.arange(40, dtype=np.float32)[:, None]}, {"logits": LOGITS})
INT8 = LOGITS + RNG.normal(scale=0.05, size=LOGITS.shape).astype(np.float32)


def int8_tolerance() -> Tolerance:
    return derive_tolerance(measure_parity(GOLDEN.outputs, {"logits": INT8}, "int8"), GOLDEN.outputs, "int8")


class Echo:
    """Answers with what it was given, in the batches that its shape allows, and remembers their sizes."""

    def __init__(self, batch: int | str, rows: int = 1) -> None:
        self.inputs = (TensorSpec(name="x", dtype="float32", shape=(batch, 1)),)
        self.rows = rows
        self.batches: list[int] = []

    def infer(self, inputs: dict[str, Array]) -> Arrays:
        self.batches.append(len(inputs["x"]))
        return {"y": np.repeat(inputs["x"], self.rows, axis=0)}


def test_measures_each_output() -> None:
    """The deviation is the largest and the mean difference of each output, and the worst of them over all."""
    expected = {"a": np.zeros((2, 1, 2), np.float32), "b": np.array([[0.0, 1.0], [0.0, 1.0]], np.float32)}
    parity = measure_parity(expected, {"a": np.full((2, 1, 2), 0.5), "b": np.array([[0.0, 1.0], [2.0, 1.0]])}, "v")
    assert (parity.outputs["a"].max_abs, parity.outputs["a"].mean_abs) == (0.5, 0.5)
    assert (parity.max_abs, parity.mean_abs, parity.top1_agreement, parity.n) == (2.0, 0.5, 0.5, 2)


def test_the_measured_variant_passes_its_own_tolerance() -> None:
    """What was measured when a variant was built keeps the tolerance derived from it, and so does a little noise."""
    noise = RNG.normal(scale=1e-3, size=LOGITS.shape).astype(np.float32)
    assert check_parity(GOLDEN, {"logits": INT8 + noise}, int8_tolerance(), "v").n == 40


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(INT8[:, [1, 0, 2, 3, 4]], id="two classes swapped"),
        pytest.param(np.broadcast_to(LOGITS.mean(0), LOGITS.shape), id="constant"),
        pytest.param(INT8[:, ::-1], id="classes reversed"),
        pytest.param(np.zeros_like(INT8), id="zero"),
        pytest.param(np.roll(INT8, 1, axis=0), id="another sample's answer"),
        pytest.param(INT8 * 2, id="scaled"),
    ],
)
def test_broken_models_are_caught(broken: Array) -> None:
    """A model that was permuted, swapped, made constant or scaled exceeds the tolerance of the int8 variant."""
    with pytest.raises(ParityError, match="v: its answers"):
        check_parity(GOLDEN, {"logits": broken}, int8_tolerance(), "v")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_answers_are_caught(value: float) -> None:
    """One NaN or infinity where the source is finite is a ParityError that counts it."""
    answers = INT8.copy()
    answers[3, 2] = value
    with pytest.raises(ParityError, match="1 values that are NaN or infinite"):
        measure_parity(GOLDEN.outputs, {"logits": answers}, "v")


def test_equal_non_finite_answers_are_parity() -> None:
    """Where the source itself answers infinity or NaN, the same answer is no deviation."""
    expected = {"y": np.array([[np.inf], [np.nan], [1.0]])}
    assert measure_parity(expected, expected, "v").max_abs == 0.0


@pytest.mark.parametrize("answers", [{}, {"logits": LOGITS[:, :4]}, {"logits": LOGITS[:39]}])
def test_missing_or_misshapen_outputs_are_caught(answers: Arrays) -> None:
    """An output that is absent or of another shape is a ParityError with its name."""
    with pytest.raises(ParityError, match="logits"):
        measure_parity(GOLDEN.outputs, answers, "v")


def test_a_tolerance_that_tells_nothing_is_refused() -> None:
    """A variant so far off that a broken model would pass in its place has no usable tolerance."""
    check_power(GOLDEN, int8_tolerance(), "v")
    with pytest.raises(ConversionError, match="would pass"):
        check_power(GOLDEN, Tolerance(max_abs=1e3, mean_abs=1e3, top1_agreement=0.1), "v")


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_a_source_that_answers_infinity_has_a_usable_tolerance(value: float) -> None:
    """A variant that masks classes as its source does is sound, and a broken model that answers no number is caught."""
    masked = np.where(LOGITS < -1, np.float32(value), LOGITS)
    golden = GoldenSamples(GOLDEN.inputs, {"logits": masked})
    tolerance = derive_tolerance(measure_parity(golden.outputs, golden.outputs, "v"), golden.outputs, "fp32")
    check_power(golden, tolerance, "v")


@pytest.mark.parametrize(
    ("array", "distance"),
    [([1.0, -np.inf, np.nan, 3.0], 2.0), ([True, False], 1.0), ([True, True], 0.0), ([np.nan], 0.0), ([], 0.0), ([-128, 127], 255.0)],
)
def test_range_is_that_of_the_finite_values(array: list[float], distance: float) -> None:
    """The range of an output is found for floats with infinities, for booleans, for integers that would overflow, and for none."""
    kind = np.int8 if 127 in array else None
    assert find_range(np.array(array, kind)) == distance


def test_strings_are_equal_or_not() -> None:
    """Labels in words are held against the source's word by word, in whatever form a runtime gives them."""
    expected = {"label": np.array([b"cat", "\xfc".encode(), b"owl", b"dog"])}
    assert measure_parity(expected, {"label": np.array(["cat", "\xfc", "owl", "dog"], object)}, "v").max_abs == 0.0
    parity = measure_parity(expected, {"label": np.array([b"cat", b"dog", b"owl", b"dog"], object)}, "v")
    assert (parity.max_abs, parity.mean_abs) == (1.0, 0.25)


def test_labels_in_words_tell_a_broken_model() -> None:
    """One label for all, or another sample's label, exceeds the tolerance of a sound variant with labels in words."""
    golden = GoldenSamples(GOLDEN.inputs, {"label": np.array([b"cat", b"dog", b"owl", b"cow"] * 10)})
    check_power(golden, derive_tolerance(measure_parity(golden.outputs, golden.outputs, "v"), golden.outputs, "int8"), "v")


@pytest.mark.parametrize(("batch", "sizes"), [("n", [64, 6]), (1, [1] * 70), (32, [32, 32, 32])])
def test_samples_are_run_in_the_batches_that_a_model_takes(batch: int | str, sizes: list[int]) -> None:
    """Seventy samples give seventy answers in order, from a model of any batch, of one, and of a fixed number."""
    echo, samples = Echo(batch), {"x": np.arange(70, dtype=np.float32)[:, None]}
    np.testing.assert_array_equal(answer_samples(echo, samples, "v")["y"], samples["x"])
    assert echo.batches == sizes


def test_outputs_without_a_batch_are_refused() -> None:
    """A model whose answers cannot be matched with the samples is said to be so."""
    with pytest.raises(ConversionError, match="no batch as its first axis"):
        answer_samples(Echo("n", rows=3), {"x": np.zeros((4, 1), np.float32)}, "v")


def test_an_autoencoders_values_are_no_classes() -> None:
    """A variant that swaps two classes is refused however near they are; of an input rebuilt such neighbours are no classes."""
    values = np.random.default_rng(3).normal(size=(64, 6)).astype(np.float32)
    values[:, 1] = values[:, 0] + np.where(np.arange(64) % 2, 1e-4, -1e-4)
    values[:, :2] += 9
    tolerance = derive_tolerance(measure_parity({"y": values}, {"y": values[:, [1, 0, 2, 3, 4, 5]]}, "v"), {"y": values}, "int8")
    with pytest.raises(ConversionError, match="swapping classes 0 and 1"):
        check_power(GoldenSamples({"x": values[:, :3]}, {"y": values}), tolerance, "v")
    check_power(GoldenSamples({"x": values}, {"y": values}), tolerance, "v")


def read_boxes(reading: Detect, outputs: Arrays) -> BoxReader:
    contract = Processing(inputs=(Feature(name="p", kind="image", feeds="x", steps=(Resize(width=640, height=640),)),), answer=reading)
    found = prepare_box_reader(contract, [TensorSpec(name=name, dtype="float32", shape=("n", *array.shape[1:])) for name, array in outputs.items()])
    assert found is not None
    return found


def detect(seed: int = 8) -> Arrays:
    """What a detector with its own post-processing answers to 40 samples: eight boxes each of four classes, the highest score first."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 500, (40, 8, 2))
    corners = np.concatenate([low, low + rng.uniform(30, 90, (40, 8, 2))], axis=2)
    scores = -np.sort(-rng.uniform(0.4, 0.9, (40, 8)), axis=1)
    arrays = {"boxes": corners, "scores": scores, "classes": rng.integers(0, 4, (40, 8)), "other": rng.normal(size=(40, 6, 2))}
    return {name: array.astype(np.float32) for name, array in arrays.items()}


SORTED = Detect(boxes="boxes", scores="scores", classes="classes", layout="classified", iou=None)
DETECTED = detect()
DETECTOR = GoldenSamples({"x": np.arange(40, dtype=np.float32)[:, None]}, DETECTED)
BOXES = read_boxes(SORTED, DETECTED)


def change_places(answers: Arrays, first: int, second: int) -> Arrays:
    """*answers* with two rows of each sample exchanged, their scores being as good as equal."""
    changed = {name: array.copy() for name, array in answers.items()}
    for name in ("boxes", "classes"):
        changed[name][:, [first, second]] = changed[name][:, [second, first]]
    return changed


def box_tolerance(boxes: BoxReader | None = BOXES) -> Tolerance:
    return derive_tolerance(measure_parity(DETECTED, DETECTED, "v", boxes), DETECTED, "fp32")


def test_a_detector_is_measured_in_its_boxes() -> None:
    """Of a detector parity has the share of boxes that are found again; without a way to read them that is unknown."""
    missing = DETECTED | {"scores": np.where(np.arange(8) < 6, DETECTED["scores"], 0).astype(np.float32)}
    assert measure_parity(DETECTED, missing, "v", BOXES).box_agreement == pytest.approx(2 * 6 / (8 + 6))
    assert measure_parity(DETECTED, missing, "v").box_agreement is None


def test_a_row_of_boxes_is_no_row_of_classes() -> None:
    """The scores and classes of a detector's boxes look like rows of classes, and have no top-1 once it is known what they are."""
    assert measure_parity(DETECTED, DETECTED, "v", BOXES).top1_agreement is None
    assert measure_parity(DETECTED, DETECTED, "v").top1_agreement == 1.0


def test_a_device_may_miss_the_boxes_of_one_sample() -> None:
    """The tolerance is what was measured less one sample's share, and says so in words."""
    tolerance = box_tolerance()
    assert tolerance.box_agreement == pytest.approx(1 - 1 / 40)
    assert tolerance.slack.endswith("one sample for top-1 and for boxes")
    assert box_tolerance(None).box_agreement is None


def test_boxes_that_change_places_are_no_fault() -> None:
    """Rows that the detector sorts are judged by their boxes; without a way to read them they are judged by their numbers."""
    turned = change_places(DETECTED, 2, 3)
    assert check_parity(DETECTOR, turned, box_tolerance(), "v", BOXES).box_agreement == 1.0
    with pytest.raises(ParityError, match="boxes deviates by"):
        check_parity(DETECTOR, turned, box_tolerance(), "v")


def test_other_outputs_of_a_detector_are_judged_as_ever() -> None:
    """An output that holds no boxes is held to its deviation, however well the boxes agree."""
    with pytest.raises(ParityError, match=r"other deviates by 1 \(max_abs\)"):
        check_parity(DETECTOR, DETECTED | {"other": DETECTED["other"] + 1}, box_tolerance(), "v", BOXES)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(DETECTED | {"classes": (DETECTED["classes"] + 1) % 4}, id="classes permuted"),
        pytest.param(DETECTED | {"classes": np.choose(DETECTED["classes"].astype(int), [1, 0, 2, 3])}, id="two classes swapped"),
        pytest.param(DETECTED | {"boxes": DETECTED["boxes"][:, :, [1, 0, 3, 2]]}, id="x and y swapped"),
        pytest.param(DETECTED | {"scores": np.zeros_like(DETECTED["scores"])}, id="nothing found"),
        pytest.param(
            {name: np.roll(array, 1, axis=0) for name, array in DETECTED.items()} | {"other": DETECTED["other"]}, id="another sample's boxes"
        ),
    ],
)
def test_broken_detectors_are_caught(broken: Arrays) -> None:
    """Permuted or swapped classes, turned coordinates, lost scores and another picture's boxes are told by the boxes alone."""
    with pytest.raises(ParityError, match=r"v: its answers .* of the boxes are found again, and 97\.5% is asked for"):
        check_parity(DETECTOR, broken, box_tolerance(), "v", BOXES)


def test_boxes_that_nobody_found_are_no_agreement_on_a_device() -> None:
    """Where boxes are asked for, an agreement that is unknown does not do."""
    tolerance = box_tolerance()
    nothing = measure_parity(DETECTED, DETECTED, "v")
    assert find_violations(nothing, tolerance) == []
    assert find_violations(nothing, tolerance, BOXES) == ["0.0% of the boxes are found again, and 97.5% is asked for"]


def test_a_detector_that_found_nothing_has_no_tolerance_for_boxes() -> None:
    """Golden samples without boxes leave the agreement unknown, and ask none of a device."""
    silent = DETECTED | {"scores": np.zeros_like(DETECTED["scores"])}
    parity = measure_parity(silent, silent, "v", BOXES)
    tolerance = derive_tolerance(parity, silent, "fp32")
    assert (parity.box_agreement, tolerance.box_agreement) == (None, None)
    assert find_violations(parity, tolerance, BOXES) == []


def test_a_tolerance_for_boxes_must_tell_broken_detectors() -> None:
    """A variant that agrees on nearly all boxes has a usable tolerance; one that agrees on hardly any would let swapped classes pass."""
    check_power(DETECTOR, box_tolerance(), "v", BOXES, DETECTED)
    poor = DETECTED | {"scores": np.where(np.arange(8) < 1, DETECTED["scores"], 0).astype(np.float32)}
    poor["boxes"] = np.where(np.arange(40)[:, None, None] < 4, DETECTED["boxes"], DETECTED["boxes"] + 300).astype(np.float32)
    tolerance = derive_tolerance(measure_parity(DETECTED, poor, "v", BOXES), DETECTED, "int8")
    assert tolerance.box_agreement is not None
    assert tolerance.box_agreement < 0.1
    with pytest.raises(ConversionError, match="swapping the boxes of classes"):
        check_power(DETECTOR, tolerance, "v", BOXES, poor)


def test_a_detector_that_always_finds_the_same_is_told() -> None:
    """A tolerance that lets the mean answer, or another picture's, pass is refused for a detector too."""
    tolerance = Tolerance(max_abs=1e4, mean_abs=1e4, box_agreement=0.0)
    with pytest.raises(ConversionError, match="a constant answer would pass"):
        check_power(DETECTOR, tolerance, "v", BOXES, DETECTED)


def test_a_session_is_proven_by_its_boxes() -> None:
    """Running the golden samples through a session gives its agreement in boxes, and refuses one that lost them."""

    class Detector(Echo):
        answers = DETECTED

        def infer(self, inputs: dict[str, Array]) -> Arrays:
            rows = inputs["x"][:, 0].astype(int)
            return {name: array[rows] for name, array in self.answers.items()}

    session = Detector("n")
    assert prove(session, DETECTOR, box_tolerance(), "v", BOXES).box_agreement == 1.0
    session.answers = DETECTED | {"scores": np.zeros_like(DETECTED["scores"])}
    with pytest.raises(ParityError, match=r"0\.0% of the boxes"):
        prove(session, DETECTOR, box_tolerance(), "v", BOXES)


def test_what_an_autoencoder_rebuilds_has_no_classes() -> None:
    """The highest of the values that an autoencoder rebuilds is no class, and a device does not ask that it stays the same."""
    values = RNG.normal(size=(32, 6)).astype(np.float32)
    golden = GoldenSamples({"x": values}, {"y": values * np.float32(0.9)})
    parity = check_parity(golden, {"y": golden.outputs["y"]}, Tolerance(max_abs=1.0, mean_abs=1.0), "v")
    assert parity.top1_agreement is None
    assert derive_tolerance(parity, golden.outputs, "int8").top1_agreement is None
