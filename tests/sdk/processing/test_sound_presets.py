"""Contracts for sounds, told by the shape of a model's input: each makes that shape, dtype and scale of a real WAV."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgekit.contract import Processing, Quantize
from edgekit.errors import InputError
from edgekit.processing.pipeline import open_pipeline
from edgekit.processing.sound_presets import feed_sound, is_sound
from edgekit.tensors import Quantization, TensorSpec


def make_spec(*shape: int | str, dtype="float32", quantization: Quantization | None = None) -> TensorSpec:
    return TensorSpec(name="x", dtype=dtype, shape=("batch", *shape), quantization=quantization)


def make_wav(seconds: float, rate: int, channels: int) -> bytes:
    time = np.arange(int(seconds * rate)) / rate
    tone = 0.4 * np.sin(2 * np.pi * (300 + 100 * time) * time) * np.hanning(time.size)
    buffer = io.BytesIO()
    soundfile.write(buffer, np.stack([tone] * channels, axis=1), rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def feed(spec: TensorSpec, wav: bytes):
    contract = Processing(task="audio", inputs=(feed_sound("--task audio", [spec]),))
    return open_pipeline(contract, [spec], [], Path()).feed({"sound": wav}).inputs["x"]


@pytest.mark.parametrize(
    ("shape", "samples"),
    [
        ((49, 10, 1), 1),
        ((49, 10), 1),
        # 32 frames of a second, five at a time.
        ((640,), 28),
        ((80, 3000), 1),
        ((128, 1000), 1),
        ((1024, 128), 1),
        ((1, 300, 128), 1),
        ((16_000,), 1),
        ((1, 24_000), 1),
    ],
)
@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2)])
def test_a_sound_becomes_what_the_shape_tells(shape, samples, rate, channels):
    """Cepstra, stacked bands, speech, events and bare samples, with an axis for one channel or none, of a sound at any rate."""
    spec = make_spec(*shape)
    assert is_sound([spec])
    fed = feed(spec, make_wav(1.0, rate, channels))
    assert fed.shape == (samples, *shape)
    assert fed.dtype == np.float32
    assert fed.std() > 0.01


def test_a_sound_of_any_length_stays_as_long_as_it_is():
    """An input of any length takes all samples."""
    assert feed(make_spec("samples"), make_wav(1.5, 16_000, 1)).shape == (1, 24_000)


def test_integers_are_on_the_models_own_scale():
    """An input of int8 gets the features on its scale, as the float model's are rounded."""
    wav = make_wav(1.0, 16_000, 1)
    quantised = make_spec(49, 10, 1, dtype="int8", quantization=Quantization(scale=(0.5,), zero_point=(83,)))
    floats = feed(make_spec(49, 10, 1), wav)
    assert feed_sound("--task audio", [quantised]).steps[-1] == Quantize(dtype="int8", scale=0.5, zero_point=83)
    assert (feed(quantised, wav) == np.clip(np.rint(floats / 0.5) + 83, -128, 127)).all()


@pytest.mark.parametrize(
    ("specs", "told"),
    [
        ([make_spec(3, 224, 224)], r"how a sound becomes x: float32\[batch, 3, 224, 224\] is not known.*cepstra"),
        ([make_spec("frames", 40)], "is not known"),
        ([make_spec(7)], "is not known"),
        ([make_spec(16_000), make_spec(1)], "the inputs x, x, and one"),
        ([make_spec(16_000, dtype="int8")], "no float32, and has no scale"),
        ([make_spec(16_000, dtype="int32", quantization=Quantization(scale=(1.0,), zero_point=(0,)))], "no float32"),
    ],
)
def test_what_cannot_be_told_is_refused(specs, told):
    """A shape that is nobody's, several inputs, and integers without a scale are refused, with what is known."""
    with pytest.raises(InputError, match=told):
        feed_sound("--task audio", specs)


def test_pictures_are_no_sounds():
    """Inputs whose shape tells no sound, and several inputs, are none."""
    assert not is_sound([make_spec(3, 224, 224)])
    assert not is_sound([make_spec(640), make_spec(640)])
