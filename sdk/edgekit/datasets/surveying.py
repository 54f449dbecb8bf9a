"""A set of data read once from end to end: what each sample is like, and which cannot be used."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgekit.datasets.base import BadSample, Boxes, Dataset, Sample
from edgekit.datasets.describing import Description, count_objects, describe_sample
from edgekit.datasets.judging import LOOKED_AT
from edgekit.datasets.streaming import Progress, Skip
from edgekit.errors import DeviceError
from edgekit.processing.libraries import load_library
from edgekit.records import Record


class ClassCount(Record, frozen=True, kw_only=True):
    """How many samples, or objects, are of class *number*, whose name is *name*."""

    number: int
    name: str
    count: int


@dataclass(frozen=True)
class Survey:
    """What was seen of *dataset* when some of its samples were read: *described* has those that can be used, by key.

    *counts* has how many samples are of each class, or objects where it *has_objects*. *compares* says whether pictures can be
    compared by their looks here.
    """

    dataset: Dataset
    described: Mapping[str, Description]
    faults: tuple[Skip, ...]
    counts: Mapping[int, int]
    has_objects: bool
    unlabelled: int
    compares: bool

    def name_class(self, number: int) -> str:
        """The name of class *number*, or the number where it has none."""
        names = self.dataset.classes
        return names[number] if 0 <= number < len(names) else str(number)

    def list_classes(self) -> list[ClassCount]:
        """Each class that has a name or a sample, with how many samples or objects are of it."""
        numbers = sorted({*range(len(self.dataset.classes)), *self.counts})
        return [ClassCount(number=number, name=self.name_class(number), count=self.counts.get(number, 0)) for number in numbers]

    def list_figures(self) -> dict[str, list[float]]:
        """All values of each figure, in the order of samples."""
        figures: dict[str, list[float]] = {}
        for described in self.described.values():
            for name, figure in described.figures.items():
                figures.setdefault(name, []).append(figure)
        return figures

    def count_forms(self) -> dict[str, dict[str, int]]:
        """How many samples have each form, the most frequent first."""
        forms: dict[str, Counter[str]] = {}
        for described in self.described.values():
            for name, form in described.forms.items():
                forms.setdefault(name, Counter())[form] += 1
        return {name: dict(counter.most_common()) for name, counter in forms.items()}


def survey_dataset(dataset: Dataset, keys: Sequence[str], progress: Progress | None = None) -> Survey:
    """Read each of *keys* once, and note what it is like; one that cannot be used is noted as a fault.

    Raises:
        DeviceError: a library that reads the samples is not installed.
    """
    described: dict[str, Description] = {}
    faults: list[Skip] = []
    counts: Counter[int] = Counter()
    unlabelled, has_objects, compares = 0, False, _can_compare()
    for done, key in enumerate(keys):
        if progress is not None:
            progress(f"looking at {dataset.path.name}", done, len(keys))
        try:
            sample = dataset.read(key)
            described[key] = describe_sample(sample, alike=compares, closely=len(described) < LOOKED_AT)
        except BadSample as error:
            faults.append(Skip(key=key, problem=error.problem))
            continue
        counts.update(count_objects(sample))
        unlabelled += sample.truth is None
        has_objects = has_objects or _has_boxes(sample)
    return Survey(dataset, described, tuple(faults), counts, has_objects, unlabelled, compares)


def _has_boxes(sample: Sample) -> bool:
    return isinstance(sample.truth, Boxes)


def _can_compare() -> bool:
    """Whether the library is there by which pictures are found that look the same."""
    try:
        load_library("imagehash", "evaluate")
    except DeviceError:
        return False
    return True
