"""Parity: broken models are caught, sound ones pass, on whatever machine."""

import numpy as np
import pytest

from edgekit.arrays import Array, Arrays
from edgekit.errors import ConversionError, ParityError
from edgekit.golden import GoldenSamples
from edgekit.manifest import Tolerance
from edgekit.parity import answer_samples, check_parity, check_power, derive_tolerance, find_range, measure_parity
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


def test_what_an_autoencoder_rebuilds_has_no_classes() -> None:
    """The highest of the values that an autoencoder rebuilds is no class, and a device does not ask that it stays the same."""
    values = RNG.normal(size=(32, 6)).astype(np.float32)
    golden = GoldenSamples({"x": values}, {"y": values * np.float32(0.9)})
    parity = check_parity(golden, {"y": golden.outputs["y"]}, Tolerance(max_abs=1.0, mean_abs=1.0), "v")
    assert parity.top1_agreement is None
    assert derive_tolerance(parity, golden.outputs, "int8").top1_agreement is None
