"""The contract of a feature extractor of transformers, from its ``preprocessor_config.json``.

What the file leaves out is what the extractor's class assumes (transformers 5.23, ``feature_extraction_*.py``).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from edgekit.contract import Feature, Fit, Level, Normalize, Resample, Step
from edgekit.processing.sound_presets import AUDIOSET_MEAN, AUDIOSET_STD, event_steps, speech_steps
from edgekit.tensors import TensorSpec
from edgekit_converters.huggingface_notes import Notes

#: What an extractor adds to the variance (zero_mean_unit_var_norm).
_EPSILON = 1e-7

# fmt: off
EXTRACTORS: dict[str, dict[str, Any]] = {
    "ASTFeatureExtractor":      {"sampling_rate": 16_000, "num_mel_bins": 128, "max_length": 1024, "padding_value": 0.0, "do_normalize": True,
                                 "mean": AUDIOSET_MEAN, "std": AUDIOSET_STD},
    "Wav2Vec2FeatureExtractor": {"sampling_rate": 16_000, "padding_value": 0.0, "do_normalize": True, "return_attention_mask": False},
    "WhisperFeatureExtractor":  {"sampling_rate": 16_000, "feature_size": 80, "hop_length": 160, "chunk_length": 30, "n_fft": 400,
                                 "padding_value": 0.0, "dither": 0.0},
}
# fmt: on


def read_sound(notes: Notes, spec: TensorSpec) -> Feature:
    """How a sound becomes *spec*, the model's ``input_values`` or ``input_features``.

    Raises:
        InputError: the extractor is none of those that are known, or does what a contract does not have; the message names the field.
    """
    kind = notes.find("feature_extractor_type")
    if not isinstance(kind, str) or kind not in EXTRACTORS:
        raise notes.refuse("feature_extractor_type", f"extractors that are read are {', '.join(EXTRACTORS)}")
    notes = replace(notes, assumed=EXTRACTORS[kind])
    return Feature(name="sound", kind="audio", feeds=spec.name, steps=_READERS[kind](notes, spec))


def _read_events(notes: Notes, _spec: TensorSpec) -> tuple[Step, ...]:
    _check_padding(notes)
    frames, bands = notes.read_count("max_length"), notes.read_count("num_mel_bins")
    rate, mean, std = notes.read_count("sampling_rate"), notes.read_number("mean"), notes.read_number("std")
    if std <= 0:
        raise notes.refuse("std", "a number above 0 is expected")
    if notes.is_set("do_normalize"):
        return event_steps(frames, bands, rate=rate, mean=mean, std=std)
    return tuple(step for step in event_steps(frames, bands, rate=rate) if not isinstance(step, Normalize))


def _read_samples(notes: Notes, spec: TensorSpec) -> tuple[Step, ...]:
    """Bare samples. Their level is that of what was there before they were filled up, where the extractor knows which that was."""
    _check_padding(notes)
    resample, length = Resample(rate=notes.read_count("sampling_rate")), spec.shape[1]
    level = (Level(by="deviation", epsilon=_EPSILON),) if notes.is_set("do_normalize") else ()
    if isinstance(length, str):
        return (resample, *level)
    if notes.is_set("return_attention_mask"):
        return (resample, Fit(length=length, only="cut"), *level, Fit(length=length))
    return (resample, Fit(length=length), *level)


def _read_speech(notes: Notes, _spec: TensorSpec) -> tuple[Step, ...]:
    _check_padding(notes)
    if notes.read_number("dither") != 0:
        raise notes.refuse("dither", "noise that differs from run to run is not expressed")
    rate, hop = notes.read_count("sampling_rate"), notes.read_count("hop_length")
    samples = notes.read_count("chunk_length") * rate
    if samples % hop:
        raise notes.refuse("hop_length", f"a divisor of the {samples} samples of a chunk is expected")
    return speech_steps(notes.read_count("feature_size"), samples // hop, rate=rate, fft=notes.read_count("n_fft"), hop=hop)


def _check_padding(notes: Notes) -> None:
    if notes.read_number("padding_value") != 0:
        raise notes.refuse("padding_value", "silence, 0, is expected")


_READERS: Mapping[str, Callable[[Notes, TensorSpec], tuple[Step, ...]]] = {
    "ASTFeatureExtractor": _read_events,
    "Wav2Vec2FeatureExtractor": _read_samples,
    "WhisperFeatureExtractor": _read_speech,
}
