"""Where the source's tensors are in a TFLite file: found by running both, since shapes alone may be ambiguous."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from edgekit.arrays import Array, Arrays
from edgekit.conversion import SourceModel
from edgekit.errors import ConversionError, InputError
from edgekit.golden import synthesize_inputs
from edgekit.runtimes.base import NativeSession
from edgekit.runtimes.borders import from_native, to_native
from edgekit.runtimes.litert import LiteRT
from edgekit.runtimes.registry import find_runtime
from edgekit.runtimes.sessions import open_session
from edgekit.tensors import Binding, TensorSpec
from edgekit_converters.calibrating import find_batch

Bindings = tuple[Binding, ...]

_LEAVE_OUT = "Leave this format out with --to."
_TRIALS = 4
#: The most axes of which every order is tried: 720 orders.
_MAX_RANK = 6
#: What an answer may deviate, as a share of its range, and still be the same answer in another order of axes.
_LEEWAY = 0.05


@dataclass(frozen=True)
class MadeFile:
    """A TFLite file that *tool* made of a source; *names* has the file's name for each of the source's tensors."""

    path: Path
    names: Mapping[str, str]
    tool: str


@dataclass(frozen=True)
class BoundFile:
    """A TFLite file, and where the source's tensors are in it."""

    path: Path
    inputs: Bindings
    outputs: Bindings


def bind_tensors(source: SourceModel, made: MadeFile) -> BoundFile:
    """*made* with the bindings of its inputs and outputs.

    Inputs have the source's order of axes. For each output all orders of axes that fit its shape are tried on seeded
    inputs, the same order first and channels last second, and the one with the source's answers is taken.

    Raises:
        ConversionError: the file cannot be run, lacks a tensor, or no order gives the source's answers.
    """
    native = _open(made.path)
    try:
        batch = _choose_batch(source, native)
        inputs = tuple(_bind_input(spec, _find(native.inputs, made, spec.name), batch, made.tool) for spec in source.inputs)
        expected, found = _answer(source, native, inputs, batch)
        natives = [_find(native.outputs, made, spec.name) for spec in source.outputs]
    finally:
        native.close()
    pairs = zip(source.outputs, natives, strict=True)
    outputs = tuple(_bind_output(spec, one, expected[spec.name], found[one.name], made.tool) for spec, one in pairs)
    return BoundFile(made.path, inputs, outputs)


def rebind_tensors(bound: BoundFile, path: Path) -> BoundFile:
    """The file at *path*, which was made of *bound* by changing its numbers.

    The quantizer gives tensors at the borders other names and keeps their places.
    """
    before, after = _list_borders(bound.path), _list_borders(path)
    inputs, outputs = (_follow(bindings, *places) for bindings, *places in zip((bound.inputs, bound.outputs), before, after, strict=True))
    return BoundFile(path, inputs, outputs)


def _follow(bindings: Bindings, before: tuple[TensorSpec, ...], after: tuple[TensorSpec, ...]) -> Bindings:
    follower = {old.name: new for old, new in zip(before, after, strict=True)}
    return tuple(replace(one, native=follower[one.native.name]) for one in bindings)


def _list_borders(path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    native = _open(path)
    try:
        return native.inputs, native.outputs
    finally:
        native.close()


def _open(path: Path) -> NativeSession:
    try:
        return LiteRT().open(path, 1)
    except InputError as error:
        raise ConversionError("tflite", f"LiteRT cannot run what was made of it: {error.problem}", _LEAVE_OUT) from error


def _find(specs: tuple[TensorSpec, ...], made: MadeFile, name: str) -> TensorSpec:
    for spec in specs:
        if spec.name == made.names[name]:
            return spec
    problem = f"what {made.tool} made has no tensor {made.names[name]!r}; it has {[spec.name for spec in specs]}"
    raise ConversionError("tflite", problem, "If nothing in the model uses it, export the model without it.")


def _choose_batch(source: SourceModel, native: NativeSession) -> int:
    """The batch to try: where the file says that its own may vary, more than one sample shows whether it does."""
    if all(spec.has_dynamic_batch for spec in (*source.inputs, *native.inputs)):
        return 2
    return find_batch(source)


def _bind_input(spec: TensorSpec, native: TensorSpec, batch: int, tool: str) -> Binding:
    if not native.accepts(_shape_sample(spec, batch)):
        raise ConversionError("tflite", f"{tool} gave the input {spec} the shape {list(native.shape)}", _LEAVE_OUT)
    return Binding(name=spec.name, native=native)


def _shape_sample(spec: TensorSpec, batch: int) -> tuple[int, ...]:
    """The shape of a sample that is made up for *spec*: other sizes that may vary are 1."""
    return tuple(size if isinstance(size, int) else 1 if axis else batch for axis, size in enumerate(spec.shape))


def _answer(source: SourceModel, native: NativeSession, inputs: Bindings, batch: int) -> tuple[dict[str, list[Array]], dict[str, list[Array]]]:
    """The answers of the source and of the file to the same seeded inputs, by name, one for each trial."""
    expected: dict[str, list[Array]] = {spec.name: [] for spec in source.outputs}
    found: dict[str, list[Array]] = {spec.name: [] for spec in native.outputs}
    by_native = {binding.native.name: binding for binding in inputs}
    runtime = find_runtime(source.artifact.format)
    try:
        with open_session(source.path, source.artifact, source.inputs, source.outputs, runtime) as original:
            for sample in _make_samples(source, batch):
                for name, answer in original.infer(sample).items():
                    expected[name].append(answer)
                given = [to_native(sample[by_native[spec.name].name], by_native[spec.name]) for spec in native.inputs]
                for spec, answer in zip(native.outputs, native.run(given), strict=True):
                    found[spec.name].append(answer)
    except InputError as error:
        raise ConversionError("tflite", f"it cannot be held against the source: {error.problem}") from error
    return expected, found


def _make_samples(source: SourceModel, batch: int) -> Iterator[Arrays]:
    """Inputs to try: the source's own samples where it has some, such as tokens that a language model reads, else seeded ones."""
    rng = np.random.default_rng(0)
    for trial in range(_TRIALS):
        if source.samples is not None:
            yield {name: _take_rows(array, trial * batch, batch) for name, array in source.samples.items()}
        else:
            yield {spec.name: synthesize_inputs([spec], batch, rng)[spec.name] if spec.shape else np.zeros((), spec.dtype) for spec in source.inputs}


def _take_rows(array: Array, start: int, count: int) -> Array:
    """*count* rows of *array* from *start* on, and from its beginning again where it ends."""
    return array[np.arange(start, start + count) % len(array)]


def _bind_output(spec: TensorSpec, native: TensorSpec, expected: list[Array], found: list[Array], tool: str) -> Binding:
    shape = expected[0].shape
    fitting = [order for order in _list_orders(len(shape)) if tuple(shape[axis] for axis in order) == found[0].shape]
    if not fitting:
        raise ConversionError("tflite", f"{tool} made the output {spec} into {native}", _LEAVE_OUT)
    same = tuple(range(len(shape)))
    bindings = [Binding(name=spec.name, native=native, permutation=None if order == same else order) for order in fitting]
    deviations = [_deviate(expected, [from_native(array, binding, spec) for array in found]) for binding in bindings]
    best = min(range(len(bindings)), key=deviations.__getitem__)
    if deviations[best] > _LEEWAY:
        problem = f"what {tool} made of it gives other answers: output {spec.name!r} is off by {deviations[best]:.2g} of its range"
        raise ConversionError("tflite", problem, _LEAVE_OUT)
    return bindings[best]


def _list_orders(rank: int) -> Iterator[tuple[int, ...]]:
    same = tuple(range(rank))
    yield same
    channels_last = (0, *range(2, rank), 1)
    if rank > 2:
        yield channels_last
    if rank <= _MAX_RANK:
        yield from (order for order in permutations(same) if order not in (same, channels_last))


def _deviate(expected: list[Array], found: list[Array]) -> float:
    """The largest deviation as a share of the expected range; infinity where one of the two is not finite alone."""
    wanted, given = np.stack(expected).astype(np.float64), np.stack(found).astype(np.float64)
    reach = float(np.ptp(wanted[np.isfinite(wanted)])) if np.isfinite(wanted).any() else 0.0
    same = (wanted == given) | (np.isnan(wanted) & np.isnan(given))
    difference = np.abs(np.where(same, 0.0, wanted - given))
    worst = float(difference.max(initial=0.0))
    return worst / (reach or 1.0) if math.isfinite(worst) else math.inf
