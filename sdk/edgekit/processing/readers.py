"""All ways to read an answer, and what each answer looks like."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgekit.contract import Anomaly, Classify, Detect, Embed, Processing, Segment, Transcribe
from edgekit.processing.anomalies import prepare_anomalies
from edgekit.processing.boxes import prepare_boxes
from edgekit.processing.classes import prepare_classes
from edgekit.processing.masks import prepare_masks
from edgekit.processing.outputs import Reader
from edgekit.processing.transcripts import prepare_transcripts
from edgekit.processing.vectors import prepare_vectors
from edgekit.tensors import TensorSpec

#: For each reading what prepares it: called with the reading, the contract and the model's outputs.
READERS: Mapping[type, Callable[[Any, Processing, Sequence[TensorSpec]], Reader]] = {
    Classify: prepare_classes,
    Detect: prepare_boxes,
    Segment: prepare_masks,
    Embed: prepare_vectors,
    Anomaly: prepare_anomalies,
    Transcribe: prepare_transcripts,
}

_CLASSES = (
    TensorSpec(name="labels", dtype="bytes", shape=("found",)),
    TensorSpec(name="classes", dtype="int64", shape=("found",)),
    TensorSpec(name="scores", dtype="float32", shape=("found",)),
)
_BOXES = TensorSpec(name="boxes", dtype="float32", shape=("found", 4))
_MASK = TensorSpec(name="mask", dtype="int32", shape=("rows", "columns"))
_EMBEDDING = TensorSpec(name="embedding", dtype="float32", shape=("size",))
_SCORE = TensorSpec(name="score", dtype="float32", shape=(1,))
_IS_ANOMALY = TensorSpec(name="is_anomaly", dtype="bool", shape=(1,))
_TEXT = TensorSpec(name="text", dtype="bytes", shape=(1,))
_SPECS: Mapping[type, tuple[TensorSpec, ...]] = {
    Classify: _CLASSES,
    Detect: (*_CLASSES, _BOXES),
    Segment: (_MASK,),
    Embed: (_EMBEDDING,),
    Anomaly: (_SCORE, _IS_ANOMALY),
    Transcribe: (_TEXT,),
}


def prepare_reader(contract: Processing, outputs: Sequence[TensorSpec]) -> Reader | None:
    """What reads the contract's answer from a model's *outputs*; None where it leaves them as they are.

    Raises:
        InputError: the outputs are not such as the answer is read from; the message names the contract's field.
        DeviceError: a library that it needs is not installed; the message names the extra.
    """
    answer = contract.answer
    return None if answer is None else READERS[type(answer)](answer, contract, outputs)


def answer_specs(contract: Processing) -> tuple[TensorSpec, ...]:
    """What the contract's answer looks like, in order; nothing where there is no way to read one."""
    answer = contract.answer
    if answer is None:
        return ()
    if isinstance(answer, Anomaly) and answer.threshold is None:
        return (_SCORE,)
    return _SPECS[type(answer)]
