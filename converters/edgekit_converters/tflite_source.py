"""TFLite as a source: the file itself is kept bit for bit, and is its own reference; ONNX is made of it where that keeps it."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgekit.artifacts import Artifact
from edgekit.conversion import HUB, SourceModel, SourceOptions
from edgekit.errors import ConversionError, DeviceError, InputError, TransferError
from edgekit.runtimes.tflite_file import IDENTIFIER
from edgekit_converters.onnx_hub import make_hub
from edgekit_converters.packages import find_missing, list_versions
from edgekit_converters.tensorflow_asking import ask_tensorflow, list_tensorflow_tools
from edgekit_converters.tflite_borders import describe_tflite
from edgekit_converters.tflite_outline import Outline, read_outline

_SUFFIXES = (".tflite", ".lite")
_FILE, _HUB_FILE = "source.tflite", "model.onnx"
_AS_IT_IS = "a TFLite file keeps its sizes, dtypes and layouts; give the model that it was made from, or leave --shape and the like out"


class TFLiteSource:
    """Reads TFLite files, in floats or already quantised."""

    format = "tflite"

    def accepts(self, path: Path) -> bool:
        """Whether *path* is a file with a suffix of TFLite's, or one that has its identifier."""
        if not path.is_file():
            return False
        if path.suffix.lower() in _SUFFIXES:
            return True
        with path.open("rb") as file:
            return file.read(8)[4:] == IDENTIFIER

    def load(self, path: Path, workspace: Path, options: SourceOptions) -> SourceModel:
        """Check the file at *path*, copy it into *workspace*, run it once, and make ONNX of it.

        Raises:
            InputError: it is damaged, cannot be run, or keeps state between inferences.
            DeviceError: LiteRT, which reads it, is not installed here.
        """
        missing = find_missing("ai-edge-litert")
        if missing is not None:
            raise DeviceError(path, f"it cannot be read: {missing}")
        options.check_untraced(path)
        outline = read_outline(path)
        _check(outline, path, options)
        copy = workspace / _FILE
        shutil.copyfile(path, copy)
        artifact = describe_tflite(copy, outline, path)
        inputs, outputs = (tuple(binding.native for binding in bindings) for bindings in (artifact.inputs, artifact.outputs))
        forms, absent = {self.format: copy}, {}
        try:
            forms[HUB] = _make_hub(copy, workspace, artifact, outline)
        except (ConversionError, InputError, DeviceError, TransferError) as error:
            absent[HUB] = f"{error.problem}. {error.remedy}".rstrip(" .")
        precision, suggested = outline.find_numbers()
        return SourceModel(
            format=self.format,
            files=(path,),
            directory=workspace,
            artifact=artifact,
            inputs=inputs,
            outputs=outputs,
            forms=forms,
            absent=absent,
            tools=list_versions("ai-edge-litert") | (list_tensorflow_tools() if HUB in forms else {}),
            precision=precision,
            suggested=suggested,
        )


def _check(outline: Outline, path: Path, options: SourceOptions) -> None:
    if options.shapes or options.dtypes or options.layouts:
        raise InputError(path, "it cannot be changed at its border", _AS_IT_IS[0].upper() + _AS_IT_IS[1:] + ".")
    state = outline.find_state()
    if state is not None:
        problem = f"it keeps state from one inference to the next ({state}), which no runtime here can take back"
        raise InputError(path, problem, "Convert the model with its state as an input and an output.")


def _make_hub(copy: Path, workspace: Path, artifact: Artifact, outline: Outline) -> Path:
    """The file as ONNX with the same inputs and outputs.

    Raises:
        ConversionError, InputError: tf2onnx cannot express it, or what it made is not sound.
        DeviceError, TransferError: the environment of TensorFlow is not here and cannot be made.
    """
    memory = outline.find_memory()
    if memory is not None:
        raise ConversionError("onnx", f"tf2onnx has nothing for the state of {memory}", "Give the model that it was made from")
    specs = [binding.native for binding in (*artifact.inputs, *artifact.outputs)]
    made = workspace / "exported"
    made.mkdir()
    ask_tensorflow(
        "from-tflite",
        copy,
        output=str(made / _HUB_FILE),
        shapes={spec.name: [size if isinstance(size, int) else None for size in spec.shape] for spec in specs},
        dynamic=all(binding.native.has_dynamic_batch for binding in artifact.inputs),
    )
    return make_hub(made / _HUB_FILE, workspace, SourceOptions(), copy).path
