"""A release on trial: it answers, and what it fails the release behind it answers, so that no request fails of an update."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.arrays import Array, Arrays
from edgekit.deployment import Evidence
from edgekit.errors import EdgekitError, InputError
from edgekit.runtimes.sessions import check_inputs, check_outputs
from edgekit_agent.observing import Outcome

if TYPE_CHECKING:
    from edgekit_agent.serving import LiveModel, ModelInfo


@dataclass(frozen=True)
class Answer:
    """What a caller gets, and the release that gave it."""

    info: ModelInfo
    outputs: Arrays


@dataclass(frozen=True)
class Ended:
    """How one request ended: with an *answer*, or with an *error*. *own* is what the model that was asked answered, if anything."""

    outcome: Outcome
    answer: Answer | None = None
    own: Arrays | None = None
    error: Exception | None = None


def ask(model: LiveModel, inputs: Mapping[str, Array], wanted: Collection[str]) -> Ended:
    """Run *inputs* through *model*, of which the outputs *wanted* are asked for."""
    try:
        check_outputs(wanted, model.info.outputs)
        outputs = model.infer(inputs)
    except Exception as error:  # noqa: BLE001 - whatever a runtime raises is how this request ended; the caller gets it, once it was counted
        outcome = Outcome.REFUSED if _is_callers_fault(error, model.info, inputs, wanted) else Outcome.FAILED
        return Ended(outcome, error=error)
    return Ended(Outcome.ANSWERED, Answer(model.info, outputs), outputs)


class Trial:
    """The *candidate* on trial, and *behind* it the release that answers what it fails; None on a device that had none.

    Safe to be asked by many threads.
    """

    def __init__(self, candidate: LiveModel, behind: LiveModel | None) -> None:
        self.candidate = candidate
        self.behind = behind
        self._lock = threading.Lock()
        self._requests = self._failed = self._rescued = 0

    def ask(self, inputs: Mapping[str, Array], wanted: Collection[str]) -> Ended:
        """Run *inputs* through the candidate, and through the release behind it where that failed."""
        own = ask(self.candidate, inputs, wanted)
        if own.answer is None or not _is_finite(own.answer):
            own = self._judge_alone(own, inputs) if self.behind is None else _rescue(own, ask(self.behind, inputs, wanted))
        self._book(own.outcome)
        return own

    @property
    def evidence(self) -> Evidence:
        """What was seen so far. What callers did wrong is not counted: it says nothing about a model."""
        previous = None if self.behind is None else self.behind.find_p95()
        with self._lock:
            counts = {"requests": self._requests, "failed": self._failed, "rescued": self._rescued}
        return Evidence(**counts, p95_ms=self.candidate.find_p95(), previous_p95_ms=previous)

    def _book(self, outcome: Outcome) -> None:
        with self._lock:
            self._requests += outcome is not Outcome.REFUSED
            self._failed += outcome in (Outcome.FAILED, Outcome.RESCUED)
            self._rescued += outcome is Outcome.RESCUED

    def _judge_alone(self, own: Ended, inputs: Mapping[str, Array]) -> Ended:
        """With no other answer to hold this one against, one that is not finite is the model's fault unless the inputs were so."""
        if own.answer is None or not all(map(_has_only_finite, inputs.values())):
            return own
        return replace(own, outcome=Outcome.FAILED)


def _rescue(own: Ended, other: Ended) -> Ended:
    """What follows for a request that the candidate failed, from how it ended with the release behind it."""
    if other.answer is not None and (own.answer is None or _is_finite(other.answer)):
        return Ended(Outcome.RESCUED, other.answer, own.own)
    if own.answer is not None:
        # The proven release has no finite answer to these inputs either.
        return own
    both_refuse = isinstance(own.error, InputError) and isinstance(other.error, InputError)
    return replace(own, outcome=Outcome.REFUSED if both_refuse else Outcome.FAILED)


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


def _is_finite(answer: Answer) -> bool:
    return all(_has_only_finite(answer.outputs[spec.name]) for spec in answer.info.outputs if spec.finite)


def _has_only_finite(array: Array) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())
