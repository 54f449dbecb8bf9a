"""ONNX as a source: read, checked, and written again without what does not belong to the graph."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from edgekit.artifacts import Artifact, bind_identically
from edgekit.conversion import HUB, SourceModel, SourceOptions
from edgekit.errors import DeviceError, InputError
from edgekit_converters.artifact_files import describe_files
from edgekit_converters.calibrating import is_quantised
from edgekit_converters.onnx_files import read_model
from edgekit_converters.onnx_specs import describe_inputs, describe_outputs
from edgekit_converters.packages import find_missing
from edgekit_converters.passes.base import run_passes
from edgekit_converters.passes.name_dimensions import NameDimensions
from edgekit_converters.passes.strip_metadata import StripMetadata

if TYPE_CHECKING:
    from pathlib import Path

    from onnx import ModelProto

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
            InputError: it is damaged, not ONNX, hostile, or has operators that no runtime here has.
            DeviceError: onnx, which reads it, is not installed here.
        """
        missing = find_missing("onnx")
        if missing is not None:
            raise DeviceError(path, f"it cannot be read: {missing}")
        model = _drop_constant_inputs(read_model(path))
        if not model.graph.input:
            raise InputError(path, "it has no inputs, so it would always give the same answer", "Export the model with its inputs.")
        model = run_passes(model, StripMetadata(), NameDimensions())
        hub = workspace / f"{path.stem}.onnx"
        hub.write_bytes(model.SerializeToString(deterministic=True))
        inputs, outputs = describe_inputs(model, path), describe_outputs(model, path)
        artifact = Artifact(
            format="onnx", files=describe_files(workspace, hub.name), inputs=bind_identically(inputs), outputs=bind_identically(outputs)
        )
        return SourceModel(
            format=self.format,
            files=(path,),
            directory=workspace,
            artifact=artifact,
            inputs=inputs,
            outputs=outputs,
            forms={HUB: hub},
            tools={"onnx": version("onnx")},
            precision="int8" if is_quantised(model) else "fp32",
        )


def _drop_constant_inputs(model: ModelProto) -> ModelProto:
    """*model*, whose inputs are only what a caller gives: until IR version 3 each initialiser was listed among them."""
    constants = {tensor.name for tensor in model.graph.initializer}
    given = [value for value in model.graph.input if value.name not in constants]
    del model.graph.input[:]
    model.graph.input.extend(given)
    return model
