"""A contract that is ready: the same code feeds a model on the workstation and on every device, and reads its answers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.arrays import Array, Arrays, dtype_of
from edgekit.contract import Feature, Processing, Step, Tokenize
from edgekit.errors import InputError
from edgekit.processing.base import Fed, Raw, Scene
from edgekit.processing.features import PreparedFeature, PreparedText, prepare_feature
from edgekit.processing.outputs import Reader
from edgekit.processing.readers import answer_specs, prepare_reader
from edgekit.processing.rehearsal import rehearse
from edgekit.tensors import TensorSpec

_CONTRACT = "Correct the processing contract; edgekit inspect shows the model's inputs."


@dataclass(frozen=True)
class ContractPipeline:
    """A contract for one model. *inputs* are what callers give and *answers* what they get; *specs* are the model's inputs."""

    contract: Processing
    inputs: tuple[TensorSpec, ...]
    answers: tuple[TensorSpec, ...]
    specs: tuple[TensorSpec, ...]
    features: tuple[PreparedFeature | PreparedText, ...]
    reader: Reader | None

    def feed(self, raws: Mapping[str, Raw]) -> Fed:
        """What the model is fed with for one item; raises as Pipeline.feed says."""
        self._check_names(raws)
        if not self.features:
            return Fed(_take_tensors(raws, self.specs))
        arrays: Arrays = {}
        scenes: list[Scene] = []
        for prepared in self.features:
            found, scene = prepared.feed(raws[prepared.feature.name])
            arrays |= found
            scenes += [] if scene is None else [scene]
        return Fed(_fit_all(arrays, self.specs), scenes[0] if len(scenes) == 1 else None)

    def read(self, outputs: Mapping[str, Array], fed: Fed) -> Arrays:
        """The answer in the caller's words; raises as Pipeline.read says."""
        return dict(outputs) if self.reader is None else self.reader(outputs, fed)

    def watch(self, raws: Mapping[str, Raw]) -> Iterator[tuple[Feature, Step | None, Array]]:
        """What becomes of one item step by step: for each feature what is there at first (with None) and after each step."""
        self._check_names(raws)
        for prepared in self.features:
            for step, values in prepared.watch(raws[prepared.feature.name]):
                yield prepared.feature, step, values

    def _check_names(self, raws: Mapping[str, Raw]) -> None:
        names = [spec.name for spec in self.inputs]
        for name in names:
            if name not in raws:
                raise InputError(f"input {name!r}", "it is missing", f"Give {', '.join(map(repr, names))}.")
        for name in raws:
            if name not in names:
                raise InputError(f"input {name!r}", "there is no such input", f"Give {', '.join(map(repr, names))}.")


def open_pipeline(contract: Processing, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], root: Path) -> ContractPipeline:
    """*contract* made ready for a model with *inputs* and *outputs*; the files that it names lie in the directory *root*.

    What the contract says is held against the model: each of its inputs must be fed by one feature, in its dtype and shape as
    far as these do not depend on the caller, and what is read must be among its outputs. A contract without inputs takes the
    model's own tensors.

    Raises:
        InputError: the contract does not fit the model, or cannot be carried out; the message names the field.
        DeviceError: a library that it needs is not installed here; the message names the extra to install.
    """
    features = tuple(prepare_feature(feature, root) for feature in contract.inputs)
    _check_feeds(contract, inputs)
    reader = prepare_reader(contract, outputs)
    for prepared in features:
        rehearse(prepared, inputs)
    raw = tuple(TensorSpec(name=feature.name, dtype="bytes", shape=(1,)) for feature in contract.inputs)
    return ContractPipeline(contract, raw or tuple(inputs), answer_specs(contract) or tuple(outputs), tuple(inputs), features, reader)


def list_feeds(feature: Feature) -> list[str]:
    """The model's inputs that *feature* becomes."""
    tokenized = [name for step in feature.steps if isinstance(step, Tokenize) for name in step.feeds]
    return tokenized if feature.kind == "text" else [feature.feeds] if feature.feeds is not None else []


def _check_feeds(contract: Processing, inputs: Sequence[TensorSpec]) -> None:
    names = {spec.name for spec in inputs}
    fed: set[str] = set()
    for feature in contract.inputs:
        for name in list_feeds(feature):
            if name not in names:
                found = f"it names {name!r}, and the model's inputs are {', '.join(sorted(names))}"
                raise InputError(f"input {feature.name!r}, feeds", found, _CONTRACT)
            if name in fed:
                raise InputError(f"input {feature.name!r}, feeds", f"another feature becomes {name!r} already", _CONTRACT)
            fed.add(name)
    if contract.inputs and names - fed:
        raise InputError("processing", f"nothing becomes the model's input {', '.join(sorted(names - fed))}", _CONTRACT)


def _take_tensors(raws: Mapping[str, Raw], specs: Sequence[TensorSpec]) -> Arrays:
    """What callers of a contract without inputs give: the model's own tensors."""
    arrays: Arrays = {}
    for spec in specs:
        raw = raws[spec.name]
        if not isinstance(raw, np.ndarray):
            raise InputError(f"input {spec.name!r}", f"it is a {type(raw).__name__}, and an array is expected", f"Give {spec}.")
        arrays[spec.name] = raw
    return _fit_all(arrays, specs)


def _fit_all(arrays: Arrays, specs: Sequence[TensorSpec]) -> Arrays:
    """*arrays*, each as one piece of memory, or InputError where one does not fit its spec or they differ in their number of samples."""
    fitted = {spec.name: _fit(arrays[spec.name], spec) for spec in specs}
    counts = {name: len(array) for name, array in fitted.items()}
    if len(set(counts.values())) > 1:
        raise InputError("inputs", f"what they become differs in its number of samples: {counts}", "Give sounds or tables of the same length.")
    return fitted


def _fit(array: Array, spec: TensorSpec) -> Array:
    if dtype_of(array) != spec.dtype or array.ndim == 0 or not is_sample(array.shape, spec):
        found = f"{dtype_of(array)}{list(array.shape)}"
        problem = f"it becomes {found}, and the model's input is {spec}"
        raise InputError(f"input {spec.name!r}", problem, "Give one of another size, or let the contract make it that size.")
    return np.ascontiguousarray(array)


def is_sample(shape: tuple[int, ...], spec: TensorSpec) -> bool:
    """Whether samples of *shape*, any number of them, fit *spec*."""
    return len(shape) == len(spec.shape) and spec.accepts((shape[0] if isinstance(spec.shape[0], str) else spec.shape[0], *shape[1:]))
