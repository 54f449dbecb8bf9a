"""Every reading of the contract can be prepared, and its answer looks as is said."""

from typing import get_args

import numpy as np
import pytest

from edgekit.arrays import dtype_of
from edgekit.contract import Anomaly, Classify, Detect, Embed, Feature, Processing, Reading, Segment, Transcribe
from edgekit.processing.base import Fed, Scene
from edgekit.processing.readers import READERS, answer_specs, prepare_reader
from edgekit.tensors import TensorSpec

PICTURE = Feature(name="picture", kind="image", feeds="x")
FED = Fed({}, Scene(size=(8, 6), model_size=(4, 4), scale=(0.5, 2 / 3), offset=(0.0, 0.0)))
# For each reading the shape of one sample of its output.
READINGS: list[tuple[Reading, tuple[int, ...]]] = [
    (Classify(output="y"), (2,)),
    (Detect(boxes="y", layout="yolo", form="cxcywh", threshold=0.0), (6, 5)),
    (Segment(output="y"), (2, 4, 4)),
    (Embed(output="y"), (7,)),
    (Anomaly(output="y"), (3,)),
    (Anomaly(output="y", threshold=0.1), (3,)),
    (Transcribe(output="y"), (9, 2)),
]


def test_every_reading_has_its_reader() -> None:
    """Whatever a contract may say of its answer can be carried out."""
    assert set(READERS) == set(get_args(Reading))


@pytest.mark.parametrize(("reading", "shape"), READINGS, ids=lambda value: type(value).__name__)
def test_answers_look_as_is_said(reading: Reading, shape: tuple[int, ...]) -> None:
    """What is read has the names, order, dtypes and shapes of answer_specs, and is finite where the specs say so."""
    contract = Processing(inputs=(PICTURE,), answer=reading, labels=("a", "b") if not isinstance(reading, Embed | Anomaly) else ())
    read = prepare_reader(contract, [TensorSpec(name="y", dtype="float32", shape=("n", *shape))])
    assert read is not None
    answer = read({"y": np.random.default_rng(1).random((1, *shape), np.float32)}, FED)
    specs = answer_specs(contract)
    assert [spec.name for spec in specs] == list(answer)
    for spec in specs:
        assert (spec.dtype, spec.accepts(answer[spec.name].shape)) == (dtype_of(answer[spec.name]), True)


def test_without_a_reading_there_is_no_reader() -> None:
    """A contract that leaves the tensors as they are has nothing to prepare, and says nothing of its answer."""
    assert prepare_reader(Processing(), []) is None
    assert answer_specs(Processing()) == ()
