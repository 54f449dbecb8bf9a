"""The processing contract that a Hugging Face directory implies: what its processor does to callers' items, and how answers are read.

What a contract cannot express is not approximated: the whole contract is left out, and the reason names the file and the field.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.artifacts import FileEntry
from edgekit.contract import Feature, Processing
from edgekit.errors import DeviceError, InputError
from edgekit.files import digest_file
from edgekit.processing.pipeline import open_pipeline
from edgekit.tensors import TensorSpec
from edgekit_converters.huggingface_answers import Answering, read_answer
from edgekit_converters.huggingface_notes import Notes, read_notes
from edgekit_converters.huggingface_pictures import read_picture
from edgekit_converters.huggingface_sounds import read_sound
from edgekit_converters.huggingface_tasks import find_task
from edgekit_converters.huggingface_texts import TOKENIZER, read_text

_CONFIG, _PREPROCESSOR, _PROCESSOR = "config.json", "preprocessor_config.json", "processor_config.json"
#: Where ``processor_config.json`` has what a preprocessor of one kind does.
_NESTED = {"pixel_values": "image_processor"}


@dataclass(frozen=True)
class FoundProcessing:
    """What was found: *processing*, whose *files* lie where they say, by the names that it has for them, or in *gap* why there is none.

    *notes* are the files that it was read from.
    """

    processing: Processing | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    notes: tuple[Path, ...] = ()
    gap: str = ""


def find_processing(path: Path, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], workspace: Path) -> FoundProcessing:
    """The contract of the model in the directory *path*, with *inputs* and *outputs* as they were exported.

    Files that travel with it are copied into *workspace*. It was opened there once: what is found fits the model.
    """
    try:
        return _read(path, inputs, outputs, workspace)
    except (InputError, DeviceError) as error:
        return FoundProcessing(gap=str(error))


def _read(path: Path, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], workspace: Path) -> FoundProcessing:
    config = read_notes(path / _CONFIG)
    task = find_task(_find_architecture(config), str(config.file))
    _check_dtypes(inputs)
    feature, notes = _read_feature(path, config, inputs)
    answer = read_answer(Answering(path, config, feature.kind, outputs), task.ending)
    files = _copy_files(path, feature, workspace)
    entries = tuple(FileEntry(path=name, digest=digest_file(file), length=file.stat().st_size) for name, file in files.items())
    made = Processing(task=answer.task, inputs=(feature,), answer=answer.reading, labels=answer.labels, files=entries)
    # Decoding holds each field against the contract's own bounds, which building does not.
    processing = Processing.decode(made.encode(), str(notes[-1]))
    open_pipeline(processing, inputs, outputs, workspace)
    return FoundProcessing(processing, files, notes)


def _find_architecture(config: Notes) -> str:
    names = config.find("architectures")
    if not isinstance(names, list) or not names or not isinstance(names[0], str):
        raise config.refuse("architectures", "the name of a class of transformers is expected")
    return names[0]


def _check_dtypes(inputs: Sequence[TensorSpec]) -> None:
    for spec in inputs:
        if spec.dtype not in ("float32", "int32", "int64"):
            problem = f"the model's input was given the dtype {spec.dtype}, which transformers' processors do not make"
            raise InputError(f"input {spec.name!r}", problem, "Give a contract with --processing FILE.")


def _read_feature(path: Path, config: Notes, inputs: Sequence[TensorSpec]) -> tuple[Feature, tuple[Path, ...]]:
    """The feature by the model's first input, and the files that say it."""
    first = inputs[0]
    if first.name == "input_ids":
        return read_text(path, config, inputs), (config.file, path / TOKENIZER)
    if len(inputs) > 1:
        listed = ", ".join(spec.name for spec in inputs)
        raise InputError(path, f"the model takes {listed}, and one input beside tokens is read", "Give a contract with --processing FILE.")
    notes = _find_notes(path, _NESTED.get(first.name, "feature_extractor"))
    return (read_picture if first.name == "pixel_values" else read_sound)(notes, first), (config.file, notes.file)


def _find_notes(path: Path, nested: str) -> Notes:
    """What the preprocessor does: since transformers 5 it lies in ``processor_config.json``, and goes before what lies beside it."""
    if (path / _PROCESSOR).is_file():
        notes = read_notes(path / _PROCESSOR)
        inner = notes.find(nested)
        if isinstance(inner, dict):
            return Notes(notes.file, inner, {})
    return read_notes(path / _PREPROCESSOR)


def _copy_files(path: Path, feature: Feature, workspace: Path) -> dict[str, Path]:
    if feature.kind != "text":
        return {}
    workspace.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path / TOKENIZER, workspace / TOKENIZER)
    return {TOKENIZER: workspace / TOKENIZER}
