"""Inputs to ask a model with, of which no data is given: made up, or drawn from an example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgekit.arrays import Array, Arrays
from edgekit.golden import synthesize_inputs
from edgekit.tensors import TensorSpec

#: Enough to choose golden samples among, few enough for a language model's logits to fit into memory.
COUNT = 64
#: The size of an axis that may vary and of which nothing is known.
TYPICAL_SIZE = 16
_SEED = 20


def draw_samples(specs: Sequence[TensorSpec], example: Mapping[str, Array] | None) -> Arrays:
    """COUNT seeded samples for each of *specs*, samples along the first axis; a batch that is fixed is filled up.

    Integers come from the values that *example* has, since they may be indices of a table: with no example they are 0 or 1.
    Floats are patterns with the example's mean and spread. Other axes by name get the example's size, else TYPICAL_SIZE.
    """
    rng = np.random.default_rng(_SEED)
    arrays: Arrays = {}
    for spec in specs:
        known = None if example is None else example[spec.name]
        sizes = known.shape[1:] if known is not None else [TYPICAL_SIZE if isinstance(size, str) else size for size in spec.shape[1:]]
        fixed = TensorSpec(name=spec.name, dtype=spec.dtype, shape=("n", *sizes))
        arrays |= synthesize_inputs([fixed], COUNT, rng) if known is None else {spec.name: _draw(known, (COUNT, *sizes), rng)}
    return arrays


def _draw(known: Array, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """An array of *shape* like *known*: its own rows first, then rows of its values or of patterns as wide as they are."""
    rest = (max(0, shape[0] - len(known)), *shape[1:])
    if known.dtype.kind == "f":
        spec = TensorSpec(name="drawn", dtype="float32", shape=("n", *shape[1:]))
        patterns = synthesize_inputs([spec], rest[0], rng)["drawn"] if rest[0] else np.zeros(rest)
        made = known.mean() + patterns * (known.std() or 1.0)
    else:
        made = rng.choice(known.ravel(), rest)
    drawn: Array = np.concatenate([known[: shape[0]], made.astype(known.dtype)])
    return drawn


def fit_sizes(arrays: Mapping[str, Array], specs: Sequence[TensorSpec]) -> Arrays:
    """*arrays* with the sizes that *specs* fix: what is too long is cut, and what is too short is repeated."""
    return {spec.name: _fit(arrays[spec.name], spec) for spec in specs}


def _fit(array: Array, spec: TensorSpec) -> Array:
    for axis, size in enumerate(spec.shape):
        if axis and isinstance(size, int) and array.shape[axis] != size:
            array = np.take(array, np.arange(size) % array.shape[axis], axis=axis)
    return array
