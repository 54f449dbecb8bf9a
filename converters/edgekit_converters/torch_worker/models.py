"""A PyTorch model as it is exported, whatever it was brought as."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.arrays import Arrays
from edgekit.tensors import TensorSpec

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class TorchModel:
    """A *module* in eval mode that takes *inputs*, whose sizes by name may vary.

    *call* runs the module on tensors in the order of *inputs*. *fields* names the outputs to keep, where the module gives
    more than its task needs; None keeps all. *samples* are inputs to ask it with, samples along the first axis, and
    *typical* says whether they are better than made-up ones, so that golden samples should come from them.
    *limits* has the largest size of an axis by its name. *files* are the user's files that are not the source itself.
    """

    module: nn.Module
    inputs: tuple[TensorSpec, ...]
    call: Callable[[Any, Sequence[Tensor]], Any]
    samples: Arrays
    typical: bool = False
    fields: tuple[str, ...] | None = None
    limits: dict[str, int] | None = None
    files: tuple[str, ...] = ()
