"""One request to one model: tensors as they are, or raw items that the contract makes tensors of; and how it ended."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgekit.arrays import Array, Arrays, is_text
from edgekit.errors import EdgekitError, InputError
from edgekit.parity import answer_samples
from edgekit.runtimes.sessions import check_inputs, check_outputs
from edgekit.tensors import TensorSpec
from edgekit_agent.observing import Outcome
from edgekit_agent.raw_access import RawUnavailable

if TYPE_CHECKING:
    from edgekit.processing.base import Fed
    from edgekit_agent.serving import LiveModel, ModelInfo

_ONE_ITEM = "Send each item in a request of its own."


class Unreadable(EdgekitError):
    """The model's outputs cannot be read as its contract says: that is no fault of the caller's."""


@dataclass(frozen=True)
class Question:
    """What one request asks: *inputs* by name, which are tensors or raw items, or the one raw *item* that needs no name.

    Of the answer those *wanted* are asked for; none means all.
    """

    inputs: Mapping[str, Array] = field(default_factory=dict)
    item: bytes | memoryview | None = None
    wanted: Collection[str] = ()


@dataclass(frozen=True)
class Answer:
    """What a caller gets, the release that gave it, and what each part of it is: the model's outputs, or what its contract reads of them."""

    info: ModelInfo
    outputs: Arrays
    specs: tuple[TensorSpec, ...]


@dataclass(frozen=True)
class Ended:
    """How one request ended: with an *answer*, or with an *error*.

    *fed* are the tensors that the model was asked with, and *own* those that it answered, as far as it came to either.
    """

    outcome: Outcome
    answer: Answer | None = None
    own: Arrays | None = None
    error: Exception | None = None
    fed: Mapping[str, Array] | None = None


def ask(model: LiveModel, question: Question) -> Ended:
    """Ask *model*: raw items where *question* has any that it takes, else tensors."""
    try:
        raws = _find_raws(model.info, question)
    except InputError as error:
        return Ended(Outcome.REFUSED, error=error, fed=question.inputs or None)
    return _ask_tensors(model, question) if raws is None else _ask_raw(model, raws, question.wanted)


def _ask_tensors(model: LiveModel, question: Question) -> Ended:
    inputs, wanted = question.inputs, question.wanted
    try:
        check_outputs(wanted, model.info.outputs)
        outputs = model.infer(inputs)
    except Exception as error:  # noqa: BLE001 - whatever a runtime raises is how this request ended; the caller gets it, once it was counted
        outcome = Outcome.REFUSED if _is_callers_fault(error, model.info, inputs, wanted) else Outcome.FAILED
        return Ended(outcome, error=error, fed=inputs)
    return Ended(Outcome.ANSWERED, Answer(model.info, outputs, model.info.outputs), outputs, fed=inputs)


def _ask_raw(model: LiveModel, raws: Mapping[str, bytes | memoryview], wanted: Collection[str]) -> Ended:
    """Feed *raws*, which is the caller's part, then infer and read, which is the model's."""
    specs = model.info.raw.answers if model.info.raw else ()
    try:
        check_outputs(wanted, specs)
        fed = model.feed(raws)
    except (InputError, RawUnavailable) as error:
        return Ended(Outcome.REFUSED, error=error)
    except Exception as error:  # noqa: BLE001 - as above: a fault in a library is counted, and told to the caller
        return Ended(Outcome.FAILED, error=error)
    own: Arrays | None = None
    try:
        own = answer_samples(model, fed.inputs, f"model {model.info.name!r}")
        return Ended(Outcome.ANSWERED, Answer(model.info, _read(model, own, fed), specs), own, fed=fed.inputs)
    except Exception as error:  # noqa: BLE001 - as above
        return Ended(Outcome.FAILED, own=own, error=error, fed=fed.inputs)


def _read(model: LiveModel, outputs: Arrays, fed: Fed) -> Arrays:
    try:
        return model.read(outputs, fed)
    except InputError as error:
        raise Unreadable(f"model {model.info.name!r}", f"its answer cannot be read: {error.subject}: {error.problem}", error.remedy) from error


def _find_raws(info: ModelInfo, question: Question) -> dict[str, bytes | memoryview] | None:
    """The raw items of *question* by name; None where it has tensors alone.

    An array of bytes is a raw item where the contract has an input of its name, and the model itself takes no strings there.
    """
    if question.item is not None:
        return {_name_item(info): question.item}
    names = _list_raw_inputs(info) - {spec.name for spec in info.inputs if spec.dtype == "bytes"}
    if not any(name in names and is_text(array) for name, array in question.inputs.items()):
        return None
    return {name: _take_item(name, array) for name, array in question.inputs.items()}


def _list_raw_inputs(info: ModelInfo) -> set[str]:
    return {spec.name for spec in info.raw.inputs} if info.raw else set()


def _name_item(info: ModelInfo) -> str:
    """The one input that a raw item without a name is for."""
    names = sorted(_list_raw_inputs(info))
    if not names:
        remedy = "Send tensors by the Open Inference Protocol V2, or make the bundle with edgekit convert --task TASK."
        raise InputError(f"model {info.name!r}", "it has no contract by which a raw item would become tensors", remedy)
    if len(names) > 1:
        problem = f"it takes {len(names)} raw items together: {', '.join(names)}"
        raise InputError(f"model {info.name!r}", problem, "Send each as a BYTES tensor of shape [1] by the Open Inference Protocol V2.")
    return names[0]


def _take_item(name: str, array: Array) -> bytes:
    """The one raw item in *array*."""
    if not is_text(array):
        raise InputError(f"input {name!r}", "it is a tensor, and stands beside raw items", "Give raw items alone, or tensors alone.")
    if array.size != 1:
        raise InputError(f"input {name!r}", f"it has {array.size} raw items, and one is expected", _ONE_ITEM)
    item = array.reshape(-1)[0]
    return item.encode() if isinstance(item, str) else bytes(item)


def _is_callers_fault(error: Exception, info: ModelInfo, inputs: Mapping[str, Array], wanted: Collection[str]) -> bool:
    """Whether *error* is about tensors that the model never takes. A runtime's refusal of tensors that fit is the model's failure."""
    if not isinstance(error, InputError):
        return False
    try:
        check_outputs(wanted, info.outputs)
        check_inputs(inputs, info.inputs)
    except EdgekitError:
        return True
    return False
