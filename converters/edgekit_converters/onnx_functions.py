"""Functions of a model's own, put in place of their calls: no runtime for devices wants them, and passes look at one graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgekit.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from onnx import FunctionProto, ModelProto, NodeProto

#: The most operators, and bytes of them, that a model may have once its functions are in place: functions that call each
#: other twice double with every level.
MAX_OPERATORS = 1 << 17
MAX_GROWTH_BYTES = 1 << 28
MAX_DEPTH = 64
_EXPORT = "Export the model without functions."
_INLINE = "Inline them: onnx.inliner.inline_local_functions(model)."

#: A function's domain, name and overload (onnx.proto, FunctionProto).
Key = tuple[str, str, str]


def inline_functions(model: ModelProto, path: Path) -> ModelProto:
    """*model* without functions of its own.

    Raises:
        InputError: a function calls itself, the model would grow out of bounds, or onnx's inliner cannot do it.
    """
    if not model.functions:
        return model
    _Growth({(one.domain, one.name, one.overload): one for one in model.functions}, path).check(model)
    from onnx import inliner

    try:
        inlined = inliner.inline_local_functions(model, convert_version=True)
    except Exception as error:
        # The inliner raises RuntimeError, ValueError and the version converter's own.
        raise InputError(path, f"onnx cannot inline its functions: {str(error)[:300]}", _EXPORT) from error
    left = {(one.domain, one.name, one.overload) for one in inlined.functions} & set(_list_calls(inlined.graph.node))
    if left:
        raise InputError(path, f"onnx cannot inline its function {_say(min(left))!r}", _INLINE)
    del inlined.functions[:]
    return inlined


@dataclass
class _Growth:
    """How large a model becomes when each call is replaced by the function that it calls: (operators, bytes) of each function."""

    functions: dict[Key, FunctionProto]
    path: Path
    sizes: dict[Key, tuple[int, int]] = field(default_factory=dict)
    open: list[Key] = field(default_factory=list)

    def check(self, model: ModelProto) -> None:
        """Refuse *model* where it would grow out of bounds, or where a function calls itself."""
        operators, size = self._measure(model.graph.node)
        if operators > MAX_OPERATORS or size - model.ByteSize() > MAX_GROWTH_BYTES:
            limits = f"the limits are {MAX_OPERATORS} and {MAX_GROWTH_BYTES >> 20} more than the file has"
            problem = f"with its functions in place it has {operators} operators in {size >> 20} MiB, and {limits}"
            raise InputError(self.path, problem, _EXPORT)

    def _measure(self, nodes: Iterable[NodeProto]) -> tuple[int, int]:
        operators = size = 0
        for node in _walk(nodes):
            operators, size = operators + 1, size + node.ByteSize()
            key = (node.domain, node.op_type, node.overload)
            if key in self.functions:
                inner = self._find_size(key)
                operators, size = operators + inner[0], size + inner[1]
        return operators, size

    def _find_size(self, key: Key) -> tuple[int, int]:
        if key in self.open:
            raise InputError(self.path, f"its function {_say(key)!r} calls itself, which ONNX forbids", _EXPORT)
        if len(self.open) == MAX_DEPTH:
            raise InputError(self.path, f"its functions call each other more than {MAX_DEPTH} deep", _EXPORT)
        if key not in self.sizes:
            self.open.append(key)
            self.sizes[key] = self._measure(self.functions[key].node)
            self.open.pop()
        return self.sizes[key]


def _list_calls(nodes: Iterable[NodeProto]) -> Iterator[Key]:
    return ((node.domain, node.op_type, node.overload) for node in _walk(nodes))


def _walk(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """*nodes*, and those in the bodies of loops and branches."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _walk(graph.node)


def _say(key: Key) -> str:
    return ".".join(part for part in key if part)
