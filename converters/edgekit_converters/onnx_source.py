"""ONNX as a source: read, checked, and written again without what does not belong to the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.conversion import HUB, SourceModel, SourceOptions
from edgekit_converters.onnx_hub import make_hub

if TYPE_CHECKING:
    from pathlib import Path

#: A model message begins with its first field, ir_version, a small varint (onnx.proto, ModelProto).
_FIRST_FIELD = 0x08
_NEWEST_IR = 32


class OnnxSource:
    """Reads ``.onnx`` files."""

    format = "onnx"

    def accepts(self, path: Path) -> bool:
        """Whether *path* is a file with the suffix ``.onnx``, or one that begins as such files do."""
        if not path.is_file():
            return False
        if path.suffix.lower() == ".onnx":
            return True
        with path.open("rb") as file:
            head = file.read(2)
        return len(head) == 2 and head[0] == _FIRST_FIELD and head[1] <= _NEWEST_IR

    def load(self, path: Path, workspace: Path, options: SourceOptions) -> SourceModel:
        """Read the model at *path*, and write what every target is made from into *workspace* under the same name.

        Raises:
            InputError: it is damaged, not ONNX, hostile, has operators that no runtime here has, or *options* do not fit it.
            ConversionError: a pass of another package failed.
            DeviceError: onnx, which reads it, is not installed here.
        """
        options.check_untraced(path)
        hub = make_hub(path, workspace, options)
        return SourceModel(
            format=self.format,
            files=(path,),
            directory=workspace,
            artifact=hub.artifact,
            inputs=hub.inputs,
            outputs=hub.outputs,
            forms={HUB: hub.path},
            tools=hub.tools,
            precision=hub.precision,
        )
