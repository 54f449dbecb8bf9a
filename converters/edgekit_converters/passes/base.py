"""What a pass over an ONNX graph is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from onnx import ModelProto


@dataclass(frozen=True)
class PassResult:
    """A model after a pass, and whether the pass changed it. The model that was given is never changed."""

    model: ModelProto
    modified: bool


class Pass(Protocol):
    """One change to a graph that keeps its answers."""

    def run(self, model: ModelProto) -> PassResult:
        """*model* with the change made."""
        ...


def run_passes(model: ModelProto, *passes: Pass) -> ModelProto:
    """*model* after all of *passes*, one after the other."""
    for one in passes:
        model = one.run(model).model
    return model
