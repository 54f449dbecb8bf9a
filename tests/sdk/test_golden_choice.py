"""Which samples become golden, and how many are asked for."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from edgekit.arrays import Array, Arrays
from edgekit.artifacts import Artifact, FileEntry, bind_identically
from edgekit.conversion import SourceModel
from edgekit.errors import InputError
from edgekit.files import digest_bytes
from edgekit.golden_choice import GOLDEN_SAMPLES, POOL, count_synthetic, find_golden, record_golden
from edgekit.tensors import TensorSpec


def make_model(*shape: int) -> SourceModel:
    """A model with one input x and one output y of a shape for each sample."""
    x, y = (TensorSpec(name=name, dtype="float32", shape=("n", *shape)) for name in "xy")
    entry = FileEntry(path="model.onnx", digest=digest_bytes(b""), length=0)
    artifact = Artifact(format="onnx", files=(entry,), inputs=bind_identically((x,)), outputs=bind_identically((y,)))
    return SourceModel("onnx", (Path("model.onnx"),), Path(), artifact, (x,), (y,), {})


class Negating:
    """A model whose answer is the negative of what it is given; it counts the samples that it was asked for."""

    def __init__(self, model: SourceModel) -> None:
        self.inputs = model.inputs
        self.asked = 0

    def infer(self, inputs: Mapping[str, Array]) -> Arrays:
        self.asked += len(inputs["x"])
        return {"y": -inputs["x"]}


@pytest.mark.parametrize(("side", "least", "most"), [(4, 512, 512), (1000, 32, 63), (20_000, 32, 32)])
def test_large_inputs_are_made_up_in_smaller_numbers(side: int, least: int, most: int) -> None:
    """Of small inputs hundreds are made up to choose from, and of large ones no more than fit into a bounded memory."""
    assert least <= count_synthetic(make_model(3, side, side)) <= most


def test_rows_say_which_samples_are_golden() -> None:
    """The rows that are given are those of the pool whose inputs and answers were recorded, with every answer among them."""
    model = make_model(10)
    pool = {"x": np.eye(10, dtype=np.float32)[np.arange(3000) % 10] * np.arange(1, 3001, dtype=np.float32)[:, None]}
    session = Negating(model)
    golden, rows = record_golden(model, session, pool, seed=0)
    assert session.asked == POOL
    assert len(rows) == golden.n == GOLDEN_SAMPLES
    assert np.array_equal(golden.inputs["x"], pool["x"][rows])
    assert np.array_equal(golden.outputs["y"], -pool["x"][rows])
    assert rows == sorted(set(rows))


def test_large_answers_are_asked_for_in_smaller_numbers() -> None:
    """Where each answer has many values, fewer samples are asked, so that answers of a whole pool never fill the memory."""
    model = make_model(64, 64)
    wide = SourceModel(**{**vars(model), "outputs": (TensorSpec(name="y", dtype="float32", shape=("n", 1500, 1500)),)})
    session = Negating(wide)
    record_golden(wide, session, {"x": np.random.default_rng(0).normal(size=(600, 64, 64)).astype(np.float32)}, seed=0)
    assert 32 <= session.asked < 64


def test_samples_of_the_source_come_before_made_up_ones() -> None:
    """Without data those that the source brings are golden, and with neither made-up ones are; both are called synthetic."""
    model = make_model(5)
    brought = np.random.default_rng(0).normal(7, 1, (40, 5)).astype(np.float32)
    golden, _, origin = find_golden(SourceModel(**{**vars(model), "samples": {"x": brought}}), Negating(model), {}, seed=0)
    assert origin == "synthetic"
    assert golden.inputs["x"].min() > 2
    golden, _, origin = find_golden(model, Negating(model), {}, seed=0)
    assert (origin, golden.n) == ("synthetic", GOLDEN_SAMPLES)


def test_a_model_that_always_answers_the_same_has_no_golden_samples() -> None:
    """Answers that are all alike tell no model from another, and the refusal names the model."""

    class Deaf(Negating):
        def infer(self, inputs: Mapping[str, Array]) -> Arrays:
            return {"y": np.zeros_like(inputs["x"])}

    golden, _, _ = find_golden(make_model(5), Deaf(make_model(5)), {}, seed=0)
    with pytest.raises(InputError, match=r"deaf\.onnx: the source model gives 1 different answers"):
        golden.check(Path("deaf.onnx"))
