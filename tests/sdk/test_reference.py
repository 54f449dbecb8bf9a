"""The source model and its answers: what can be held against golden samples at all."""

from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit.reference import check_batch
from edgekit.tensors import TensorSpec


@pytest.mark.parametrize(
    ("shapes", "told"),
    [
        ((("n", 9), ()), "has no axis for samples"),
        ((("n", 9), (4, 4)), "different numbers of samples"),
        (((2, 9), (4, 4)), "different numbers of samples"),
    ],
)
def test_inputs_without_a_common_batch_are_refused(shapes: tuple[tuple[int | str, ...], ...], told: str) -> None:
    """Samples lie along the first axis of every input, so one that has no such axis is named before anything is run."""
    with pytest.raises(InputError, match=told):
        check_batch(Path("model.onnx"), [TensorSpec(name=f"in{index}", dtype="float32", shape=shape) for index, shape in enumerate(shapes)])


def test_a_batch_of_one_goes_with_any(tmp_path: Path) -> None:
    """An input with a batch of one stands beside others of any batch: samples are then run one by one."""
    check_batch(tmp_path, [TensorSpec(name=name, dtype="float32", shape=(size, 2)) for name, size in (("a", "n"), ("b", 1), ("c", "m"))])
