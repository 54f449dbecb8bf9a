"""Reading classes: the highest scores with their labels."""

from collections.abc import Mapping, Sequence

import numpy as np

from edgekit.arrays import Array, Arrays
from edgekit.contract import Classify, Processing
from edgekit.processing.activations import ACTIVATIONS
from edgekit.processing.base import Fed
from edgekit.processing.labels import check_labels, encode_labels
from edgekit.processing.outputs import Output, Reader, find_length, find_output
from edgekit.tensors import TensorSpec


def prepare_classes(reading: Classify, contract: Processing, outputs: Sequence[TensorSpec]) -> Reader:
    """Reads ``labels``, ``classes`` and ``scores`` (k), the highest first; of equal scores the lower class goes first.

    An item of several samples has their mean scores. A class whose score is NaN is left out.

    Raises:
        InputError: there is no such output, it is no row of scores, or the labels are not as many.
    """
    output = find_output("answer.output", reading.output, outputs)
    check_labels(contract, output, find_length(output))

    def read(answers: Mapping[str, Array], _fed: Fed) -> Arrays:
        scores = _score(reading, output, answers)
        chosen = _choose(reading, scores)
        return {"labels": encode_labels(contract, chosen.tolist()), "classes": chosen, "scores": scores[chosen]}

    return read


def _score(reading: Classify, output: Output, answers: Mapping[str, Array]) -> Array:
    """The score of each class: (classes), float32."""
    values = output.take_full(answers)
    # Of two samples one may be infinite and the other minus infinity: their mean is NaN.
    with np.errstate(invalid="ignore", over="ignore"):
        scores: Array = ACTIVATIONS[reading.activation](values.reshape(len(values), -1)).mean(axis=0)
        return scores.astype(np.float32)


def _choose(reading: Classify, scores: Array) -> Array:
    """The numbers of the classes in the answer, the highest score first: int64."""
    fit = ~np.isnan(scores) if reading.threshold is None else scores >= np.float32(reading.threshold)
    classes = np.flatnonzero(fit).astype(np.int64)
    return classes[np.argsort(-scores[classes], kind="stable")[: reading.top]]
