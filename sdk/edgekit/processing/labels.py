"""The names of classes, as answers have them."""

from collections.abc import Iterable

import numpy as np

from edgekit.arrays import Array
from edgekit.contract import Processing
from edgekit.errors import InputError
from edgekit.processing.outputs import Output
from edgekit.tensors import Dimension


def encode_labels(contract: Processing, classes: Iterable[int]) -> Array:
    """The label of each of *classes* as bytes (UTF-8); the number where it has none."""
    return np.array([contract.name_class(index).encode() for index in classes], np.bytes_)


def check_labels(contract: Processing, output: Output, classes: Dimension, nameless: int = 0) -> None:
    """Refuse labels that are not as many as *output* has *classes*; the last *nameless* of these need none.

    A list that is one too long or too short names each class after its neighbour.
    """
    count = len(contract.labels)
    if count and isinstance(classes, int) and not classes - nameless <= count <= classes:
        problem = f"there are {count}, and the output {output.spec} has {classes} classes"
        raise InputError("labels", problem, "Give one label for each class, in the model's order.")
