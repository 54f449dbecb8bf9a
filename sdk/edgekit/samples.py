"""The data that users bring: calibration and evaluation sets as ``.npz``, one array for each input, and ``labels``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.arrays import Array, Arrays, dtype_of, read_arrays, to_plain
from edgekit.errors import InputError
from edgekit.tensors import TensorSpec

LABELS = "labels"


@dataclass(frozen=True)
class Evaluation:
    """Labelled samples: ``inputs[name]`` and the integer *labels* have the samples along their first axis."""

    inputs: Arrays
    labels: Array


def read_samples(path: Path, specs: Sequence[TensorSpec]) -> Arrays:
    """The arrays of *path* for each of *specs*, with the samples along the first axis; other arrays are left alone.

    Raises:
        InputError: an input's array is missing, empty, of another dtype or shape, or holds NaN or infinity.
    """
    return _select(path, read_arrays(path), specs)


def read_evaluation(path: Path, specs: Sequence[TensorSpec]) -> Evaluation:
    """The samples of *path* with their ``labels``, one integer for each; raises as read_samples does."""
    arrays = read_arrays(path)
    inputs = _select(path, arrays, specs)
    count = len(inputs[specs[0].name])
    labels = arrays.get(LABELS)
    if labels is None:
        raise InputError(path, f"it has no array {LABELS!r}; it has {sorted(arrays)}", "Add one integer class for each sample.")
    if labels.dtype.kind not in "iu" or labels.shape != (count,):
        found = f"{labels.dtype}{list(labels.shape)}"
        raise InputError(path, f"field {LABELS!r} is {found}, and {count} integers are expected: int64[{count}]", "Give one class for each sample.")
    return Evaluation(inputs, labels)


def _select(path: Path, arrays: Arrays, specs: Sequence[TensorSpec]) -> Arrays:
    chosen = {spec.name: _check_array(path, arrays, spec) for spec in specs}
    counts = {name: len(array) for name, array in chosen.items()}
    if len(set(counts.values())) != 1:
        raise InputError(path, f"its arrays differ in their number of samples: {counts}", "Give each input the same number.")
    return chosen


def _check_array(path: Path, arrays: Arrays, spec: TensorSpec) -> Array:
    expected = f"{spec.dtype}[n, {', '.join(map(str, spec.shape[1:]))}]"
    if spec.name not in arrays:
        remedy = f"Name the array as the model's input: {_show_naming(spec, expected)}."
        raise InputError(path, f"it has no array {spec.name!r}; it has {sorted(arrays)}", remedy)
    array = to_plain(arrays[spec.name])
    field = f"field {spec.name!r} is {array.dtype}{list(array.shape)}, and {expected} is expected"
    if dtype_of(array) != spec.dtype:
        raise InputError(path, field, f"Convert it: {_write_conversion(array, spec)}.")
    if array.ndim == 0 or not _with_any_batch(spec).accepts(array.shape):
        raise InputError(path, field, "Reshape it, with the samples along the first axis.")
    if len(array) == 0:
        raise InputError(path, f"field {spec.name!r} holds no samples", "Give at least one.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(path, f"field {spec.name!r} holds NaN or infinite values", "Remove those samples.")
    return array


def _show_naming(spec: TensorSpec, expected: str) -> str:
    """What is *expected*, and how numpy takes a name that is no keyword of Python's, as TFLite's ``serving_default_x:0``."""
    return expected if spec.name.isidentifier() else f"{expected}, by numpy.savez(path, **{{{spec.name!r}: array}})"


def _write_conversion(array: Array, spec: TensorSpec) -> str:
    """The numpy that makes *array* fit *spec*: reals become integers by the model's own scale, for casting them would lose them."""
    quantised = spec.quantization
    if quantised is None or quantised.axis is not None or array.dtype.kind != "f":
        return f"array.astype('{spec.dtype}')"
    limits = np.iinfo(spec.dtype)
    real = f"(array / {quantised.scale[0]:.9g}).round() + {quantised.zero_point[0]}"
    return f"({real}).clip({limits.min}, {limits.max}).astype('{spec.dtype}')"


def _with_any_batch(spec: TensorSpec) -> TensorSpec:
    return TensorSpec(name=spec.name, dtype=spec.dtype, shape=("n", *spec.shape[1:]))
