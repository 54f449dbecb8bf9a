"""Answers to a set of data: in order, read by the contract, and no more of them in memory than must be."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from edgekit.answering import KEPT_BYTES, answer_items
from edgekit.arrays import Array, Arrays
from edgekit.contract import Classify, Feature, Processing, Segment, Windows
from edgekit.datasets.streaming import Item, Prepared
from edgekit.processing.base import Scene
from edgekit.processing.pipeline import ContractPipeline, open_pipeline
from edgekit.tensors import TensorSpec

X, Y = (TensorSpec(name=name, dtype="float32", shape=("n", 4)) for name in "xy")


class Doubling:
    """A model that doubles what it is given, and notes how many samples it was asked for at once."""

    inputs = (X,)

    def __init__(self) -> None:
        self.asked: list[int] = []

    def infer(self, inputs: Mapping[str, Array]) -> Arrays:
        self.asked.append(len(inputs["x"]))
        return {"y": inputs["x"] * 2}


def prepare(sizes: list[int]) -> Prepared:
    """Items of *sizes* rows each, whose values are the numbers of the rows."""
    stops = np.cumsum(sizes).tolist()
    rows = np.repeat(np.arange(stops[-1], dtype=np.float32), 4).reshape(-1, 4)
    rows[:, 1] += 0.5
    return Prepared({"x": rows}, tuple(Item(f"item {index}", stop - size, stop) for index, (size, stop) in enumerate(zip(sizes, stops, strict=True))))


def open_windows(answer: Classify | None) -> ContractPipeline:
    feature = Feature(name="rows", kind="series", feeds="x", steps=(Windows(length=4, hop=1),))
    spec = TensorSpec(name="x", dtype="float32", shape=("n", 4, 1))
    return open_pipeline(Processing(inputs=(feature,), answer=answer), [spec], [Y], Path())


def test_outputs_and_readings_are_in_the_order_of_items() -> None:
    """Where each item is a sample there are all outputs, and a reading for each, asked in batches."""
    model = Doubling()
    answers = answer_items(model, prepare([1] * 150), open_windows(Classify(output="y", top=1)), "model", ("a", "b", "c", "d"))
    assert answers.outputs is not None
    assert answers.outputs["y"][:, 0].tolist() == [2.0 * row for row in range(150)]
    assert [reading["classes"].tolist() for reading in answers.readings] == [[1]] * 150
    assert model.asked == [64, 64, 22]
    assert answers.classes == ("a", "b", "c", "d")


def test_an_item_of_many_windows_is_read_as_one() -> None:
    """Rows of one item are answered and read together, whatever lies behind them; there are no outputs by item then."""
    answers = answer_items(Doubling(), prepare([100, 3, 1, 70]), open_windows(Classify(output="y", top=4)), "model")
    assert answers.outputs is None
    means = [np.arange(0, 100).mean(), 101, 103, np.arange(104, 174).mean()]
    assert [reading["scores"][1] for reading in answers.readings] == pytest.approx([2 * mean for mean in means])


def test_without_a_contract_there_are_outputs_alone() -> None:
    """Where nothing is read no reading is made up."""
    answers = answer_items(Doubling(), prepare([1, 1]), open_pipeline(Processing(), [X], [Y], Path()), "model")
    assert answers.readings == []
    assert answers.outputs is not None


class Segmenting:
    """A model that gives each cell of a large grid the class that its input says."""

    inputs = (X,)

    def infer(self, inputs: Mapping[str, Array]) -> Arrays:
        scores = np.zeros((len(inputs["x"]), 4, 256, 256), np.float32)
        for row, values in enumerate(inputs["x"]):
            scores[row, int(values[0]) % 4] = 1
        return {"y": scores}


def test_masks_of_a_large_set_do_not_fill_the_memory(watch_growth: Callable[[], Callable[[], int]]) -> None:
    """Four hundred pictures' masks and scores, half a gigabyte, are read right and leave the process's own memory as it was."""
    spec = TensorSpec(name="y", dtype="float32", shape=("n", 4, 256, 256))
    feature = Feature(name="image", kind="image", feeds="picture", steps=())
    pipeline = open_pipeline(
        Processing(inputs=(feature,), answer=Segment(output="y")),
        [TensorSpec(name="picture", dtype="uint8", shape=("n", "h", "w", 3))],
        [spec],
        Path(),
    )
    scene = Scene((256, 256), (256, 256), (1.0, 1.0), (0.0, 0.0))
    plain = prepare([1] * 400)
    prepared = Prepared(plain.inputs, tuple(Item(one.key, one.start, one.stop, None, scene) for one in plain.items))
    tell_growth = watch_growth()
    answers = answer_items(Segmenting(), prepared, pipeline, "model")
    grown = tell_growth()
    assert answers.outputs is None
    assert [int(reading["mask"][7, 9]) for reading in answers.readings] == [index % 4 for index in range(400)]
    assert grown < KEPT_BYTES + (192 << 20)
