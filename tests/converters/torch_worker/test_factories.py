"""Factories: what they are called with, and what of theirs goes wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.tensors import TensorSpec
from edgekit_converters.torch_exporting import ExportRequest

pytestmark = [pytest.mark.heavy, pytest.mark.torch]

SOURCE = """
import torch

class Sum(torch.nn.Module):
    def forward(self, left, right, scale=2):
        return (left + right) * scale

class Many(torch.nn.Module):
    def forward(self, *tensors):
        return tensors[0]

ready = Sum()

def broken():
    raise ValueError("no weights here")

def leaves():
    raise SystemExit(3)

def number():
    return 3

number_itself = 3
"""


def spec(name: str, *shape: int | str, dtype: Any = "float32") -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape)


LEFT, RIGHT = spec("left", "batch", 4), spec("right", "batch", 4)


@pytest.fixture
def load(tmp_path: Path, torch):
    """The model that a factory of SOURCE makes, called as described."""
    from edgekit_converters.torch_worker.factories import load_factory

    (tmp_path / "sums.py").write_text(SOURCE)

    def load_model(factory: str, inputs: tuple[TensorSpec, ...] = (), arrays: dict[str, np.ndarray] | None = None) -> Any:
        if arrays is not None:
            np.savez(tmp_path / "example.npz", **arrays)
        example = None if arrays is None else str(tmp_path / "example.npz")
        request = ExportRequest(
            kind="factory", subject=factory, source=factory, directory=str(tmp_path), search=(str(tmp_path),), inputs=inputs, example=example
        )
        return load_factory(request)

    return load_model


def ask(model: Any, torch: Any) -> Any:
    return model.call(model.module, [torch.from_numpy(model.samples[one.name]) for one in model.inputs])


def test_inputs_are_given_by_the_names_of_parameters(load, torch) -> None:
    """Where all names are parameters', their order does not matter, and others keep their defaults."""
    model = load("sums:Sum", (RIGHT, LEFT))
    assert [one.name for one in model.inputs] == ["right", "left"]
    torch.testing.assert_close(ask(model, torch), 2 * torch.from_numpy(model.samples["left"] + model.samples["right"]))


def test_other_names_are_given_in_their_order(load, torch) -> None:
    """Names that are no parameters' are the user's own, and inputs are given in their order."""
    model = load("sums:Sum", (spec("a", "batch", 4), spec("b", "batch", 4)))
    assert [one.name for one in model.inputs] == ["a", "b"]
    assert ask(model, torch).shape == (len(model.samples["a"]), 4)
    assert [one.name for one in load("sums:Many", (spec("a", "batch", 4), spec("b", "batch", 4))).inputs] == ["a", "b"]


def test_the_batch_is_shared(load) -> None:
    """First axes of different names are one batch, since samples lie along all of them."""
    model = load("sums:Sum", (spec("left", "n", 4), spec("right", "m", 4)))
    assert [one.shape for one in model.inputs] == [("batch", 4), ("batch", 4)]


def test_an_example_describes_inputs(load) -> None:
    """Arrays name the inputs, whose first axis may vary; numpy's own names are replaced by the parameters'."""
    rows = np.ones((3, 4), np.float32)
    assert [str(one) for one in load("sums:Sum", arrays={"left": rows, "right": rows}).inputs] == [
        "left: float32[batch, 4]",
        "right: float32[batch, 4]",
    ]
    assert [one.name for one in load("sums:Sum", arrays={"arr_0": rows, "arr_1": rows}).inputs] == ["left", "right"]
    both = load("sums:Sum", (spec("left", "batch", "width"), spec("right", "batch", "width")), arrays={"left": rows, "right": rows})
    assert both.inputs[0].shape == ("batch", "width")
    assert both.samples["left"].shape[1:] == (4,)


def test_a_module_that_is_there_is_taken(load) -> None:
    """What is named may also be a model itself; it is put into eval mode."""
    assert load("sums:ready", (LEFT, RIGHT)).module.training is False


@pytest.mark.parametrize(
    ("factory", "inputs", "told"),
    [
        ("sums:broken", (LEFT,), r"ValueError: no weights here \(sums\.py, line 15\)"),
        ("sums:leaves", (LEFT,), "SystemExit: 3"),
        ("sums:number", (LEFT,), "gave a int, and a torch.nn.Module is expected"),
        ("sums:number_itself", (LEFT,), "cannot be called"),
        ("sums:Sum", (LEFT, RIGHT, spec("third", "batch"), spec("fourth", "batch")), "takes 3 inputs, and 4 are described"),
        ("sums:Sum", (spec("left", "batch", dtype="bfloat16"),), "numpy does not have"),
    ],
)
def test_what_goes_wrong_is_told(factory, inputs, told, load) -> None:
    """The factory's own error with its line, what it gave instead of a model, and what does not fit are told."""
    with pytest.raises(InputError, match=told):
        load(factory, inputs)


def test_examples_and_descriptions_agree(load) -> None:
    """An array that --input does not describe, or describes otherwise, is refused."""
    rows = np.ones((3, 4), np.float32)
    with pytest.raises(InputError, match="'right' is no input"):
        load("sums:Sum", (LEFT,), arrays={"left": rows, "right": rows})
    with pytest.raises(InputError, match="--input describes left"):
        load("sums:Sum", (LEFT,), arrays={"left": rows[:, :2]})
