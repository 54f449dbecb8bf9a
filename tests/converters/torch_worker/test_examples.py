"""Examples that users give: read with care, and held against the inputs."""

from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.tensors import TensorSpec
from edgekit_converters.torch_exporting import ExportRequest
from edgekit_converters.torch_worker.examples import match_example, read_example

IDS = TensorSpec(name="ids", dtype="int64", shape=("batch", "length"))


@pytest.fixture
def ask(tmp_path: Path):
    """A request with the given arrays as its example."""

    def make(**arrays: np.ndarray) -> ExportRequest:
        np.savez(tmp_path / "example.npz", **arrays)
        return ExportRequest(kind="program", subject="m.pt2", source="m.pt2", directory="", example=str(tmp_path / "example.npz"))

    return make


def test_no_example_is_none() -> None:
    """Without an example there is nothing to match."""
    assert match_example(ExportRequest(kind="program", subject="m", source="m", directory=""), (IDS,)) is None


def test_an_example_fits_by_name_dtype_and_shape(ask) -> None:
    """An array of each input's name, dtype and shape is taken, with any number of samples."""
    example = match_example(ask(ids=np.zeros((5, 7), np.int64)), (IDS,))
    assert example is not None
    assert example["ids"].shape == (5, 7)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"tokens": np.zeros((2, 3), np.int64)}, "it has tokens.*takes ids: int64"),
        ({"ids": np.zeros((2, 3), np.int32)}, r"int32\[2, 3\]"),
        ({"ids": np.zeros(2, np.int64)}, r"int64\[2\]"),
    ],
)
def test_an_example_that_does_not_fit_is_refused(arrays, told, ask) -> None:
    """A missing array, another dtype and another rank are told with what the model takes."""
    with pytest.raises(InputError, match=told):
        match_example(ask(**arrays), (IDS,))


@pytest.mark.parametrize("array", [np.array(3), np.zeros((0, 2)), np.array(["text"]), np.zeros(2, np.complex64)])
def test_what_is_no_batch_of_numbers_is_refused(array, ask) -> None:
    """Single numbers, no samples, texts and complex numbers are no inputs to trace with."""
    with pytest.raises(InputError, match="no batch of numbers"):
        read_example(ask(x=array))


def test_an_empty_example_is_refused(ask) -> None:
    """A file without arrays says nothing."""
    with pytest.raises(InputError, match="no arrays"):
        read_example(ask())
