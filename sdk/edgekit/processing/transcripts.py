"""Reading texts: the best path of connectionist temporal classification."""

from collections.abc import Mapping, Sequence

import numpy as np

from edgekit.arrays import Array, Arrays
from edgekit.contract import Processing, Transcribe
from edgekit.errors import InputError
from edgekit.processing.base import Fed
from edgekit.processing.labels import check_labels
from edgekit.processing.outputs import Reader, find_output
from edgekit.tensors import TensorSpec

#: The most steps of one item: at fifty a second they are almost three hours.
MAX_STEPS = 1 << 19


def prepare_transcripts(reading: Transcribe, contract: Processing, outputs: Sequence[TensorSpec]) -> Reader:
    """Reads ``text`` (1) as bytes (UTF-8), without spaces around it.

    The steps of all samples that an item gives are one path, in their order (Graves et al. 2006, section 3.2, "best path
    decoding"). A step with a NaN is taken for the blank.

    Raises:
        InputError: there is no such output, it is no row of labels for each step, or the labels are not as many.
    """
    output = find_output("answer.output", reading.output, outputs)
    output.check_axes("steps", "labels")
    check_labels(contract, output, output.axes[1])
    if reading.blank >= len(contract.labels):
        raise InputError(
            "answer.blank", f"it is {reading.blank}, and there are {len(contract.labels)} labels", "Give the labels, the blank among them."
        )
    letters = [" " if label == reading.space else label for label in contract.labels]

    def read(answers: Mapping[str, Array], _fed: Fed) -> Arrays:
        scores = output.take(answers)
        if scores.shape[2] != len(letters):
            raise InputError(f"output {output.spec.name!r}", f"it has {scores.shape[2]} labels for each step", f"The contract has {len(letters)}.")
        if scores.shape[0] * scores.shape[1] > MAX_STEPS:
            raise InputError(f"output {output.spec.name!r}", f"it has more than {MAX_STEPS} steps", "Give a shorter sound.")
        path = _collapse(_find_path(scores.reshape(-1, scores.shape[2]), reading.blank), reading.blank)
        text = "".join(letters[index] for index in path.tolist())
        return {"text": np.array([text.strip().encode()])}

    return read


def _find_path(scores: Array, blank: int) -> Array:
    """The highest label of each step: (steps); *blank* where a score is NaN, which argmax takes for the highest."""
    path = scores.argmax(axis=1)
    broken = np.isnan(np.take_along_axis(scores, path[:, None], 1)[:, 0])
    return np.where(broken, blank, path)


def _collapse(path: Array, blank: int) -> Array:
    """*path* with repetitions taken as one, and then without *blank*: a blank between two equal labels keeps both."""
    is_new = np.append(True, path[1:] != path[:-1])[: len(path)]
    labels: Array = path[is_new & (path != blank)]
    return labels
