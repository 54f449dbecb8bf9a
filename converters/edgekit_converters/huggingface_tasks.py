"""What models of each kind take and give, by their configuration: no more than transformers' own documents say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.errors import InputError
from edgekit.tensors import TensorSpec
from edgekit_converters.huggingface_notes import read_notes

_PROCESSOR, _PREPROCESSOR = "processor_config.json", "preprocessor_config.json"
_BATCH, _SEQUENCE = "batch", "sequence"
_PICTURE = 224
#: A second of sound, at the rate that models of speech take.
_SECOND = 16_000


@dataclass(frozen=True)
class Task:
    """What an architecture ends in, the outputs that its task needs, and whether it would keep a cache of keys and values."""

    ending: str
    outputs: tuple[str, ...]
    has_cache: bool = False


# The first ending that fits decides.
# fmt: off
TASKS: tuple[Task, ...] = (
    Task("ForImageClassification",    ("logits",)),
    Task("ForObjectDetection",        ("logits", "pred_boxes")),
    Task("ForSemanticSegmentation",   ("logits",)),
    Task("ForDepthEstimation",        ("predicted_depth",)),
    Task("ForAudioClassification",    ("logits",)),
    Task("ForSequenceClassification", ("logits",)),
    Task("ForTokenClassification",    ("logits",)),
    Task("ForQuestionAnswering",      ("start_logits", "end_logits")),
    Task("ForMaskedLM",               ("logits",)),
    Task("ForCTC",                    ("logits",)),
    Task("ForCausalLM",               ("logits",), has_cache=True),
    Task("LMHeadModel",               ("logits",), has_cache=True),
    Task("Model",                     ("last_hidden_state", "pooler_output")),
)
# fmt: on


def find_task(architecture: str, subject: str) -> Task:
    """The task of *architecture*, a class of transformers (InputError where it is none of those that are known)."""
    for task in TASKS:
        if architecture.endswith(task.ending):
            return task
    known = ", ".join(task.ending for task in TASKS)
    raise InputError(subject, f"its architecture is {architecture}, and what such a model gives is not known", f"Known endings: {known}.")


def read_preprocessing(path: Path) -> dict[str, Any]:
    """What the processor's notes in *path* say of pictures and sound; nothing where there are none (InputError where they are damaged).

    Since transformers 5 they may be nested in ``processor_config.json``, which goes before ``preprocessor_config.json``.
    """
    nested = read_notes(path / _PROCESSOR).fields if (path / _PROCESSOR).is_file() else {}
    for kind in ("image_processor", "feature_extractor"):
        if isinstance(nested.get(kind), dict):
            return dict(nested[kind])
    return dict(read_notes(path / _PREPROCESSOR).fields) if (path / _PREPROCESSOR).is_file() else {}


def describe_inputs(config: Mapping[str, Any], main: str, preprocessing: Mapping[str, Any], subject: str) -> tuple[TensorSpec, ...]:
    """The inputs of a model whose first is called *main*, with the batch and a text's length free to vary.

    Raises:
        InputError: it takes something else than pictures, tokens or sound.
    """
    if main == "pixel_values":
        return (TensorSpec(name=main, dtype="float32", shape=(_BATCH, _find_channels(config), *_find_picture(config, preprocessing))),)
    if main == "input_ids":
        return tuple(TensorSpec(name=name, dtype="int64", shape=(_BATCH, _SEQUENCE)) for name in (main, "attention_mask"))
    if main in ("input_values", "input_features"):
        return (TensorSpec(name=main, dtype="float32", shape=(_BATCH, *_find_sound(config, preprocessing))),)
    raise InputError(subject, f"its first input is {main!r}, and pictures, tokens and sound are read", "Give package.module:factory instead.")


def find_vocabulary(config: Mapping[str, Any]) -> int:
    """The number of tokens that the model knows; 2 where it does not say, since every vocabulary has as many."""
    size = config.get("vocab_size")
    return size if isinstance(size, int) and size > 1 else 2


def _find_channels(config: Mapping[str, Any]) -> int:
    channels = config.get("num_channels")
    return channels if isinstance(channels, int) else 3


def _find_picture(config: Mapping[str, Any], preprocessing: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width: what the weights are made for, else what pictures are cropped or scaled to."""
    for size in (config.get("image_size"), preprocessing.get("crop_size"), preprocessing.get("size")):
        found = _read_picture(size)
        if found is not None:
            return found
    return _PICTURE, _PICTURE


def _read_picture(size: Any) -> tuple[int, int] | None:
    if isinstance(size, int):
        return size, size
    if isinstance(size, Sequence) and len(size) == 2 and all(isinstance(one, int) for one in size):
        return size[0], size[1]
    if isinstance(size, Mapping):
        edge = size.get("shortest_edge")
        height, width = size.get("height", edge), size.get("width", edge)
        return (height, width) if isinstance(height, int) and isinstance(width, int) else None
    return None


def _find_sound(config: Mapping[str, Any], preprocessing: Mapping[str, Any]) -> tuple[int, ...]:
    """Frames and bands of a spectrogram, or samples of a second of sound."""
    bands, frames = config.get("num_mel_bins"), config.get("max_length")
    if isinstance(bands, int) and isinstance(frames, int):
        # The audio spectrogram transformer: its positions are made for as many frames.
        return frames, bands
    if isinstance(bands, int) and isinstance(config.get("max_source_positions"), int):
        # Whisper's encoder halves the frames.
        return bands, 2 * config["max_source_positions"]
    rate = preprocessing.get("sampling_rate")
    return (rate if isinstance(rate, int) else _SECOND,)
