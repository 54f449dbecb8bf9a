"""Inputs to ask a model with, of which no data is given: made up, or drawn from an example."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from edgekit.arrays import Array, Arrays
from edgekit.errors import InputError
from edgekit.golden import synthesize_inputs
from edgekit.tensors import TensorSpec
from edgekit_converters.onnx_files import MAX_BORDER_ELEMENTS

#: Enough to choose golden samples among, few enough for a language model's logits to fit into memory.
COUNT = 64
#: The fewest that golden samples may be, which larger inputs have.
_FEWEST = 32
#: Where made-up samples are as good as these, only those that torch answers are drawn.
_FEW = 8
_MAX_BYTES = 256 << 20
#: The size of an axis that may vary and of which nothing is known.
TYPICAL_SIZE = 16
_SEED = 20


def is_telling(specs: Sequence[TensorSpec], example: Mapping[str, Array] | None) -> bool:
    """Whether samples drawn here say more than made-up ones: from an example, of indices, or of axes that want a size."""
    return example is not None or any(not spec.dtype.startswith("float") or set(map(type, spec.shape[1:])) - {int} for spec in specs)


def draw_samples(specs: Sequence[TensorSpec], example: Mapping[str, Array] | None) -> Arrays:
    """Seeded samples for each of *specs*, along the first axis.

    Integers come from the values that *example* has, since they may be indices of a table: with no example they are 0 or 1.
    Floats are patterns with the example's mean and spread. Other axes by name get the example's size, else TYPICAL_SIZE.

    Raises:
        InputError: one sample would have more elements than any model here may take.
    """
    rng = np.random.default_rng(_SEED)
    shapes = {spec.name: _find_shape(spec, None if example is None else example[spec.name]) for spec in specs}
    count = _count(shapes.values()) if is_telling(specs, example) else _FEW
    arrays: Arrays = {}
    for spec in specs:
        shape = (count, *shapes[spec.name])
        arrays[spec.name] = _make(spec, shape, rng) if example is None else _draw(example[spec.name], shape, rng)
    return arrays


def _find_shape(spec: TensorSpec, known: Array | None) -> tuple[int, ...]:
    """The shape of one sample of *spec*."""
    shape = known.shape[1:] if known is not None else tuple(TYPICAL_SIZE if isinstance(size, str) else size for size in spec.shape[1:])
    elements = math.prod(shape)
    if elements > MAX_BORDER_ELEMENTS:
        raise InputError(
            f"input {spec.name!r}", f"one sample of it has {elements} elements, and the limit is {MAX_BORDER_ELEMENTS}", "Fix smaller sizes."
        )
    return shape


def _count(shapes: Iterable[tuple[int, ...]]) -> int:
    each = sum(8 * math.prod(shape) for shape in shapes)
    return max(_FEWEST, min(COUNT, _MAX_BYTES // max(each, 1)))


def _make(spec: TensorSpec, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    fixed = TensorSpec(name=spec.name, dtype=spec.dtype, shape=("n", *shape[1:]))
    return synthesize_inputs([fixed], shape[0], rng)[spec.name]


def _draw(known: Array, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """An array of *shape* like *known*: its own rows first, then rows of its values, or of patterns as wide as they are."""
    rest = (max(0, shape[0] - len(known)), *shape[1:])
    if rest[0] == 0:
        return known[: shape[0]]
    if known.dtype.kind == "f":
        spec = TensorSpec(name="drawn", dtype="float32", shape=("n", *shape[1:]))
        made = known.mean() + _make(spec, rest, rng) * (known.std() or 1.0)
    else:
        made = rng.choice(known.ravel(), rest)
    return np.concatenate([known, made.astype(known.dtype)])


def fit_sizes(arrays: Mapping[str, Array], specs: Sequence[TensorSpec]) -> Arrays:
    """*arrays* with the sizes that *specs* fix: what is too long is cut, and what is too short is repeated."""
    return {spec.name: _fit(arrays[spec.name], spec) for spec in specs}


def _fit(array: Array, spec: TensorSpec) -> Array:
    for axis, size in enumerate(spec.shape):
        if axis and isinstance(size, int) and array.shape[axis] != size:
            array = np.take(array, np.arange(size) % array.shape[axis], axis=axis)
    return array
