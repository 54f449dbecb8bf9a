"""A release on trial: it answers, and what it fails the release behind it answers, so that no request fails of an update."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.arrays import Array
from edgekit.deployment import Evidence
from edgekit.errors import InputError
from edgekit_agent.asking import Ended, Question, ask
from edgekit_agent.observing import Outcome
from edgekit_agent.raw_access import RawUnavailable

if TYPE_CHECKING:
    from edgekit_agent.serving import LiveModel


class Trial:
    """The *candidate* on trial, and *behind* it the release that answers what it fails; None on a device that had none.

    Safe to be asked by many threads.
    """

    def __init__(self, candidate: LiveModel, behind: LiveModel | None) -> None:
        self.candidate = candidate
        self.behind = behind
        self._lock = threading.Lock()
        self._requests = self._failed = self._rescued = 0

    def ask(self, question: Question) -> Ended:
        """Ask the candidate, and where that failed the release behind it."""
        own = ask(self.candidate, question)
        if own.answer is None or not _is_finite(own):
            own = self._judge_alone(own) if self.behind is None else _rescue(own, ask(self.behind, question))
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

    def _judge_alone(self, own: Ended) -> Ended:
        """With no other answer to hold this one against, one that is not finite is the model's fault unless the inputs were so."""
        if own.answer is None or not _has_only_finite(own.fed or {}):
            return own
        return replace(own, outcome=Outcome.FAILED)


def _rescue(own: Ended, other: Ended) -> Ended:
    """What follows for a request that the candidate failed, from how it ended with the release behind it."""
    if other.answer is not None and (own.answer is None or _is_finite(other)):
        return replace(own, outcome=Outcome.RESCUED, answer=other.answer, error=None)
    if own.answer is not None:
        # The proven release has no finite answer to these inputs either.
        return own
    both_refuse = isinstance(own.error, InputError | RawUnavailable) and isinstance(other.error, InputError | RawUnavailable)
    return replace(own, outcome=Outcome.REFUSED if both_refuse else Outcome.FAILED)


def _is_finite(ended: Ended) -> bool:
    """Whether the model's own outputs are finite where its tensor specs say so, whatever a contract reads of them."""
    if ended.answer is None or ended.own is None:
        return False
    return _has_only_finite({spec.name: ended.own[spec.name] for spec in ended.answer.info.outputs if spec.finite})


def _has_only_finite(arrays: Mapping[str, Array]) -> bool:
    return all(array.dtype.kind != "f" or bool(np.isfinite(array).all()) for array in arrays.values())
