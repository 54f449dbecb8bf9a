"""Contracts that nobody has written step by step: made for a task from the model's own tensors, or read from a file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from edgekit.artifacts import FileEntry
from edgekit.contract import Feature, Processing, Reading, Task, Tokenize
from edgekit.errors import InputError, UnknownName
from edgekit.files import digest_file, read_limited
from edgekit.processing.answer_presets import read_anomaly, read_boxes, read_classes, read_embedding, read_mask, read_transcript
from edgekit.processing.picture_presets import feed_classifier, feed_letterboxed, feed_whole, take_picture
from edgekit.processing.sound_presets import feed_sound, is_sound
from edgekit.tensors import TensorSpec
from edgekit.toml_files import decode_toml

#: The longest file with a contract: the labels of 100,000 classes and their steps are far less.
MAX_FILE_BYTES = 16 << 20
_DECODERS: Mapping[str, Callable[[bytes], Any]] = {".toml": decode_toml, ".json": msgspec.json.decode}
_FILE_REMEDY = "docs/concepts/processing.md has every field."


@dataclass(frozen=True)
class Described:
    """A model as a preset sees it, for the *task* of which messages speak."""

    task: str
    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    labels: tuple[str, ...]


def make_preset(task: Task, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], labels: Sequence[str] = ()) -> Processing:
    """The contract that is usual for *task*, as far as a model's *inputs* and *outputs* tell it.

    docs/concepts/processing.md has what each preset assumes. It is a convention: whether the model was trained with it, only
    labelled data can tell.

    Raises:
        InputError: something that the contract needs cannot be told from the tensors; the message names what is missing.
    """
    if task not in _PRESETS:
        raise UnknownName("task", task, _PRESETS)
    feature, answer = _PRESETS[task](Described(f"--task {task}", inputs, outputs, tuple(labels)))
    return Processing(task=task, inputs=(feature,), answer=answer, labels=tuple(labels))


def _classify(model: Described) -> tuple[Feature, Reading]:
    picture = take_picture(model.task, model.inputs)
    return feed_classifier(model.task, picture), read_classes(model.task, model.outputs, model.labels)


def _detect(model: Described) -> tuple[Feature, Reading]:
    picture = take_picture(model.task, model.inputs)
    answer = read_boxes(model.task, model.outputs)
    if answer.layout.startswith("yolo"):
        return feed_letterboxed(model.task, picture), answer
    # TFLite's detectors of the SSD kind are trained with values from -1 to 1, DETR with ImageNet's mean and deviation.
    return feed_whole(model.task, picture, "signed" if answer.layout == "classified" else "imagenet"), answer


def _segment(model: Described) -> tuple[Feature, Reading]:
    picture = take_picture(model.task, model.inputs)
    return feed_whole(model.task, picture), read_mask(model.task, model.outputs, picture)


def _hear(model: Described) -> tuple[Feature, Reading]:
    return feed_sound(model.task, model.inputs), read_classes(model.task, model.outputs, model.labels)


def _transcribe(model: Described) -> tuple[Feature, Reading]:
    return feed_sound(model.task, model.inputs), read_transcript(model.task, model.outputs, model.labels)


def _embed(model: Described) -> tuple[Feature, Reading]:
    answer = read_embedding(model.task, model.outputs)
    if is_sound(model.inputs):
        return feed_sound(model.task, model.inputs), answer
    return feed_classifier(model.task, take_picture(model.task, model.inputs)), answer


def _find_anomalies(model: Described) -> tuple[Feature, Reading]:
    if is_sound(model.inputs):
        return feed_sound(model.task, model.inputs), read_anomaly(model.task, model.inputs[0], model.outputs)
    picture = take_picture(model.task, model.inputs)
    return feed_whole(model.task, picture, "unit"), read_anomaly(model.task, picture.spec, model.outputs)


def _read_texts(model: Described) -> tuple[Feature, Reading]:
    problem = "the tokeniser is missing, which no tensor tells"
    remedy = "Give the Hugging Face directory as the source, or --processing FILE with a step tokenize."
    raise InputError(model.task, problem, remedy)


_PRESETS: Mapping[str, Callable[[Described], tuple[Feature, Reading]]] = {
    "classify": _classify,
    "detect": _detect,
    "segment": _segment,
    "embed": _embed,
    "anomaly": _find_anomalies,
    "audio": _hear,
    "transcribe": _transcribe,
    "text": _read_texts,
}


def read_processing(path: Path) -> Processing:
    """The contract in the TOML or JSON file at *path*, with an entry in ``files`` for each file that it names.

    Those files, a tokeniser for instance, are named relative to the directory of *path* and must lie inside it.

    Raises:
        InputError: it cannot be read, a field is unknown, missing or wrong, or a file that it names is not there; the message
            names file and field.
    """
    given = _parse(path)
    try:
        contract = msgspec.convert(given, Processing)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InputError(path, f"it is no processing contract: {error}", _FILE_REMEDY) from error
    _check_known(path, given, msgspec.to_builtins(contract), "$")
    names = {step.file: None for feature in contract.inputs for step in feature.steps if isinstance(step, Tokenize)}
    return replace(contract, files=tuple(_find_file(path, name) for name in names))


def _parse(path: Path) -> Any:
    decode = _DECODERS.get(path.suffix.lower())
    if decode is None:
        raise InputError(path, "its name ends neither in .toml nor in .json", "Give a processing contract as TOML or JSON.")
    data = read_limited(path, MAX_FILE_BYTES, "Give a processing contract as TOML or JSON.")
    try:
        return decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InputError(path, f"it is no {path.suffix[1:].upper()}: {error}", "Correct the place named.") from error


def _check_known(path: Path, given: Any, known: Any, place: str) -> None:
    """Refuse fields that no record has: a step whose field is misspelt would do what nobody asked for."""
    if isinstance(given, dict) and isinstance(known, dict):
        for field, value in given.items():
            if field not in known:
                raise InputError(path, f"{place} has no field {field!r}", f"Its fields are {', '.join(known)}. {_FILE_REMEDY}")
            _check_known(path, value, known[field], f"{place}.{field}")
    elif isinstance(given, list) and isinstance(known, list | tuple):
        for index, (value, other) in enumerate(zip(given, known, strict=True)):
            _check_known(path, value, other, f"{place}[{index}]")


def _find_file(path: Path, name: str) -> FileEntry:
    """The file *name* beside the contract at *path*; links that lead elsewhere are refused."""
    root = path.parent.resolve()
    file = (root / name).resolve()
    if not file.is_relative_to(root) or not file.is_file():
        raise InputError(path, f"it names the file {name!r}, which is not in its directory", "Put the file beside the contract.")
    return FileEntry(path=name, digest=digest_file(file), length=file.stat().st_size)
