"""A model's outputs are found, checked and made real."""

import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.processing.outputs import find_length, find_output
from edgekit.tensors import Quantization, TensorSpec


def spec(shape: tuple[int | str, ...] = ("n", 3), dtype: str = "float32", **more: object) -> TensorSpec:
    return TensorSpec(name="y", dtype=dtype, shape=shape, **more)


def test_unknown_outputs_are_named_with_those_there_are() -> None:
    """The message has the contract's field, the name that it gives, and the model's own names."""
    with pytest.raises(InputError, match=r"answer\.output: it names 'z', and the model's outputs are y"):
        find_output("answer.output", "z", [spec()])


@pytest.mark.parametrize("wrong", [spec(dtype="bytes"), spec(shape=())])
def test_strings_and_single_values_are_refused(wrong: TensorSpec) -> None:
    """An output of strings, or without an axis for samples, cannot be read."""
    with pytest.raises(InputError, match=r"answer\.output: it names the output y.*numbers is expected"):
        find_output("answer.output", "y", [wrong])


def test_quantised_values_become_what_they_stand_for() -> None:
    """An output that the source itself has in int8 is read as real numbers."""
    quantised = spec(dtype="int8", quantization=Quantization(scale=(0.5,), zero_point=(-1,)))
    values = find_output("answer.output", "y", [quantised]).take({"y": np.array([[-1, 0, 3]], np.int8)})
    assert values.dtype == np.float32
    assert values.tolist() == [[0.0, 0.5, 2.0]]


@pytest.mark.filterwarnings("error")
def test_what_float32_does_not_hold_is_infinite() -> None:
    """A float64 beyond float32 becomes infinite without a warning."""
    assert find_output("answer.output", "y", [spec(("n", 1), "float64")]).take({"y": np.array([[1e300]])}).tolist() == [[np.inf]]


@pytest.mark.parametrize("found", [{}, {"y": np.zeros((1, 4))}, {"y": np.zeros((1, 3, 1))}, {"y": np.zeros(())}])
def test_other_shapes_than_declared_are_refused(found: dict[str, np.ndarray]) -> None:
    """An output that is absent, or has not the axes that the model declares, is refused with what is declared."""
    with pytest.raises(InputError, match=r"output 'y': it is .* and y: float32\[n, 3\] is declared"):
        find_output("answer.output", "y", [spec()]).take(found)


def test_any_number_of_samples_is_taken() -> None:
    """A model of batch one, asked for each of four windows, has four answers; where one is wanted they are refused."""
    output = find_output("answer.output", "y", [spec((1, 3))])
    assert output.take({"y": np.zeros((4, 3))}).shape == (4, 3)
    with pytest.raises(InputError, match="answers 4 samples"):
        output.take_one({"y": np.zeros((4, 3))})


def test_empty_outputs_say_nothing() -> None:
    """An output without a single number is refused where something is to be said of it."""
    output = find_output("answer.output", "y", [spec(("n", "c"))])
    with pytest.raises(InputError, match=r"output 'y': it is empty: its shape is \[1, 0\]"):
        output.take_full({"y": np.zeros((1, 0))})


@pytest.mark.parametrize(("shape", "length"), [(("n", 10), 10), (("n", 1, 1, 10), 10), (("n", 10, 1, 1), 10), (("n", "c"), "c"), (("n",), 1)])
def test_a_row_is_found_among_axes_of_one(shape: tuple[int | str, ...], length: int | str) -> None:
    """The length of a row of scores is found whatever axes of one lie around it."""
    assert find_length(find_output("answer.output", "y", [spec(shape)])) == length


@pytest.mark.parametrize("shape", [("n", 10, 2), ("n", "a", "b")])
def test_several_axes_are_no_row(shape: tuple[int | str, ...]) -> None:
    """Two axes that are, or may be, longer than one are no row of scores."""
    with pytest.raises(InputError, match="one row of numbers is expected"):
        find_length(find_output("answer.output", "y", [spec(shape)]))
