"""Takes out what exporters note beside the graph: stack traces, doc strings, paths on somebody's machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit_converters.passes.base import PassResult

if TYPE_CHECKING:
    from onnx import ModelProto

#: The fields that hold notes, in every message of onnx.proto that may have them.
NOTES = ("metadata_props", "doc_string")


class StripMetadata:
    """Clears every ``metadata_props`` and ``doc_string``, in subgraphs too. A runtime reads neither."""

    def run(self, model: ModelProto) -> PassResult:
        """*model* without notes."""
        if not _has_notes(model):
            return PassResult(model, modified=False)
        stripped = type(model)()
        stripped.CopyFrom(model)
        _strip(stripped)
        return PassResult(stripped, modified=True)


def _has_notes(message: Any) -> bool:
    return any(field.name in NOTES or any(map(_has_notes, _list_inner(field, value))) for field, value in message.ListFields())


def _strip(message: Any) -> None:
    """Clear the notes of *message* and of all messages in it.

    Every message of onnx.proto that can be noted upon has the same two fields, so one walk serves them all. Parsing has
    bounded the depth: protobuf reads at most 100 messages inside one another.
    """
    for field, value in message.ListFields():
        if field.name in NOTES:
            message.ClearField(field.name)
            continue
        for one in _list_inner(field, value):
            _strip(one)


def _list_inner(field: Any, value: Any) -> list[Any]:
    """The messages in *value* of *field*."""
    if field.message_type is None:
        return []
    return [value] if hasattr(value, "ListFields") else list(value)
