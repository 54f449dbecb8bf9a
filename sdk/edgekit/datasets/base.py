"""What a set of samples is: keys, what lies behind each, and what is true of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from edgekit.arrays import Array
from edgekit.errors import InputError
from edgekit.processing.base import Raw


@dataclass(frozen=True)
class Boxes:
    """The objects in one picture: *corners* (n, 4) as x and y of two corners in its pixels, *classes* (n) as numbers.

    *crowds* (n) are True where a box stands for many objects and counts for nothing (COCO's ``iscrowd``).
    """

    corners: Array
    classes: Array
    crowds: Array


#: The class in a mask that is none: what nobody labelled, and what counts for nothing, as the border of PASCAL VOC and Cityscapes.
VOID = 255

#: What is true of a sample: the number of its class, its objects, its mask of classes (rows, columns), its text, or a figure.
Truth: TypeAlias = int | float | str | Boxes | Array


@dataclass(frozen=True)
class Sample:
    """One item: *key* names it in its set, *raws* has what is given for each feature, *truth* what is true of it, None where that is unknown.

    A sample that is *ready* has what the model is fed with instead, for each of its inputs: no contract touches it.
    """

    key: str
    raws: Mapping[str, Raw]
    truth: Truth | None = None
    ready: bool = False


class BadSample(InputError):
    """One sample cannot be used; the others may be. It is skipped, counted and named."""


class Dataset(Protocol):
    """Samples in the order of *keys*. *classes* has the names of classes by number, where the set has names.

    *files* are those on which everything depends but the samples' own, as an annotation file; what lies behind a key is opened
    when it is read and not before.
    """

    @property
    def kind(self) -> str: ...  # noqa: D102 - the class says what each is
    @property
    def path(self) -> Path: ...  # noqa: D102
    @property
    def keys(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def classes(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def files(self) -> tuple[Path, ...]: ...  # noqa: D102

    def read(self, key: str) -> Sample:
        """The sample of *key*.

        Raises:
            BadSample: it is damaged, or what is said of it cannot be true; the message names it.
        """
        ...

    def find_file(self, key: str) -> Path | None:
        """The file that holds the sample of *key* alone; None where one file holds many."""
        ...

    def find_class(self, key: str) -> int | None:
        """The number of the class of *key*, where it is known without opening what lies behind; None for boxes, masks, texts and figures."""
        ...
