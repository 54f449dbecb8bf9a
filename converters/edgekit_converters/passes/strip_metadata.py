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
        stripped = type(model)()
        stripped.CopyFrom(model)
        return PassResult(stripped, modified=_strip(stripped))


def _strip(message: Any) -> bool:
    """Clear the notes of *message* and of all messages in it; whether there were any.

    Every message of onnx.proto that can be noted upon has the same two fields, so one walk serves them all. Parsing has
    bounded the depth: protobuf reads at most 100 messages inside one another.
    """
    found = False
    for field, value in message.ListFields():
        if field.name in NOTES:
            message.ClearField(field.name)
            found = True
        elif field.message_type is not None:
            inner = [value] if hasattr(value, "ListFields") else list(value)
            for one in inner:
                found = _strip(one) or found
    return found
