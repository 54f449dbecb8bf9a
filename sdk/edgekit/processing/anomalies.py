"""Reading anomalies: one figure that says how unusual an item is."""

from collections.abc import Mapping, Sequence

import numpy as np

from edgekit.arrays import Array, Arrays
from edgekit.contract import Anomaly, Processing, Quantize
from edgekit.errors import InputError
from edgekit.processing.base import Fed
from edgekit.processing.outputs import Output, Reader, find_output
from edgekit.runtimes.borders import dequantize
from edgekit.tensors import Quantization, TensorSpec


def prepare_anomalies(reading: Anomaly, contract: Processing, outputs: Sequence[TensorSpec]) -> Reader:
    """Reads ``score`` (1), float32, and where the contract has a threshold ``is_anomaly`` (1), bool.

    The score is the mean over all numbers of all samples that an item gives. One that is NaN is an anomaly: nobody can say that it is none.

    Raises:
        InputError: there is no such output, or none of the contract's steps feeds the input that it is held against.
    """
    output = find_output("answer.output", reading.output, outputs)
    quantization = None if reading.of is None else _find_quantization(contract, reading.of)

    def read(answers: Mapping[str, Array], fed: Fed) -> Arrays:
        values = output.take_full(answers).astype(np.float64)
        given = None if reading.of is None else _recall(output, values, fed.inputs[reading.of], quantization)
        # Infinities may make NaN of each other, which is an anomaly, or a score that float32 takes for infinite.
        with np.errstate(invalid="ignore", over="ignore"):
            score = np.float32((values if given is None else _measure(reading, values - given)).mean())
        found: Arrays = {"score": np.array([score])}
        return found if reading.threshold is None else found | {"is_anomaly": np.array([not score <= np.float32(reading.threshold)])}

    return read


def _measure(reading: Anomaly, difference: Array) -> Array:
    distance: Array = np.square(difference) if reading.distance == "mse" else np.abs(difference)
    return distance


def _recall(output: Output, values: Array, given: Array, quantization: Quantization | None) -> Array:
    """What the model was *given*, as real numbers; InputError where it is not of the shape of its answer."""
    if given.shape != values.shape:
        problem = f"it has shape {list(values.shape)}, and the input that it is held against {list(given.shape)}"
        raise InputError(f"output {output.spec.name!r}", problem, "Name in answer.of the input that the model rebuilds.")
    return given.astype(np.float64) if quantization is None else dequantize(given, quantization)


def _find_quantization(contract: Processing, name: str) -> Quantization | None:
    """How what feeds the input *name* became integers; None where it did not."""
    feature = next((one for one in contract.inputs if one.feeds == name), None)
    if feature is None:
        fed = ", ".join(one.feeds for one in contract.inputs if one.feeds) or "none"
        raise InputError("answer.of", f"it names the input {name!r}, and the inputs that are fed are {fed}", "Name one of these.")
    steps = [step for step in feature.steps if isinstance(step, Quantize)]
    return Quantization(scale=(steps[-1].scale,), zero_point=(steps[-1].zero_point,)) if steps else None
