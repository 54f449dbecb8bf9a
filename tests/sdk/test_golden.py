"""Golden samples: enough of them, with answers different enough to tell a good model from a broken one."""

from pathlib import Path

import numpy as np
import pytest

from edgekit.arrays import encode_arrays
from edgekit.errors import InputError
from edgekit.golden import GoldenSamples, choose_samples, count_answers, is_class_row, synthesize_inputs
from edgekit.tensors import Quantization, TensorSpec

MODEL = Path("model.onnx")


def scores(classes: list[int], width: int = 10) -> np.ndarray:
    return np.eye(width, dtype=np.float32)[classes]


def make_golden(classes: list[int], width: int = 10) -> GoldenSamples:
    return GoldenSamples({"image": np.zeros((len(classes), 4), np.float32)}, {"logits": scores(classes, width)})


def test_round_trip() -> None:
    """Encoded samples come back equal, and give the same bytes again."""
    golden = make_golden([1, 2, 3] * 11)
    again = GoldenSamples.decode(golden.encode())
    np.testing.assert_array_equal(again.inputs["image"], golden.inputs["image"])
    np.testing.assert_array_equal(again.outputs["logits"], golden.outputs["logits"])
    assert again.encode() == golden.encode()


def test_too_few_samples_are_refused() -> None:
    """Thirty-one samples are one too few."""
    make_golden([1, 2, 3] * 11).check(MODEL)
    with pytest.raises(InputError, match=r"model\.onnx: there are 31 golden samples, and at least 32"):
        make_golden([1, 2, 3] * 10 + [1]).check(MODEL)


def test_answers_too_much_alike_are_refused() -> None:
    """Two classes among ten say too little, but are all that a model of two classes can give."""
    with pytest.raises(InputError, match=r"2 different answers.*--calibration"):
        make_golden([1, 2] * 20).check(MODEL)
    make_golden([0, 1] * 20, width=2).check(MODEL)


@pytest.mark.parametrize("arrays", [{}, {"input:a": np.zeros(3)}, {"input:a": np.zeros(3), "output:b": np.zeros(4)}])
def test_incomplete_files_are_refused(arrays: dict[str, np.ndarray]) -> None:
    """A file without inputs, without outputs, or with different numbers of them, holds no samples."""
    with pytest.raises(InputError, match=r"golden\.npz"):
        GoldenSamples.decode(encode_arrays(arrays))


def test_choice_covers_rare_answers() -> None:
    """A class with one sample among a thousand is chosen, and the classes are as even as they can be."""
    classes = np.array([0] * 700 + [1] * 299 + [2])
    chosen = choose_samples({"logits": scores(classes.tolist())}, 33, np.random.default_rng(0))
    assert chosen == sorted(set(chosen))
    assert np.bincount(classes[chosen]).tolist() == [16, 16, 1]


def test_other_outputs_differ_by_their_values() -> None:
    """Where an output is no row of classes, each different array is an answer."""
    assert count_answers({"boxes": np.array([[[1.0]], [[2.0]], [[2.0]]])}) == 2


def test_synthetic_inputs_fit_their_specs_and_repeat() -> None:
    """Made-up inputs have the specs' dtypes and shapes, the same for the same seed, and are not all alike."""
    specs = (TensorSpec(name="image", dtype="float32", shape=("n", 3, 8, 8)), TensorSpec(name="ids", dtype="int64", shape=("n", "length")))
    one, two = (synthesize_inputs(specs, 40, np.random.default_rng(7)) for _ in range(2))
    assert one["image"].shape == (40, 3, 8, 8)
    assert one["image"].dtype == np.float32
    assert one["ids"].shape == (40, 1)
    assert set(np.unique(one["ids"])) <= {0, 1}
    np.testing.assert_array_equal(one["image"], two["image"])
    assert len({sample.tobytes() for sample in one["image"]}) == 40
    assert np.isfinite(one["image"]).all()


def test_a_row_of_quantised_scores_has_an_answer() -> None:
    """The highest of a row of int8 scores is the sample's answer, as of floats; a row of int64 numbers is no scores."""
    rows = np.array([[-128, 3, 127], [-120, 90, 126], [5, 4, 3]], np.int8)
    assert is_class_row(rows)
    assert count_answers({"scores": rows}) == 2
    assert not is_class_row(rows.astype(np.int64))


def test_quantised_inputs_are_spread_over_their_range() -> None:
    """Made-up int8 inputs of a quantised model are patterns that reach both halves of the range, not only 0 and 1."""
    spec = TensorSpec(name="x", dtype="int8", shape=("n", 20), quantization=Quantization(scale=(0.5,), zero_point=(3,)))
    array = synthesize_inputs([spec], 64, np.random.default_rng(0))["x"]
    assert array.dtype == np.int8
    assert array.min() < -64
    assert array.max() > 64


def test_a_gain_changes_the_unit_of_floats_alone() -> None:
    """The same seed gives the same patterns in another unit, and the same integers."""
    specs = (TensorSpec(name="image", dtype="float32", shape=("n", 4)), TensorSpec(name="ids", dtype="int64", shape=("n", 4)))
    one, many = (synthesize_inputs(specs, 8, np.random.default_rng(1), gain) for gain in (1.0, 64.0))
    np.testing.assert_allclose(many["image"], 64 * one["image"], atol=0.2)
    np.testing.assert_array_equal(many["ids"], one["ids"])
