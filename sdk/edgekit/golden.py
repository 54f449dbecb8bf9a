"""Golden samples: recorded inputs with the source model's answers, by which every machine judges a variant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.arrays import Array, Arrays, decode_arrays, encode_arrays
from edgekit.errors import InputError
from edgekit.tensors import TensorSpec

MIN_SAMPLES = 32
MIN_ANSWERS = 3
_INPUT, _OUTPUT = "input:", "output:"
_QUANTISED = ("int8", "uint8", "int16")


@dataclass(frozen=True)
class GoldenSamples:
    """*n* samples: ``inputs[name]`` and ``outputs[name]`` have the samples along their first axis."""

    inputs: Arrays
    outputs: Arrays

    @property
    def n(self) -> int:
        """The number of samples."""
        return len(next(iter(self.inputs.values())))

    def encode(self) -> bytes:
        """The samples as the bytes of ``golden.npz``; equal samples give equal bytes."""
        named = {_INPUT + name: array for name, array in self.inputs.items()}
        return encode_arrays(named | {_OUTPUT + name: array for name, array in self.outputs.items()})

    @classmethod
    def decode(cls, data: bytes, subject: str | Path = "golden.npz") -> "GoldenSamples":
        """The samples in *data*, or InputError where it holds none or they differ in number."""
        arrays = decode_arrays(data, str(subject))
        inputs = {name.removeprefix(_INPUT): array for name, array in arrays.items() if name.startswith(_INPUT)}
        outputs = {name.removeprefix(_OUTPUT): array for name, array in arrays.items() if name.startswith(_OUTPUT)}
        lengths = {array.shape[:1] for array in (*inputs.values(), *outputs.values())}
        if not inputs or not outputs or len(lengths) != 1 or lengths & {(), (0,)}:
            raise InputError(subject, "it does not hold inputs and outputs with the same number of samples", "Make the bundle again.")
        return cls(inputs, outputs)

    def check(self, subject: Path) -> None:
        """Refuse samples of the model *subject* that are too few, or whose answers are too much alike, to tell a good model from a bad one."""
        if self.n < MIN_SAMPLES:
            raise InputError(subject, f"there are {self.n} golden samples, and at least {MIN_SAMPLES} are needed", "Give more samples.")
        if not self.is_telling:
            answers = count_answers(self.outputs)
            raise InputError(
                subject,
                f"the source model gives {answers} different answers to {self.n} samples, and {MIN_ANSWERS} are needed to tell it from a broken one",
                "Give --calibration with real samples of several classes.",
            )

    @property
    def is_telling(self) -> bool:
        """Whether there are as many different answers as are needed to tell the model from one that always gives the same."""
        return count_answers(self.outputs) >= min(MIN_ANSWERS, possible_answers(self.outputs))

    @property
    def class_rows(self) -> tuple[str, ...]:
        """The outputs that are rows of classes."""
        return tuple(filter(self.has_classes, self.outputs))

    def has_classes(self, name: str) -> bool:
        """Whether the output *name* is a row of classes. One of an input's own shape is that input rebuilt, as autoencoders do."""
        output = self.outputs[name]
        return is_class_row(output) and all(array.shape[1:] != output.shape[1:] for array in self.inputs.values())


def is_class_row(array: Array) -> bool:
    """Whether *array* is a row of scores for each sample: shape (n, classes), of floats or of quantised scores.

    Integers of 8 or 16 bits are taken for quantised scores; what counts or names something has more.
    """
    return array.ndim == 2 and array.shape[1] > 1 and (array.dtype.kind == "f" or array.dtype.name in _QUANTISED)


def find_answers(outputs: Mapping[str, Array]) -> list[bytes]:
    """For each sample, its answer: the highest class of each row of classes, else the output's own bytes."""
    columns = [array.argmax(axis=1)[:, None] if is_class_row(array) else array.reshape(len(array), -1) for array in outputs.values()]
    return [b"|".join(column[index].tobytes() for column in columns) for index in range(len(columns[0]))]


def count_answers(outputs: Mapping[str, Array]) -> int:
    """How many different answers there are among the samples."""
    return len(set(find_answers(outputs)))


def possible_answers(outputs: Mapping[str, Array]) -> int:
    """How many different answers a model with such outputs can give: two for a row of two classes, else many."""
    arrays = list(outputs.values())
    if len(arrays) == 1 and is_class_row(arrays[0]):
        return int(arrays[0].shape[1])
    return MIN_ANSWERS


def choose_samples(outputs: Mapping[str, Array], count: int, rng: np.random.Generator) -> list[int]:
    """Indices of *count* samples that cover as many different answers as there are, evenly, in ascending order."""
    groups: dict[bytes, list[int]] = {}
    answers = find_answers(outputs)
    for index in rng.permutation(len(answers)):
        groups.setdefault(answers[index], []).append(int(index))
    rounds = [group[turn] for turn in range(max(map(len, groups.values()))) for group in groups.values() if turn < len(group)]
    return sorted(rounds[:count])


def synthesize_inputs(specs: Sequence[TensorSpec], count: int, rng: np.random.Generator, gain: float = 1.0) -> Arrays:
    """Seeded inputs for a model of which no data is given: *count* samples for each of *specs*.

    A trained model answers pure noise with one class, so floats are sums of coarse and fine patterns at several
    amplitudes and offsets, rounded to 1/256 so that they compress. Integers are 0 or 1, which every vocabulary has, and
    quantised ones the same patterns spread over the range of their type. Floats are roughly in -2..2, times *gain*, which
    gives quantised ones more contrast.
    Other named axes than the first get the size 1.
    """
    return {spec.name: _synthesize(spec, count, rng, gain) for spec in specs}


def _synthesize(spec: TensorSpec, count: int, rng: np.random.Generator, gain: float) -> Array:
    shape = tuple(1 if isinstance(size, str) else size for size in spec.shape[1:])
    if spec.dtype == "bytes":
        raise InputError(f"input {spec.name!r}", "it takes strings, which cannot be made up", "Give --calibration with real samples.")
    if spec.quantization is not None and spec.dtype in _QUANTISED:
        return np.stack([_spread(_pattern(shape, rng) * gain, spec.dtype) for _ in range(count)])
    if not spec.dtype.startswith("float"):
        return rng.integers(0, 2, (count, *shape)).astype(spec.dtype)
    samples = np.empty((count, *shape), spec.dtype)
    for index in range(count):
        samples[index] = np.round(_pattern(shape, rng) * gain * 256) / 256
    return samples


def _spread(pattern: Array, dtype: str) -> Array:
    """*pattern*, which is roughly in -2..2, over the range of the integers *dtype*."""
    limits = np.iinfo(dtype)
    middle, quarter = (limits.max + limits.min + 1) / 2, (limits.max - limits.min + 1) / 4
    return np.clip(np.rint(middle + quarter * pattern), limits.min, limits.max).astype(dtype)


def _pattern(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Steps of random width along each axis, with a little noise, scaled and shifted: shape *shape*, roughly in -2..2."""
    field = np.zeros(shape)
    for axis, size in enumerate(shape):
        steps = rng.normal(size=int(rng.integers(1, size + 1)) if size else 1)
        along = steps[(np.arange(size) * len(steps)) // max(size, 1)]
        field = field + along.reshape([-1 if other == axis else 1 for other in range(len(shape))])
    field = field * rng.choice([0.25, 0.5, 1.0]) + rng.normal(scale=rng.choice([0.02, 0.2, 0.5]), size=shape)
    pattern: Array = np.clip(field + rng.choice([0.0, 0.5]), -4, 4)
    return pattern
