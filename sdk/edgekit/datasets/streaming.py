"""Samples become what a model is fed with, one after the other, on disk: memory holds one of them, whatever their number."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from edgekit.arrays import Array, Arrays, dtype_of, is_text, to_plain
from edgekit.datasets.base import BadSample, Dataset, Sample, Truth
from edgekit.datasets.npz import is_ready
from edgekit.errors import InputError
from edgekit.files import naming_disk_errors
from edgekit.processing.base import Fed, Pipeline, Scene
from edgekit.records import Record
from edgekit.tensors import TensorSpec

#: Called with what is being done, how many steps are done, and how many there are.
Progress = Callable[[str, int, int], None]

#: The share of samples that may be unusable, and the number that always may be, but never more than a third.
BAD_SHARE, BAD_ALWAYS, BAD_MOST = 0.05, 2, 1 / 3
_TOLD = 10


@dataclass(frozen=True)
class Item:
    """One sample of a set: the rows of the inputs from *start* to *stop* are what it became, *scene* and *truth* are for judging the answer."""

    key: str
    start: int
    stop: int
    truth: Truth | None = None
    scene: Scene | None = None


class Skip(Record, frozen=True, kw_only=True):
    """A sample that could not be used, and why."""

    key: str
    problem: str


@dataclass(frozen=True)
class Prepared:
    """What a model is fed with: ``inputs[name]`` has the rows of all *items* along its first axis, mapped from disk."""

    inputs: Arrays
    items: tuple[Item, ...]
    skipped: tuple[Skip, ...] = ()

    @property
    def n(self) -> int:
        """The number of rows: one for each item, or one for each of its windows."""
        return self.items[-1].stop

    @property
    def truths(self) -> tuple[Truth | None, ...]:
        """What is true of each item, in order."""
        return tuple(item.truth for item in self.items)

    def find_fed(self, index: int) -> Fed:
        """What the model is fed with for item *index*."""
        item = self.items[index]
        return Fed({name: array[item.start : item.stop] for name, array in self.inputs.items()}, item.scene)


def feed_samples(dataset: Dataset, keys: Sequence[str], pipeline: Pipeline, directory: Path, progress: Progress | None = None) -> Prepared:
    """The samples *keys* of *dataset* as *pipeline* makes them, in files in *directory*, which must outlive what is given.

    A sample that cannot be used is skipped and noted. At most count_allowed(len(keys)) may be.

    Raises:
        InputError: too many samples cannot be used (the message names them), or they become tensors of different shapes.
        DeviceError: a library is missing, or the disk is full.
    """
    if is_ready(dataset):
        # One fault of an array is told once, and not of each of its rows.
        dataset.check(pipeline.specs)
    with naming_disk_errors(directory), contextlib.ExitStack() as stack:
        files = [stack.enter_context((directory / f"input-{place}.bin").open("w+b")) for place, _ in enumerate(pipeline.specs)]
        columns = [_Column(spec.name, file) for spec, file in zip(pipeline.specs, files, strict=True)]
        collected = _Collected(columns, _Masks(stack.enter_context((directory / "masks.bin").open("w+b"))))
        skipped: list[Skip] = []
        for done, key in enumerate(keys):
            if progress is not None:
                progress(f"reading {dataset.path.name}", done, len(keys))
            try:
                sample, fed = _feed(dataset, key, pipeline)
            except InputError as error:
                skipped.append(Skip(key=key, problem=error.problem))
                check_skipped(dataset.path, skipped, len(keys))
            else:
                collected.add(sample, fed)
        return collected.finish(dataset.path, skipped)


def count_allowed(count: int) -> int:
    """How many of *count* samples may be unusable: one in twenty, two in any case, and never more than a third."""
    return min(int(count * BAD_MOST), max(BAD_ALWAYS, int(count * BAD_SHARE)))


def check_skipped(path: Path, skipped: Sequence[Skip], count: int) -> None:
    """Refuse to go on where more samples were skipped than count_allowed allows of *count*; the message has the first of them."""
    if len(skipped) > count_allowed(count):
        told = "; ".join(f"{skip.key}: {skip.problem}" for skip in skipped[:_TOLD])
        problem = f"{len(skipped)} of its samples cannot be used, and of {count} no more than {count_allowed(count)} may be so: {told}"
        raise InputError(path, problem, "Correct them, or take them away; edgekit data check names them all.")


def _feed(dataset: Dataset, key: str, pipeline: Pipeline) -> tuple[Sample, Fed]:
    sample = dataset.read(key)
    if sample.ready:
        return sample, Fed({spec.name: _take_ready(sample, spec) for spec in pipeline.specs})
    return sample, pipeline.feed(sample.raws)


def _take_ready(sample: Sample, spec: TensorSpec) -> Array:
    """What *sample* has for the input *spec*, as a batch of one; BadSample where it does not fit."""
    raw = sample.raws.get(spec.name)
    array = to_plain(np.array([raw])) if isinstance(raw, str | bytes) else None if raw is None else raw[None]
    if array is None:
        raise BadSample(sample.key, f"it has nothing for the input {spec.name!r}; it has {sorted(sample.raws)}", f"Name an array so: {spec}.")
    batch = TensorSpec(name=spec.name, dtype=spec.dtype, shape=("n", *spec.shape[1:]))
    if dtype_of(array) != spec.dtype or not batch.accepts(array.shape):
        found = f"{array.dtype}{list(array.shape[1:])}"
        raise BadSample(sample.key, f"{spec.name!r} is {found}, and {spec} is expected", "Convert it, or say in a contract what becomes of it.")
    return array


class _Collected:
    """The items so far, with their rows in *columns* and their masks in *masks*."""

    def __init__(self, columns: "Sequence[_Column]", masks: "_Masks") -> None:
        self._columns, self._masks = columns, masks
        self._items: list[Item] = []

    def add(self, sample: Sample, fed: Fed) -> None:
        for column in self._columns:
            column.append(sample.key, fed.inputs[column.name])
        start = self._items[-1].stop if self._items else 0
        truth = self._masks.keep(len(self._items), sample.truth)
        self._items.append(Item(sample.key, start, start + fed.n, truth, fed.scene))

    def finish(self, path: Path, skipped: Sequence[Skip]) -> Prepared:
        if not self._items:
            raise InputError(path, "none of its samples was read", "Give at least one that can be used.")
        masks = self._masks.map()
        items = tuple(replace(item, truth=masks.get(place, item.truth)) for place, item in enumerate(self._items))
        return Prepared({column.name: column.map() for column in self._columns}, items, tuple(skipped))


class _Column:
    """The rows of one input, one behind the other in *file*. Strings, which have no width of their own, stay in memory."""

    def __init__(self, name: str, file: IO[bytes]) -> None:
        self.name, self._file = name, file
        self._texts: list[Array] = []
        self._form: tuple[np.dtype[Any], tuple[int, ...]] | None = None
        self._rows = 0

    def append(self, key: str, array: Array) -> None:
        """Write *array*, rows along its first axis; InputError where its rows are of another kind than those before."""
        if is_text(array):
            self._texts.append(to_plain(array))
            return
        form = (array.dtype, array.shape[1:])
        if self._form not in (None, form):
            known = "" if self._form is None else f"{self._form[0]}{list(self._form[1])}"
            problem = f"it becomes {array.dtype}{list(array.shape[1:])} for {self.name!r}, and those before it {known}"
            raise InputError(key, problem, "Let the contract make all of one size: by resize, fit, windows, or a length of tokenize.")
        self._form = form
        self._file.write(np.ascontiguousarray(array).data)
        self._rows += len(array)

    def map(self) -> Array:
        """All rows."""
        if self._form is None:
            return np.concatenate(self._texts)
        self._file.flush()
        dtype, shape = self._form
        # numpy maps no file of no bytes, as rows of no values are.
        return np.memmap(self._file, dtype, "r", shape=(self._rows, *shape)) if self._file.tell() else np.empty((self._rows, *shape), dtype)


class _Masks:
    """Truths that are arrays, one behind the other in *file*: a mask of each picture would fill the memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._places: dict[int, tuple[int, Array]] = {}

    def keep(self, item: int, truth: Truth | None) -> Truth | None:
        """*truth* itself, or None where it is an array, which is written."""
        if not isinstance(truth, np.ndarray):
            return truth
        # What stays of it is its form: an array of no memory, the same element for all.
        form = np.broadcast_to(np.zeros((), truth.dtype), truth.shape)
        self._places[item] = (self._file.tell(), form)
        self._file.write(np.ascontiguousarray(truth).data)
        return None

    def map(self) -> dict[int, Truth]:
        """The arrays by item."""
        self._file.flush()
        if not self._file.tell():
            return {item: np.array(form) for item, (_, form) in self._places.items()}
        mapped = np.memmap(self._file, np.uint8, "r")
        return {item: np.ndarray(form.shape, form.dtype, mapped, start) for item, (start, form) in self._places.items()}
