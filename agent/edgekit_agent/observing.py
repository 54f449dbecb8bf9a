"""What serving tells of each request, and what the rest of the agent tells of itself, to whoever listens."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from edgekit.arrays import Array
    from edgekit_agent.serving import ModelInfo


class Outcome(enum.Enum):
    """How one request ended."""

    #: The model answered it.
    ANSWERED = "answered"
    #: The caller's own fault: a tensor that the model does not take. It says nothing about the model.
    REFUSED = "refused"
    #: The model raised an error, or answered what is not finite where its tensor spec says finite.
    FAILED = "failed"
    #: It failed, and the previous release answered in its place.
    RESCUED = "rescued"


class Observer(Protocol):
    """Hears of each request once, on the thread that served it: it must be quick, and must not raise."""

    def on_request(
        self,
        info: ModelInfo,
        latency_ms: float,
        outcome: Outcome,
        inputs: Mapping[str, Array] | None,
        outputs: Mapping[str, Array] | None,
    ) -> None:
        """A request to the model *info* ended after *latency_ms*.

        *info* is the release that was asked, also where another rescued it. *inputs* are None where the tensors could not be
        read, and *outputs* where there was no answer; of a rescued request they are what the model itself answered, if anything.
        """


class Journal(Protocol):
    """Takes down what happened to this device, so that the fleet hears of it."""

    def on_event(self, kind: str, model: str, text: str) -> None:
        """Something of *kind* (``deployment``, ``refused``, …) happened to *model*, or to the device where that is empty."""


class Unheard:
    """Nobody listens: the observer and the journal of an agent that is in no fleet."""

    def on_request(
        self,
        info: ModelInfo,
        latency_ms: float,
        outcome: Outcome,
        inputs: Mapping[str, Array] | None,
        outputs: Mapping[str, Array] | None,
    ) -> None:
        """Let it pass."""

    def on_event(self, kind: str, model: str, text: str) -> None:
        """Let it pass."""
