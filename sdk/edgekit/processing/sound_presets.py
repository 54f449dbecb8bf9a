"""Contracts that are usual for sounds, told by the shape of a model's input: keywords, machines, speech, events, and bare samples.

Each is the published preprocessing of a model that many others copy, at 16,000 samples a second.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

from edgekit.contract import (
    Cepstrum,
    Feature,
    Filterbank,
    Fit,
    Level,
    Log,
    Normalize,
    Quantize,
    Resample,
    Reshape,
    Scale,
    Spectrogram,
    Stack,
    Step,
    Transpose,
)
from edgekit.errors import InputError
from edgekit.tensors import TensorSpec

RATE = 16_000
#: What sys.float_info.epsilon is, which the anomaly benchmark adds before its logarithm.
_EPSILON = 2.0**-52
#: The smallest step from 1 in float32, below which Kaldi takes no energy.
_KALDI_FLOOR = 2.0**-23
#: AudioSet's log-mel mean and standard deviation, as the audio spectrogram transformer takes them (Gong et al. 2021).
AUDIOSET_MEAN, AUDIOSET_STD = -4.2677393, 4.5689974


def keyword_steps(frames: int, coefficients: int) -> tuple[Step, ...]:
    """Cepstra of 30 ms every 20 ms: those of MLPerf Tiny's keyword spotting, which are (49, 10) of a second, (frames, coefficients).

    40 bands of 20 to 4000 Hz as tf.signal makes them. The sound is divided by its highest sample first.
    """
    frame, hop, bands = 480, 320, 40
    return (
        Resample(rate=RATE),
        Level(by="maximum"),
        Fit(length=hop * (frames + 1)),
        Spectrogram(frame=frame, hop=hop, fft=512, power=1),
        Filterbank(rate=RATE, bands=bands, low=20.0, high=4000.0, scale="tensorflow"),
        Log(offset=1e-6),
        Cepstrum(coefficients=coefficients, norm="none"),
        Scale(factor=1 / sqrt(2 * bands)),
    )


def machine_steps(frames: int = 5, bands: int = 128, hop: int = 1) -> tuple[Step, ...]:
    """*frames* neighbouring frames of *bands* decibels as one vector: those of DCASE's and MLPerf Tiny's anomaly detection.

    They were made with a librosa that mirrors the sound at its ends, as old ones did where nobody asked for anything else.
    """
    return (
        Resample(rate=RATE),
        Spectrogram(frame=1024, hop=512, fft=1024, centre=True),
        Filterbank(rate=RATE, bands=bands, low=0.0, high=RATE / 2, norm="slaney"),
        Log(base="db", offset=_EPSILON),
        Stack(frames=frames, hop=hop),
    )


def speech_steps(bands: int, frames: int, *, rate: int = RATE, fft: int = 400, hop: int = 160) -> tuple[Step, ...]:
    """Whisper's log-mel spectrogram, (bands, frames): 25 ms every 10 ms, no more than 80 dB below the highest (Radford et al. 2022)."""
    return (
        Resample(rate=rate),
        Fit(length=hop * frames),
        Spectrogram(frame=fft, hop=hop, fft=fft, centre=True),
        # The frame around the end is left out.
        Fit(length=frames),
        Filterbank(rate=rate, bands=bands, low=0.0, high=8000.0, norm="slaney"),
        Log(base="10", floor=1e-10, below_max=8.0),
        Scale(factor=0.25, offset=1.0),
        Transpose(axes=(1, 0)),
    )


def event_steps(frames: int, bands: int, *, rate: int = RATE, mean: float = AUDIOSET_MEAN, std: float = AUDIOSET_STD) -> tuple[Step, ...]:
    """The audio spectrogram transformer's Kaldi features, (frames, bands): 25 ms every 10 ms, and half of AudioSet's deviation as unit."""
    frame, hop = 400, 160
    return (
        Resample(rate=rate),
        # No more than the frames that are kept need.
        Fit(length=frame + hop * (frames - 1), only="cut"),
        Spectrogram(frame=frame, hop=hop, fft=512, periodic=False, preemphasis=0.97, preemphasis_in="frame", remove_mean=True),
        Filterbank(rate=rate, bands=bands, low=20.0, high=rate / 2, scale="kaldi"),
        Log(floor=_KALDI_FLOOR),
        Fit(length=frames),
        Normalize(mean=(mean,), std=(2 * std,)),
    )


def sample_steps(length: int | None) -> tuple[Step, ...]:
    """Bare samples from -1 to 1, *length* of them, or as many as there are."""
    return (Resample(rate=RATE), *(() if length is None else (Fit(length=length),)))


@dataclass(frozen=True)
class _Kind:
    """A kind of input: *fits* tells it by the shape of one sample, and *make* makes its steps."""

    words: str
    fits: Callable[[tuple[int, ...]], bool]
    make: Callable[[tuple[int, ...]], tuple[Step, ...]]


# The first that fits decides.
# fmt: off
_KINDS: tuple[_Kind, ...] = (
    _Kind("cepstra [frames, 8 to 20]",     lambda s: len(s) == 2 and 10 <= s[0] <= 200 and 8 <= s[1] <= 20,  lambda s: keyword_steps(*s)),
    _Kind("5 frames of 128 bands [640]",   lambda s: s == (640,),                                            lambda _: machine_steps()),
    _Kind("speech [80 or 128, frames]",    lambda s: len(s) == 2 and s[0] in (80, 128) and s[1] >= 200,      lambda s: speech_steps(*s)),
    _Kind("events [frames, 128]",          lambda s: len(s) == 2 and s[0] >= 200 and s[1] == 128,            lambda s: event_steps(*s)),
    _Kind("samples [1000 or more]",        lambda s: len(s) == 1 and s[0] >= 1000,                           lambda s: sample_steps(*s)),
)
# fmt: on


def is_sound(inputs: Sequence[TensorSpec]) -> bool:
    """Whether *inputs* are the one input of a model of sounds, as far as its shape tells."""
    return len(inputs) == 1 and _find_steps(inputs[0]) is not None


def feed_sound(subject: str, inputs: Sequence[TensorSpec]) -> Feature:
    """How a sound becomes the one input of a model, by the shape of that.

    Raises:
        InputError: there are several inputs, its shape is none of those that are known, or its integers have no scale.
    """
    if len(inputs) != 1:
        names = ", ".join(spec.name for spec in inputs)
        raise InputError(subject, f"the model has the inputs {names}, and one that takes a sound is expected", "Give --processing FILE.")
    steps = _find_steps(inputs[0])
    if steps is None:
        known = "; ".join(kind.words for kind in _KINDS)
        raise InputError(subject, f"how a sound becomes {inputs[0]} is not known", f"Give --processing FILE. Known are: {known}.")
    return Feature(name="sound", kind="audio", feeds=inputs[0].name, steps=(*steps, *finish_steps(subject, inputs[0])))


def _find_steps(spec: TensorSpec) -> tuple[Step, ...] | None:
    """The steps that make a sample of *spec*, but for its dtype; an axis of one that stands for a channel comes last or first."""
    sample = spec.shape[1:]
    if len(sample) == 1 and isinstance(sample[0], str):
        return sample_steps(None)
    sizes = tuple(size for size in sample if isinstance(size, int))
    if len(sizes) < len(sample):
        return None
    bare = tuple(size for size in sizes if size != 1)
    kind = next((kind for kind in _KINDS if kind.fits(bare)), None)
    if kind is None:
        return None
    return kind.make(bare) if bare == sizes else (*kind.make(bare), Reshape(shape=sizes))


def finish_steps(subject: str, spec: TensorSpec) -> tuple[Step, ...]:
    """What makes floats the dtype of *spec*: nothing, or its own scale of integers.

    Raises:
        InputError: it takes integers, and nobody says on which scale.
    """
    if spec.dtype == "float32":
        return ()
    if spec.quantization is None or len(spec.quantization.scale) != 1 or spec.dtype not in ("int8", "uint8", "int16"):
        problem = f"the model's input {spec} is no float32, and has no scale of its own"
        raise InputError(subject, problem, "Give --processing FILE with a step 'quantize' or 'cast'.")
    return (Quantize(dtype=spec.dtype, scale=spec.quantization.scale[0], zero_point=spec.quantization.zero_point[0]),)
