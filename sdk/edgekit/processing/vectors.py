"""Reading vectors: what a model makes of an item as one point."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edgekit.arrays import Array, Arrays
from edgekit.contract import Embed, Processing, Tokenize
from edgekit.errors import InputError
from edgekit.processing.base import Fed
from edgekit.processing.outputs import Output, Reader, find_length, find_output
from edgekit.tensors import TensorSpec

_Pool = Callable[[Array, Fed], Array]


def prepare_vectors(reading: Embed, contract: Processing, outputs: Sequence[TensorSpec]) -> Reader:
    """Reads ``embedding`` (size), float32: the mean over all samples that an item gives, and of length 1 where that is asked for.

    A vector of zeros stays as it is. NaN stays NaN, since a vector without one of its numbers is no point.

    Raises:
        InputError: there is no such output, or its axes are not those that are pooled.
    """
    output = find_output("answer.output", reading.output, outputs)
    pool = _prepare_pool(reading, contract, output)

    def read(answers: Mapping[str, Array], fed: Fed) -> Arrays:
        # Infinities may make NaN of each other, which stays NaN.
        with np.errstate(invalid="ignore", over="ignore"):
            vector = pool(output.take_full(answers).astype(np.float64), fed).mean(axis=0)
            return {"embedding": (_normalise(vector) if reading.normalize else vector).astype(np.float32)}

    return read


def _prepare_pool(reading: Embed, contract: Processing, output: Output) -> _Pool:
    """What makes one vector of each sample: (samples, …) becomes (samples, size)."""
    if reading.pool == "none":
        find_length(output)
        return lambda values, _fed: values.reshape(len(values), -1)
    output.check_axes("tokens", "size")
    if reading.pool == "first":
        return lambda values, _fed: values[:, 0]
    mask = _find_mask(contract)
    return lambda values, fed: _average(values, None if mask is None else fed.inputs[mask], output)


def _find_mask(contract: Processing) -> str | None:
    """The model's input that says which tokens are none of the filling; None where there is none, so that all count."""
    fed = [step.feeds for feature in contract.inputs for step in feature.steps if isinstance(step, Tokenize)]
    return next((name for feeds in fed for name, kind in feeds.items() if kind == "mask"), None)


def _average(values: Array, mask: Array | None, output: Output) -> Array:
    """The mean over the tokens that *mask* counts: (samples, tokens, size) becomes (samples, size); zeros where it counts none."""
    if mask is None:
        pooled: Array = values.mean(axis=1)
        return pooled
    if mask.shape != values.shape[:2]:
        problem = f"it has shape {list(values.shape)}, and {list(mask.shape)} tokens were fed"
        raise InputError(f"output {output.spec.name!r}", problem, "Name an output with a vector for each token.")
    counted = (mask != 0)[:, :, None]
    # Where nothing counts, no sum is divided: what is there is nothing, and no NaN.
    sums = np.where(counted, values, 0.0).sum(axis=1)
    averages: Array = sums / np.maximum(counted.sum(axis=1), 1)
    return averages


def _normalise(vector: Array) -> Array:
    length = np.linalg.norm(vector)
    return vector if length == 0 else vector / length
