"""The example that a user gives: an ``.npz`` with an array for each input, samples along the first axis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from edgekit.arrays import Arrays, dtype_of, read_arrays
from edgekit.errors import InputError
from edgekit.tensors import DType, TensorSpec
from edgekit_converters.torch_exporting import ExportRequest

_GIVE = "Give an array of numbers for each input, by its name, with samples along the first axis."


def read_example(request: ExportRequest) -> Arrays | None:
    """The arrays of the user's example; None where there is none.

    Raises:
        InputError: it cannot be read, or an array is no batch of numbers.
    """
    if request.example is None:
        return None
    arrays = read_arrays(Path(request.example))
    for name, array in arrays.items():
        if dtype_of(array) not in get_args(DType) or dtype_of(array) == "bytes" or array.ndim == 0 or len(array) == 0:
            raise InputError(request.example, f"its array {name!r} is {array.dtype}{list(array.shape)}, which is no batch of numbers", _GIVE)
    if not arrays:
        raise InputError(request.example, "it holds no arrays", _GIVE)
    return arrays


def match_example(request: ExportRequest, specs: Sequence[TensorSpec]) -> Arrays | None:
    """The user's example for a model that knows its inputs *specs*; None where there is none.

    Raises:
        InputError: an input has no array, or one of another dtype or shape.
    """
    example = read_example(request)
    for spec in specs if example is not None else ():
        check_array(request, example or {}, spec, "the model takes")
    return example


def check_array(request: ExportRequest, example: Arrays, spec: TensorSpec, says: str) -> None:
    """Refuse an *example* whose array for *spec* is missing, or has another dtype or shape; *says* names who wants it so."""
    array = example.get(spec.name)
    if (
        array is not None
        and dtype_of(array) == spec.dtype
        and TensorSpec(name="any", dtype="bool", shape=("n", *spec.shape[1:])).accepts(array.shape)
    ):
        return
    found = f"it has {', '.join(example)}" if array is None else f"its array {spec.name!r} is {array.dtype}{list(array.shape)}"
    raise InputError(request.example or "", f"{found}, and {says} {spec}", _GIVE)
