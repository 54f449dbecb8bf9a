"""One ``.npz`` file: an array for each feature or input, and ``labels``."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import numpy as np

from edgekit.arrays import Array, Arrays, dtype_of, is_text, map_arrays, to_plain
from edgekit.contract import Feature, Kind, Tokenize
from edgekit.datasets.base import BadSample, Dataset, Sample, Truth
from edgekit.datasets.labels import number_labels
from edgekit.errors import InputError
from edgekit.processing.base import Raw
from edgekit.tensors import TensorSpec

LABELS = "labels"
#: The most channels that a sound in an array has.
_MAX_CHANNELS = 16
_RAW_FORMS: dict[Kind, str] = {
    "image": "uint8 [n, rows, columns] or [n, rows, columns, 3]",
    "audio": "floats or int16 [n, samples] or [n, samples, channels]",
    "text": "strings [n]",
    "series": "figures [n, rows, columns]",
}


@dataclass(frozen=True)
class NpzSamples:
    """*arrays* by feature, or where *ready* by the model's input, and *truths*, all with the samples along their first axis."""

    path: Path
    keys: tuple[str, ...]
    arrays: Arrays
    truths: Array | None = None
    classes: tuple[str, ...] = ()
    ready: bool = False
    kind: str = "npz"

    @property
    def files(self) -> tuple[Path, ...]:
        """The one file."""
        return (self.path,)

    def read(self, key: str) -> Sample:
        """The row *key* of each array; BadSample where one holds NaN or infinity."""
        raws: dict[str, Raw] = {name: _take(array, int(key)) for name, array in self.arrays.items()}
        wrong = [name for name, raw in raws.items() if isinstance(raw, np.ndarray) and raw.dtype.kind == "f" and not np.isfinite(raw).all()]
        if wrong:
            raise BadSample(f"row {key}", f"{wrong[0]!r} holds NaN or infinite values", "Take it away.")
        return Sample(key, raws, self._find_truth(int(key)), self.ready)

    def _find_truth(self, row: int) -> Truth | None:
        if self.truths is None:
            return None
        truth = self.truths[row]
        if self.truths.ndim > 1:
            return np.asarray(truth)
        if is_text(self.truths):
            return _decode(truth)
        return int(truth) if self.truths.dtype.kind in "iu" else float(truth)

    def check(self, specs: Sequence[TensorSpec]) -> None:
        """Refuse arrays that the model is fed with and that do not fit its inputs *specs*; the message has the numpy that makes them fit."""
        for spec in specs:
            expected = f"{spec.dtype}[n, {', '.join(map(str, spec.shape[1:]))}]"
            if spec.name not in self.arrays:
                remedy = f"Name the array as the model's input: {_show_naming(spec, expected)}."
                raise InputError(self.path, f"it has no array {spec.name!r}; it has {sorted(self.arrays)}", remedy)
            array = to_plain(self.arrays[spec.name])
            field = f"field {spec.name!r} is {array.dtype}{list(array.shape)}, and {expected} is expected"
            if dtype_of(array) != spec.dtype:
                raise InputError(self.path, field, f"Convert it: {_write_conversion(array, spec)}.")
            if not TensorSpec(name=spec.name, dtype=spec.dtype, shape=("n", *spec.shape[1:])).accepts(array.shape):
                raise InputError(self.path, field, "Reshape it, with the samples along the first axis.")

    def find_file(self, key: str) -> Path | None:  # noqa: ARG002 - one file holds all
        """None: one file holds all samples."""
        return None

    def find_class(self, key: str) -> int | None:
        """The number of its class; None where there are no labels, or they are no classes."""
        truth = self._find_truth(int(key))
        return truth if isinstance(truth, int) else None


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


def is_ready(dataset: Dataset) -> TypeGuard[NpzSamples]:
    """Whether the samples of *dataset* are tensors that the model is fed with as they are."""
    return isinstance(dataset, NpzSamples) and dataset.ready


def open_npz(path: Path, features: Sequence[Feature] = (), labels: Sequence[str] = (), *, spoken: bool = False) -> NpzSamples:
    """The arrays of *path*: what callers give for each of *features*, or what the model is fed with.

    An array with the name of a feature that it can be (a picture as uint8, a text as a string, sounds and tables as figures) is what
    callers give. Where none is, arrays with the names of the inputs that the features feed are taken as they are, and without
    features all that have as many rows as there are labels, or as most of them have. Other arrays are left alone. Labels are
    numbers, names, figures or masks (n, rows, columns); where *spoken*, what was said.

    Raises:
        InputError: it is no ``.npz`` of plain arrays, it has neither what callers give nor what the model is fed with, or
            a label is none of *labels*.
    """
    arrays = map_arrays(path)
    truths = arrays.pop(LABELS, None)
    chosen, ready = _choose(path, arrays, features) if features else (_leave_others(arrays, truths), True)
    count = _count(path, chosen if truths is None else {**chosen, LABELS: truths})
    truths, classes = (truths, tuple(labels)) if truths is None or spoken else _number(path, truths, labels)
    return NpzSamples(path, tuple(map(str, range(count))), chosen, truths, classes, ready)


def _choose(path: Path, arrays: Arrays, features: Sequence[Feature]) -> tuple[Arrays, bool]:
    """The arrays that are samples, and whether a model is fed with them as they are."""
    raws = {feature.name: arrays[feature.name] for feature in features if feature.name in arrays and _is_raw(arrays[feature.name], feature)}
    if len(raws) == len(features):
        greys = {feature.name for feature in features if feature.kind == "image" and raws[feature.name].shape[3:] == (1,)}
        return {name: array[..., 0] if name in greys else array for name, array in raws.items()}, False
    feeds = [name for feature in features for name in _list_feeds(feature)]
    if feeds and all(name in arrays for name in feeds):
        return {name: arrays[name] for name in feeds}, True
    wanted = ", ".join(f"{feature.name!r} ({_RAW_FORMS[feature.kind]})" for feature in features)
    found = ", ".join(f"{name}: {array.dtype}{list(array.shape)}" for name, array in list(arrays.items())[:10])
    raise InputError(path, f"it has neither what callers give, {wanted}, nor arrays for each input, {feeds}; it has {found}", "Name the arrays so.")


def _leave_others(arrays: Arrays, truths: Array | None) -> Arrays:
    """Those of *arrays* that have a row for each sample: as many as *truths*, or as most have."""
    lengths = [len(array) for array in arrays.values() if array.ndim]
    wanted = len(truths) if truths is not None and truths.ndim else Counter(lengths).most_common(1)[0][0] if lengths else 0
    return {name: array for name, array in arrays.items() if array.ndim and len(array) == wanted}


def _list_feeds(feature: Feature) -> list[str]:
    fed = [name for step in feature.steps if isinstance(step, Tokenize) for name in step.feeds]
    return fed or [feature.feeds or feature.name]


def _is_raw(array: Array, feature: Feature) -> bool:
    """Whether *array* can hold what callers give for *feature*, a sample in each row."""
    if feature.kind == "image":
        return array.dtype == np.uint8 and (array.ndim == 3 or (array.ndim == 4 and array.shape[3] in (1, 3)))
    if feature.kind == "text":
        return is_text(array) and array.ndim == 1
    if feature.kind == "audio":
        return (array.dtype.kind == "f" or array.dtype == np.int16) and (array.ndim == 2 or (array.ndim == 3 and array.shape[2] <= _MAX_CHANNELS))
    return array.dtype.kind in "fiu" and array.ndim == 3


def _count(path: Path, arrays: Arrays) -> int:
    """The number of samples, which is the same in all *arrays* and not 0."""
    counts = {name: array.shape[0] if array.ndim else 0 for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        raise InputError(path, f"its arrays differ in their number of samples: {counts}", "Give each the same number.")
    if not any(counts.values()):
        raise InputError(path, "it holds no samples", "Give at least one.")
    return next(iter(counts.values()))


def _number(path: Path, truths: Array, labels: Sequence[str]) -> tuple[Array, tuple[str, ...]]:
    """*truths* as numbers of classes, figures or masks, with the names of classes."""
    if is_text(truths) and truths.ndim == 1:
        numbered = number_labels([_decode(item) for item in truths], labels, path)
        return np.asarray(numbered.values), numbered.classes
    if truths.dtype.kind not in "biuf":
        raise InputError(path, f"field {LABELS!r} is {truths.dtype}{list(truths.shape)}", "Give a class, a figure or a mask for each sample.")
    if truths.dtype.kind == "f" and not np.isfinite(truths).all():
        raise InputError(path, f"field {LABELS!r} holds NaN or infinite values", "Remove those samples.")
    beyond = (truths < 0) | (truths >= len(labels)) if labels and truths.dtype.kind in "iu" and truths.ndim == 1 else np.zeros(1, bool)
    if beyond.any():
        raise InputError(path, f"there is a label {truths[beyond].max()}, and the classes are 0 to {len(labels) - 1}", "Correct the labels.")
    return (truths.astype(np.int64) if truths.dtype.kind == "b" else truths), tuple(labels)


def _take(array: Array, row: int) -> Raw:
    return _decode(array[row]) if is_text(array) and array.ndim == 1 else np.array(array[row])


def _decode(item: object) -> str:
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)
