"""Data looked at before it is used: what it has, what is damaged, what is there twice, and what speaks against it."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from edgekit.arrays import dtype_of
from edgekit.datasets.describing import Description
from edgekit.datasets.duplicates import MAX_COMPARED, Duplicate, find_alike, find_same
from edgekit.datasets.judging import FEW, NOISE_CORRELATION, judge_calibration
from edgekit.datasets.sampling import take_sample
from edgekit.datasets.streaming import Prepared, Progress, Skip, count_allowed, feed_samples
from edgekit.datasets.surveying import ClassCount, Survey
from edgekit.errors import InputError
from edgekit.processing.base import Pipeline
from edgekit.records import Record

#: Of so many samples it is tried what the model is fed with.
FED_SAMPLES = 300
#: A form that fewer have than this share is an exception among the others.
_RARE = 0.02
_UNEVEN = 20
_TOLD = 20
_SILENT = 1e-4


class Spread(Record, frozen=True, kw_only=True):
    """The lowest, the middle and the highest of a figure over all samples that have it."""

    low: float
    median: float
    high: float


class FedInput(Record, frozen=True, kw_only=True):
    """What the contract makes of the samples for one input of the model: all values together. None where that is no finite figure."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    std: float | None = None


class DataCheck(Record, frozen=True, kw_only=True):
    """What a set of data has: *read* of its *available* samples were looked at.

    *figures* have spreads (``width``, ``seconds``), and *forms* counts (``channels``: ``RGB`` 960, ``L`` 40). *counted* says what
    *classes* count. *faults* are all samples that cannot be used; *allowed* is how many may be so. *duplicates* are within the
    set, and *shared* those that the set *against* has too. *fed* is what a model is fed with, where a bundle was given.
    """

    path: str
    kind: str
    available: int
    read: int
    counted: str = "samples"
    classes: tuple[ClassCount, ...] = ()
    figures: dict[str, Spread] = {}
    forms: dict[str, dict[str, int]] = {}
    faults: tuple[Skip, ...] = ()
    allowed: int = 0
    duplicates: tuple[Duplicate, ...] = ()
    against: str | None = None
    shared: tuple[Duplicate, ...] = ()
    fed: tuple[FedInput, ...] = ()
    warnings: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse data of which too much cannot be used."""
        if not self.read or len(self.faults) > self.allowed:
            problem = f"{len(self.faults)} of {self.read + len(self.faults)} samples cannot be used, and no more than {self.allowed} may be so"
            first = f", as {self.faults[0].key}: {self.faults[0].problem}" if self.faults else ""
            raise InputError(self.path, problem + first, "Correct them, or take them away.")


def check_data(survey: Survey, against: Survey | None = None, pipeline: Pipeline | None = None, progress: Progress | None = None) -> DataCheck:
    """What *survey* says, whether its samples are *against*'s too, and what *pipeline* feeds a model with for some of them."""
    keys = list(survey.described)
    duplicates = _find_duplicates(survey, None)
    shared = () if against is None else _find_duplicates(survey, against)
    prepared_warnings, fed = _try_pipeline(survey, pipeline, progress)
    return DataCheck(
        path=str(survey.dataset.path),
        kind=survey.dataset.kind,
        available=len(survey.dataset.keys),
        read=len(keys),
        counted="objects" if survey.has_objects else "samples",
        classes=tuple(survey.list_classes()),
        figures={name: _spread(values) for name, values in survey.list_figures().items()},
        forms=survey.count_forms(),
        faults=survey.faults,
        allowed=count_allowed(len(keys) + len(survey.faults)),
        duplicates=duplicates,
        against=None if against is None else str(against.dataset.path),
        shared=shared,
        fed=fed,
        warnings=(*_warn_of_samples(survey), *_warn_of_classes(survey), *_warn_of_duplicates(survey, duplicates, shared), *prepared_warnings),
    )


def _spread(values: Sequence[float]) -> Spread:
    low, median, high = (float(value) for value in np.quantile(values, [0, 0.5, 1]))
    return Spread(low=low, median=median, high=high)


def _find_duplicates(survey: Survey, against: Survey | None) -> tuple[Duplicate, ...]:
    first = survey.described if against is None else against.described
    second = None if against is None else survey.described
    same = find_same(first, second)
    if max(len(first), len(survey.described)) > MAX_COMPARED:
        return tuple(same)
    known = {pair.second for pair in same}
    return (*same, *(pair for pair in find_alike(first, second) if pair.second not in known))


def _try_pipeline(survey: Survey, pipeline: Pipeline | None, progress: Progress | None) -> tuple[list[str], tuple[FedInput, ...]]:
    """What speaks against calibrating by what *pipeline* makes of some samples, and what that is."""
    if pipeline is None:
        return [], ()
    keys = [key for key in take_sample(survey.dataset, None) if key in survey.described]
    step = max(1, len(keys) // FED_SAMPLES)
    with tempfile.TemporaryDirectory(prefix="edgekit-") as directory:
        prepared = feed_samples(survey.dataset, keys[::step][:FED_SAMPLES], pipeline, Path(directory), progress)
        return judge_calibration(prepared), tuple(_describe_input(name, prepared) for name in prepared.inputs)


def _describe_input(name: str, prepared: Prepared) -> FedInput:
    array = prepared.inputs[name]
    known = FedInput(name=name, dtype=dtype_of(array), shape=array.shape[1:])
    if array.dtype.kind not in "fiub" or not array.size:
        return known
    with np.errstate(all="ignore"):
        # By rows, since all of them may be more than the memory holds.
        rows = [(row.min(), row.max(), row.mean(dtype=np.float64), row.var(dtype=np.float64)) for row in array]
        lows, highs, means, variances = (np.array(column, np.float64) for column in zip(*rows, strict=True))
        facts = {"low": lows.min(), "high": highs.max(), "mean": means.mean(), "std": np.sqrt(variances.mean() + means.var())}
    return replace(known, **{fact: float(value) for fact, value in facts.items() if np.isfinite(value)})


def _warn_of_samples(survey: Survey) -> Iterator[str]:
    count = len(survey.described)
    if count < FEW:
        yield f"there are {count} samples that can be used, and fewer than {FEW} are few to calibrate or to evaluate by"
    if survey.faults:
        yield f"{len(survey.faults)} samples cannot be used"
    flat = [key for key, one in survey.described.items() if _is_flat(one)]
    if flat:
        yield f"{len(flat)} samples have one value everywhere, or are silent: {_list(flat)}"
    for name, counts in survey.count_forms().items():
        yield from _warn_of_forms(name, counts, count)
    likenesses = [one.likeness for one in survey.described.values() if one.likeness is not None]
    if likenesses and float(np.median(likenesses)) < NOISE_CORRELATION:
        yield f"the samples look like noise: neighbouring values have nothing to do with each other (correlation {np.median(likenesses):.2f})"


def _is_flat(described: Description) -> bool:
    figures = described.figures
    low, high = figures.get("lowest value"), figures.get("highest value")
    return (low is not None and low == high) or figures.get("peak", 1.0) < _SILENT


def _warn_of_forms(name: str, counts: Mapping[str, int], total: int) -> Iterator[str]:
    if name == "sample rate" and len(counts) > 1:
        yield f"sounds have different sample rates: {', '.join(f'{rate} Hz {count} times' for rate, count in counts.items())}"
    elif name in ("channels", "dtype") and len(counts) > 1:
        rare = {form: count for form, count in counts.items() if count < _RARE * total}
        if rare:
            yield f"a few samples have other {name} than the rest: {', '.join(f'{form} {count} times' for form, count in rare.items())}"


def _warn_of_classes(survey: Survey) -> Iterator[str]:
    classes = survey.list_classes()
    what = "objects" if survey.has_objects else "samples"
    if 0 < survey.unlabelled < len(survey.described):
        yield f"{survey.unlabelled} samples are not labelled, and the others are"
    if survey.has_objects and not survey.counts:
        yield "no sample has an object in it"
    empty = [one.name for one in classes if not one.count]
    if empty and survey.counts:
        yield f"{len(empty)} classes have no {what}: {_list(empty)}"
    filled = [one for one in classes if one.count]
    if len(filled) == 1:
        yield f"all {what} are of one class, {filled[0].name}"
    elif filled:
        most, least = max(filled, key=lambda one: one.count), min(filled, key=lambda one: one.count)
        if most.count > _UNEVEN * least.count:
            yield f"classes are uneven: {most.count} {what} of {most.name}, and {least.count} of {least.name}"
    beyond = [one.name for one in classes if survey.dataset.classes and one.number >= len(survey.dataset.classes)]
    if beyond:
        yield f"{len(beyond)} classes have numbers beyond the last that has a name: {_list(beyond)}"


def _warn_of_duplicates(survey: Survey, duplicates: Sequence[Duplicate], shared: Sequence[Duplicate]) -> Iterator[str]:
    for pairs, where in (
        (duplicates, "in the set more than once"),
        (shared, "in the other set too: what is measured on one is then no proof for the other"),
    ):
        for how, told in (("same", "are"), ("alike", "look like one that is")):
            found = [pair.second for pair in pairs if pair.how == how]
            if found:
                yield f"{len(found)} samples {told} {where}: {_list(found)}"
    contradicting = [pair.second for pair in (*duplicates, *shared) if pair.classes_differ and pair.how == "same"]
    if contradicting:
        yield f"{len(contradicting)} samples are there again with another label: {_list(contradicting)}"
    if any(one.looks is not None for one in survey.described.values()) and len(survey.described) > MAX_COMPARED:
        yield f"pictures that only look the same were not searched for, since there are more than {MAX_COMPARED}"
    if not survey.compares:
        yield "pictures that only look the same were not searched for: pip install 'edgekit[evaluate]'"


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return ", ".join(names[:_TOLD]) + more
