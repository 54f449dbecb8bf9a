"""An inference session: whatever variant serves, callers see the source model's tensors."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from edgekit.arrays import Array, Arrays, dtype_of
from edgekit.artifacts import Artifact
from edgekit.bundles import VerifiedBundle
from edgekit.errors import InputError
from edgekit.manifest import Variant
from edgekit.runtimes.base import NativeSession, Runtime
from edgekit.runtimes.borders import from_native, to_native
from edgekit.tensors import Binding, TensorSpec


class InferenceSession:
    """A native session with the source model's names, order, dtypes, layout and batch.

    *inputs* and *outputs* are the source model's specs. Inputs are checked against them; then each is quantised,
    transposed and split into the batches that the file takes, and the outputs go the same way back.
    """

    def __init__(
        self,
        native: NativeSession,
        artifact: Artifact,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self._native = native
        self._bound_inputs = _join(artifact.inputs, inputs, native.inputs)
        self._bound_outputs = _join(artifact.outputs, outputs, native.outputs)
        self._batch = _native_batch(self._bound_inputs)

    def infer(self, inputs: Mapping[str, Array]) -> Arrays:
        """The model's outputs by name, for arrays of the shapes and dtypes that *inputs* of this session state.

        Raises:
            InputError: an input is missing, unknown, or of another dtype or shape; nothing was run.
        """
        check_inputs(inputs, self.inputs)
        if self._batch is None:
            return self._run(inputs)
        total = len(inputs[self.inputs[0].name])
        parts = [self._run_part(inputs, start, total) for start in range(0, total, self._batch)]
        return {spec.name: np.concatenate([part[spec.name] for part in parts]) for spec in self.outputs}

    def close(self) -> None:
        """Give the model's memory back."""
        self._native.close()

    def __enter__(self) -> "InferenceSession":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _run_part(self, inputs: Mapping[str, Array], start: int, total: int) -> Arrays:
        assert self._batch is not None
        count = min(self._batch, total - start)
        padding = self._batch - count
        part = {name: _take(array, start, count, padding) for name, array in inputs.items()}
        return {name: array[:count] for name, array in self._run(part).items()}

    def _run(self, inputs: Mapping[str, Array]) -> Arrays:
        given: list[Array] = [np.empty(0)] * len(self._bound_inputs)
        for index, spec, binding in self._bound_inputs:
            given[index] = to_native(inputs[spec.name], binding)
        answers = self._native.run(given)
        return {spec.name: from_native(answers[index], binding, spec) for index, spec, binding in self._bound_outputs}


_Bound = list[tuple[int, TensorSpec, Binding]]


def _join(bindings: tuple[Binding, ...], specs: tuple[TensorSpec, ...], natives: tuple[TensorSpec, ...]) -> _Bound:
    """For each of *specs*, the index of its tensor in the file, itself, and its binding."""
    positions = {native.name: index for index, native in enumerate(natives)}
    by_name = {binding.name: binding for binding in bindings}
    try:
        return [(positions[by_name[spec.name].native.name], spec, by_name[spec.name]) for spec in specs]
    except KeyError as error:
        raise InputError("model file", f"it has no tensor {error}; it has {sorted(positions)}", "Make the bundle again.") from error


def _native_batch(bound: _Bound) -> int | None:
    """The fixed batch that the file takes where callers may send any; None where both agree."""
    for _, spec, binding in bound:
        first = binding.native.shape[0] if binding.native.shape else None
        if spec.has_dynamic_batch and isinstance(first, int) and (binding.permutation or (0,))[0] == 0:
            return first
    return None


def _take(array: Array, start: int, count: int, padding: int) -> Array:
    part = array[start : start + count]
    return np.concatenate([part, np.repeat(part[-1:], padding, axis=0)]) if padding else part


def check_inputs(inputs: Mapping[str, Array], specs: tuple[TensorSpec, ...]) -> None:
    """Refuse inputs whose names, dtypes, shapes or named sizes are not those of *specs*."""
    sizes: dict[str, int] = {}
    expected = "; ".join(map(str, specs))
    unknown = sorted(set(inputs) - {spec.name for spec in specs})
    if unknown:
        raise InputError(f"input {unknown[0]!r}", "the model has no such input", f"It takes {expected}.")
    for spec in specs:
        if spec.name not in inputs:
            raise InputError(f"input {spec.name!r}", "it is missing", f"The model takes {expected}.")
        _check_input(inputs[spec.name], spec, sizes)


def check_outputs(wanted: Iterable[str], specs: Sequence[TensorSpec]) -> None:
    """Refuse the name of an output that the model does not have."""
    known = [spec.name for spec in specs]
    for name in wanted:
        if name not in known:
            raise InputError(f"output {name!r}", "the model has no such output", f"It gives {', '.join(known)}.")


def _check_input(array: Array, spec: TensorSpec, sizes: dict[str, int]) -> None:
    if dtype_of(array) != spec.dtype:
        raise InputError(
            f"input {spec.name!r}", f"its dtype is {array.dtype}, and {spec.dtype} is expected", f"Convert it: array.astype({spec.dtype!r})."
        )
    if not spec.accepts(array.shape):
        raise InputError(f"input {spec.name!r}", f"its shape is {list(array.shape)}, and {list(spec.shape)} is expected", "Reshape it.")
    if 0 in array.shape and 0 not in spec.shape:
        raise InputError(f"input {spec.name!r}", f"it is empty: its shape is {list(array.shape)}", "Send at least one sample.")
    for size, given in zip(spec.shape, array.shape, strict=True):
        if isinstance(size, str) and sizes.setdefault(size, given) != given:
            raise InputError(f"input {spec.name!r}", f"its size {given} for {size!r} differs from another input's {sizes[size]}", "Make them equal.")


def open_session(
    path: Path,
    artifact: Artifact,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    runtime: Runtime,
    threads: int = 1,
) -> InferenceSession:
    """Load *artifact*, whose first file is at *path*, in *runtime*, to be seen as a model with *inputs* and *outputs*."""
    native = runtime.open(path, threads)
    try:
        return InferenceSession(native, artifact, inputs, outputs)
    except BaseException:
        native.close()
        raise


def open_variant(bundle: VerifiedBundle, variant: Variant, runtime: Runtime, threads: int = 1) -> InferenceSession:
    """Load *variant* of *bundle* in *runtime*, to be seen as the bundle's model."""
    return open_session(bundle.path_of(variant), variant, bundle.manifest.inputs, bundle.manifest.outputs, runtime, threads)
