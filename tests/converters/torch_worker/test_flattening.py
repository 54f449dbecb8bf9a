"""Outputs, however they are nested, with a name for each tensor."""

from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import pytest

pytestmark = [pytest.mark.heavy, pytest.mark.torch]


@dataclass
class Result:
    scores: Any
    count: int


Pair = namedtuple("Pair", "left right")


@pytest.fixture
def name_outputs(torch):
    """The names that tensors in an answer get, of a model that keeps *fields*."""
    from edgekit_converters.torch_worker.flattening import list_outputs
    from edgekit_converters.torch_worker.models import TorchModel

    def find_names(answer: Any, fields: tuple[str, ...] | None = None) -> list[str]:
        model = TorchModel(module=torch.nn.Identity(), inputs=(), call=lambda module, tensors: module(*tensors), samples={}, fields=fields)
        return [name for name, _ in list_outputs(model, answer)]

    return find_names


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda x: x, ["output0"]),
        (lambda x: (x, x), ["output0", "output1"]),
        (lambda x: {"logits": x, "loss": None}, ["logits"]),
        (lambda x: Pair(x, 3), ["left"]),
        (lambda x: Result(x, 3), ["scores"]),
        (lambda x: {"boxes": [x, (x, "text")], "n": 3}, ["boxes_0", "boxes_1_0"]),
        (lambda x: 3, []),
    ],
)
def test_tensors_get_names(make, names, torch, name_outputs) -> None:
    """Fields and keys name tensors, else their place does; what is no tensor is left out."""
    assert name_outputs(make(torch.ones(1))) == names


def test_only_the_fields_of_the_task_are_kept(torch, name_outputs) -> None:
    """Where a task needs some outputs alone, the others are left out, and those that are empty too."""
    answer = {"state": torch.ones(1), "logits": torch.ones(1), "pooled": None}
    assert name_outputs(answer, fields=("logits", "pooled")) == ["logits"]
