"""Feature extractors of transformers as contracts: field by field, and on real sounds as transformers itself makes them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.contract import Fit, Level, Normalize, Processing, Resample, Scale
from edgekit.errors import InputError
from edgekit.processing.pipeline import open_pipeline
from edgekit.tensors import TensorSpec
from edgekit_converters.huggingface_notes import Notes, read_notes
from edgekit_converters.huggingface_sounds import EXTRACTORS, read_sound

LEVEL = Level(by="deviation", epsilon=1e-7)


def make_spec(*shape: int | str) -> TensorSpec:
    return TensorSpec(name="input_values", dtype="float32", shape=("batch", *shape))


def read(kind: Any, spec: TensorSpec | None = None, **fields: Any):
    notes = Notes(Path("preprocessor_config.json"), {"feature_extractor_type": kind, **fields}, {})
    return read_sound(notes, spec or make_spec(1024, 128)).steps


def test_samples_are_levelled_as_the_extractor_does():
    """What was filled up counts for the level where there is no mask, and does not where there is one; of any length nothing is filled."""
    kind, fixed = "Wav2Vec2FeatureExtractor", make_spec(16_000)
    assert read(kind, fixed) == (Resample(rate=16_000), Fit(length=16_000), LEVEL)
    masked = (Resample(rate=16_000), Fit(length=16_000, only="cut"), LEVEL, Fit(length=16_000))
    assert read(kind, fixed, return_attention_mask=True) == masked
    assert read(kind, make_spec("samples"), sampling_rate=8000) == (Resample(rate=8000), LEVEL)
    assert read(kind, make_spec("samples"), do_normalize=False) == (Resample(rate=16_000),)


def test_events_have_the_extractors_mean():
    """The audio spectrogram transformer's mean and half its unit are in the last step, unless nothing is normalised."""
    assert read("ASTFeatureExtractor", mean=-1.0, std=2.0)[-1] == Normalize(mean=(-1.0,), std=(4.0,))
    assert read("ASTFeatureExtractor", do_normalize=False)[-1] == Fit(length=1024)


def test_speech_has_the_extractors_frames():
    """Whisper's chunk of ten seconds is a thousand frames."""
    steps = read("WhisperFeatureExtractor", make_spec(80, 1000), chunk_length=10)
    assert steps[1] == Fit(length=160_000)
    assert steps[3] == Fit(length=1000)
    assert Scale(factor=0.25, offset=1.0) in steps


@pytest.mark.parametrize(
    ("kind", "fields", "told"),
    [
        ("SeamlessM4TFeatureExtractor", {}, "field 'feature_extractor_type' is \"SeamlessM4TFeatureExtractor\", and extractors that are read"),
        (None, {}, "field 'feature_extractor_type' is null"),
        ("WhisperFeatureExtractor", {"dither": 0.1}, "field 'dither' is 0.1, and noise"),
        ("WhisperFeatureExtractor", {"hop_length": 7}, "field 'hop_length' is 7, and a divisor of the 480000"),
        ("ASTFeatureExtractor", {"padding_value": 1.0}, "field 'padding_value' is 1.0, and silence"),
        ("ASTFeatureExtractor", {"std": 0}, "field 'std'"),
        ("ASTFeatureExtractor", {"max_length": "long"}, "field 'max_length'"),
    ],
)
def test_what_a_contract_has_no_words_for_is_named(kind, fields, told):
    """Unknown extractors, noise, and fields that are not what they should be are refused by their name."""
    with pytest.raises(InputError, match=f"preprocessor_config.json: {told}"):
        read(kind, **fields)


def make_sounds():
    """A gliding tone in faint noise: of a second, less, more, much more, and one frame; (samples) as float32."""
    rng = np.random.default_rng(0)
    for count in (16_000, 9000, 48_000, 180_000, 401):
        time = np.arange(count) / 16_000
        tone = 0.3 * np.sin(2 * np.pi * (300 + 200 * np.sin(3 * time)) * time) * np.exp(-((time - 0.4) ** 2) * 5)
        yield (tone + 0.01 * rng.normal(size=count)).astype(np.float32)


FIXED = {"padding": "max_length", "max_length": 16_000, "truncation": True}
#: Extractor, its fields, the model's input, what is said when it is called, and how close single precision comes.
CASES: list[tuple[str, dict[str, Any], tuple[int | str, ...], dict[str, Any], float]] = [
    ("ASTFeatureExtractor", {}, (1024, 128), {}, 1e-5),
    ("ASTFeatureExtractor", {"do_normalize": False, "max_length": 128, "num_mel_bins": 64}, (128, 64), {}, 1e-5),
    # transformers' own two ways to make it differ by 1e-5, as its comments say.
    ("WhisperFeatureExtractor", {}, (80, 3000), {}, 1e-4),
    ("WhisperFeatureExtractor", {"feature_size": 128, "chunk_length": 10}, (128, 1000), {}, 1e-4),
    ("Wav2Vec2FeatureExtractor", {}, ("samples",), {}, 1e-5),
    ("Wav2Vec2FeatureExtractor", {"return_attention_mask": False}, (16_000,), FIXED, 1e-5),
    ("Wav2Vec2FeatureExtractor", {"return_attention_mask": True}, (16_000,), FIXED, 1e-5),
]


@pytest.mark.heavy
@pytest.mark.torch
@pytest.mark.parametrize(("kind", "fields", "shape", "call", "within"), CASES)
def test_sounds_are_those_of_transformers(kind, fields, shape, call, within, tmp_path):
    """Each extractor makes of sounds of several lengths what its contract makes of them."""
    transformers = pytest.importorskip("transformers")
    theirs = getattr(transformers, kind)(**fields)
    theirs.save_pretrained(tmp_path)
    spec = TensorSpec(name=theirs.model_input_names[0], dtype="float32", shape=("batch", *shape))
    feature = read_sound(read_notes(tmp_path / "preprocessor_config.json"), spec)
    pipeline = open_pipeline(Processing(inputs=(feature,)), [spec], [], tmp_path)
    for sound in make_sounds():
        wanted = theirs(sound, sampling_rate=16_000, return_tensors="np", **call)[spec.name]
        np.testing.assert_allclose(pipeline.feed({"sound": sound}).inputs[spec.name], wanted, atol=within)


@pytest.mark.heavy
@pytest.mark.torch
@pytest.mark.parametrize("kind", EXTRACTORS)
def test_what_is_assumed_is_what_transformers_assumes(kind):
    """The fields that a file leaves out are those of the extractor's class, each of them."""
    theirs = getattr(pytest.importorskip("transformers"), kind)()
    assert {field: getattr(theirs, field) for field in EXTRACTORS[kind]} == EXTRACTORS[kind]
