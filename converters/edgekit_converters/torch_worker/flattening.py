"""A model's outputs, however they are nested, as tensors one after the other, each with a name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch

from edgekit_converters.torch_worker.models import TorchModel


class FlatModel(torch.nn.Module):  # type: ignore[misc,unused-ignore]  # torch is not installed where types are checked
    """A model that takes tensors one after the other and gives a tuple of tensors."""

    def __init__(self, model: TorchModel) -> None:
        super().__init__()
        self.module = model.module
        self._model = model

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The model's output tensors, in the order of name_outputs()."""
        return tuple(tensor for _, tensor in list_outputs(self._model, self._model.call(self.module, tensors)))


def list_outputs(model: TorchModel, answer: Any) -> list[tuple[str, torch.Tensor]]:
    """The tensors in *answer*, with names: its fields' or keys' own, else ``output0``, ``output1`` and so on."""
    if model.fields is not None:
        answer = {name: answer[name] for name in model.fields if answer.get(name) is not None}
    return list(_walk("", answer))


def _walk(prefix: str, value: Any) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        yield prefix or "output0", value
        return
    for name, item in _list_items(value):
        yield from _walk(f"{prefix}_{name}" if prefix else str(name) if isinstance(name, str) else f"output{name}", item)


def _list_items(value: Any) -> Iterator[tuple[str | int, Any]]:
    """The parts of *value* with their names or places; none where it is a number, a string or nothing."""
    if isinstance(value, Mapping):
        yield from ((str(name), item) for name, item in value.items())
    elif hasattr(value, "_fields"):
        yield from zip(value._fields, value, strict=True)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield from enumerate(value)
    elif is_dataclass(value):
        yield from ((field.name, getattr(value, field.name)) for field in fields(value))
