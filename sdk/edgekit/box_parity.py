"""Whether a detector still finds the source model's objects: parity in the task's own words."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from edgekit.arrays import Array
from edgekit.contract import Detect, Processing
from edgekit.overlap import BoxSet, share_matched
from edgekit.processing.base import Scene
from edgekit.processing.boxes import prepare_box_finder
from edgekit.processing.scenes import find_own_scene
from edgekit.tensors import TensorSpec

#: The most classes of which two are swapped to see whether that is noticed, the most frequent ones.
MAX_SWAPPED = 8


@dataclass(frozen=True)
class BoxReader:
    """Reads a detector's boxes from golden samples' outputs, in the model's own picture, as the contract says.

    *outputs* names those that the boxes are read from. A detector that *sorts* has its rows in the order of the scores, so that
    two scores which are nearly equal change what stands where.
    """

    find_boxes: Callable[[Mapping[str, Array], Scene], BoxSet]
    scene: Scene
    outputs: frozenset[str]
    sorts: bool

    @property
    def sorted_outputs(self) -> frozenset[str]:
        """The outputs whose rows have no place of their own."""
        return self.outputs if self.sorts else frozenset()

    def read(self, outputs: Mapping[str, Array]) -> list[BoxSet]:
        """The boxes of each sample."""
        count = len(next(iter(outputs.values())))
        return [self.find_boxes({name: array[index : index + 1] for name, array in outputs.items()}, self.scene) for index in range(count)]

    def measure_agreement(self, expected: Mapping[str, Array], actual: Mapping[str, Array]) -> float | None:
        """Of the boxes that both answers have, the share with a match in the other: the same class, and an overlap by half.

        None where neither has a box that reaches the contract's threshold: then nothing was compared.
        """
        return share_matched(zip(self.read(expected), self.read(actual), strict=True))


def prepare_box_reader(contract: Processing | None, outputs: Sequence[TensorSpec]) -> BoxReader | None:
    """What reads the boxes of a model with *outputs*; None where the contract's answer is none of boxes.

    Raises:
        InputError: the outputs are not such as the boxes are read from.
        DeviceError: OpenCV is not installed.
    """
    if contract is None or not isinstance(contract.answer, Detect):
        return None
    reading = contract.answer
    names = frozenset(name for name in (reading.boxes, reading.scores, reading.classes, reading.counts) if name is not None)
    finder = prepare_box_finder(reading, contract, outputs)
    return BoxReader(finder, find_own_scene(contract), names, reading.layout == "classified")


def swap_classes(answers: Sequence[BoxSet], least: float) -> Iterator[tuple[int, int, list[BoxSet]]]:
    """For each two of the most frequent classes of *answers*: their numbers, and the answers with the two exchanged.

    Two that have no more than the share *least* of all boxes together are left out.
    """
    counts = Counter(label for one in answers for label in one.classes.tolist())
    frequent = sorted(label for label, _ in counts.most_common(MAX_SWAPPED))
    for first, second in combinations(frequent, 2):
        if counts[first] + counts[second] > least * counts.total():
            yield first, second, [_swap(one, first, second) for one in answers]


def _swap(answer: BoxSet, first: int, second: int) -> BoxSet:
    others = np.where(answer.classes == second, first, answer.classes)
    return replace(answer, classes=np.where(answer.classes == first, second, others))
