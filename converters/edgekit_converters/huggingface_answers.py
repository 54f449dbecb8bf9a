"""How the answers of a model of transformers are read, from its ``config.json``: names of classes, and what each task's outputs are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.contract import Activation, Classify, Detect, Embed, Kind, Reading, Segment, Task, Transcribe
from edgekit.errors import InputError
from edgekit.tensors import TensorSpec
from edgekit_converters.huggingface_notes import Notes, read_json, read_notes

_VOCABULARY, _TOKENIZER_NOTES, _POOLING, _MODULES = "vocab.json", "tokenizer_config.json", "1_Pooling/config.json", "modules.json"
_MOST_LABELS = 100_000
_TOP = 5
#: Detectors whose classes have a score each, where DETR and YOLOS have a class for none (their post_process_object_detection).
_SIGMOID_DETECTORS = ("conditional_detr", "d_fine", "dab-detr", "deformable_detr", "rt_detr", "rt_detr_v2")
#: What transformers itself takes where nobody says a threshold.
_THRESHOLD = 0.5
_REMEDY = "Give a contract with --processing FILE."


@dataclass(frozen=True)
class Answering:
    """What is known of a model's answers: its directory *path*, its *config*, the *kind* of what callers give, and its *outputs*."""

    path: Path
    config: Notes
    kind: Kind
    outputs: Sequence[TensorSpec]


@dataclass(frozen=True)
class Answer:
    """A task, how its outputs are read, and the names of its classes or letters."""

    task: Task
    reading: Reading
    labels: tuple[str, ...] = ()


def read_answer(model: Answering, ending: str) -> Answer:
    """How the outputs of *model*, whose architecture has that *ending*, are read.

    Raises:
        InputError: a field is not what it should be, or a contract has no words for what the model gives.
    """
    if ending not in _READERS:
        problem = f"its architecture ends in {ending}, and what such a model gives is no answer that a contract has"
        raise InputError(model.config.file, problem, _REMEDY)
    return _READERS[ending](model)


def read_labels(config: Notes) -> tuple[str, ...]:
    """The names of classes in field ``id2label``, by number; those that it leaves out are called by their number."""
    names = config.find("id2label")
    if names is None:
        return ()
    if not isinstance(names, dict) or len(names) > _MOST_LABELS or not all(key.isdecimal() and isinstance(names[key], str) for key in names):
        raise config.refuse("id2label", "a name for each number of a class is expected")
    numbered = {int(key): name for key, name in names.items()}
    if max(numbered, default=-1) >= 2 * len(numbered) + _TOP:
        raise config.refuse("id2label", "numbers from 0 on are expected")
    return tuple(numbered.get(index) or str(index) for index in range(max(numbered, default=-1) + 1))


def _read_classes(model: Answering) -> Answer:
    kind, labels = model.config.find("problem_type"), read_labels(model.config)
    if kind == "regression" or len(labels) == 1:
        raise model.config.refuse("problem_type", "the model gives a figure instead of classes")
    activation: Activation = "sigmoid" if kind == "multi_label_classification" else "softmax"
    reading = Classify(output="logits", activation=activation, top=min(_TOP, len(labels) or _TOP))
    return Answer(_CLASSIFYING[model.kind], reading, labels)


def _read_boxes(model: Answering) -> Answer:
    has_none = model.config.find("model_type") not in _SIGMOID_DETECTORS
    reading = Detect(
        boxes="pred_boxes",
        scores="logits",
        form="cxcywh",
        unit="shares",
        activation="softmax" if has_none else "sigmoid",
        background=-1 if has_none else None,
        threshold=_THRESHOLD,
        iou=None,
    )
    return Answer("detect", reading, read_labels(model.config))


def _read_mask(model: Answering) -> Answer:
    return Answer("segment", Segment(output="logits"), read_labels(model.config))


def _read_letters(model: Answering) -> Answer:
    """The letters of ``vocab.json``, of which the filling stands for no letter, and ``|`` for a space unless it is said otherwise."""
    file, notes_file = model.path / _VOCABULARY, model.path / _TOKENIZER_NOTES
    vocabulary = read_notes(file).fields
    numbers = {number: letter for letter, number in vocabulary.items() if isinstance(number, int)}
    if sorted(numbers) != list(range(len(vocabulary))) or "" in vocabulary:
        raise InputError(file, "it does not number its letters from 0 on", _REMEDY)
    blank = model.config.find("pad_token_id")
    if not isinstance(blank, int) or blank not in numbers:
        raise model.config.refuse("pad_token_id", f"a number of {_VOCABULARY} is expected")
    space = (read_notes(notes_file).find("word_delimiter_token") if notes_file.is_file() else None) or "|"
    reading = Transcribe(output="logits", blank=blank, space=space if space in vocabulary else None)
    return Answer("transcribe", reading, tuple(numbers[index] for index in range(len(numbers))))


def _read_vector(model: Answering) -> Answer:
    """The pooling that sentence-transformers wrote beside the model; without it, the output that is pooled already."""
    if (model.path / _POOLING).is_file():
        return Answer("embed", _read_pooling(model.path))
    pooled = [spec.name for spec in model.outputs if spec.name == "pooler_output"]
    if not pooled:
        raise InputError(model.config.file, f"nothing says how its vectors become one: {_POOLING} is not there", _REMEDY)
    return Answer("embed", Embed(output=pooled[0]))


def _read_pooling(path: Path) -> Embed:
    notes = read_notes(path / _POOLING)
    modes = [field for field, value in notes.fields.items() if field.startswith("pooling_mode_") and value is True]
    if modes not in (["pooling_mode_mean_tokens"], ["pooling_mode_cls_token"]):
        raise InputError(notes.file, f"its modes are {', '.join(modes) or 'none'}, and the mean or the first token is read", _REMEDY)
    modules = read_json(path / _MODULES) if (path / _MODULES).is_file() else []
    kinds = [str(module.get("type")) for module in modules if isinstance(module, dict)] if isinstance(modules, list) else []
    normalizes = any(kind.endswith(".Normalize") for kind in kinds)
    return Embed(output="last_hidden_state", pool="mean" if modes == ["pooling_mode_mean_tokens"] else "first", normalize=normalizes)


_CLASSIFYING: Mapping[Kind, Task] = {"image": "classify", "audio": "audio", "text": "text"}
_READERS: Mapping[str, Callable[[Answering], Answer]] = {
    "ForImageClassification": _read_classes,
    "ForAudioClassification": _read_classes,
    "ForSequenceClassification": _read_classes,
    "ForObjectDetection": _read_boxes,
    "ForSemanticSegmentation": _read_mask,
    "ForCTC": _read_letters,
    "Model": _read_vector,
}
