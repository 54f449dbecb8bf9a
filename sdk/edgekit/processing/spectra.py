"""Sounds as spectra: frames under a window, mel bands, logarithms, cepstra, and frames stacked, in numpy alone.

Devices cannot carry librosa, which brings numba and scipy, nor TensorFlow. What differs between these is small and exact: the
scale, the shape of a triangle, the window. It is written down here as they have it, and the tests hold it against them.
Spectra are computed in float64 and kept as float32, frame by frame, so that numpy's versions do not differ.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import TypeAlias

import numpy as np

from edgekit.arrays import Array
from edgekit.contract import Cepstrum, Filterbank, Level, Log, Spectrogram, Stack, Transpose
from edgekit.errors import InputError
from edgekit.processing.base import Change
from edgekit.processing.number_steps import check_count

SpectralKind: TypeAlias = Level | Transpose | Spectrogram | Filterbank | Log | Cepstrum | Stack

#: The longest transform, four seconds at 16,000 a second.
MAX_FFT = 1 << 16
#: The most weights of a filter bank or a cosine transform: 32 MiB. So many of each are kept for the next sound.
MAX_WEIGHTS, _KEPT = 1 << 23, 8
#: Values that are transformed at once.
_BLOCK = 1 << 20
_LOWEST = float(np.finfo(np.float32).tiny)


def prepare_spectral_step(step: SpectralKind) -> Change:
    """What carries *step* out; InputError where it says what cannot be carried out."""
    if isinstance(step, Spectrogram):
        _check_frames(step)
        return partial(_transform, step, make_window(step))
    if isinstance(step, Filterbank):
        _check_bands(step)
        return partial(_filter, step)
    if isinstance(step, Transpose):
        _check_axes(step)
        return partial(_transpose, step.axes)
    if isinstance(step, Level):
        return partial(_level, step)
    if isinstance(step, Log):
        return partial(_take_logarithm, step)
    return partial(_find_cepstrum, step) if isinstance(step, Cepstrum) else partial(_stack, step)


def _level(step: Level, array: Array) -> Array:
    axes = tuple(range(1, array.ndim))
    values = array.astype(np.float64)
    if step.by == "deviation":
        values -= values.mean(axes, keepdims=True)
        divisors = np.sqrt(values.var(axes, keepdims=True) + step.epsilon)
    else:
        tops = values.max(axes, keepdims=True, initial=0.0)
        if step.by == "peak":
            tops = np.maximum(tops, -values.min(axes, keepdims=True, initial=0.0))
        divisors = np.maximum(tops, step.epsilon)
    values /= divisors
    return _as_floats(values)


def _as_floats(values: Array) -> Array:
    """*values* as float32."""
    floats: Array = values.astype(np.float32)
    return floats


def _check_axes(step: Transpose) -> None:
    if sorted(step.axes) != list(range(len(step.axes))):
        raise InputError("axes", f"{list(step.axes)} does not name each axis once", "Give the numbers from 0 on, as [1, 0].")


def _transpose(axes: tuple[int, ...], array: Array) -> Array:
    if array.ndim != len(axes) + 1:
        raise InputError("axes", f"they are {len(axes)}, and a sample is {list(array.shape[1:])}", "Name each axis of one sample.")
    turned: Array = array.transpose(0, *(axis + 1 for axis in axes))
    return turned


def _check_frames(step: Spectrogram) -> None:
    if step.fft < step.frame:
        raise InputError("fft", f"it is {step.fft}, and a frame has {step.frame} samples", "Make fft as long as frame, or longer.")
    if step.fft > MAX_FFT or step.fft % 2:
        raise InputError("fft", f"it is {step.fft}, and an even number up to {MAX_FFT} is expected", "Give a power of two.")


def make_window(step: Spectrogram) -> Array:
    """The weights of a frame's samples: (frame) as float64.

    Cosine sums as in scipy.signal.windows; *povey* is Kaldi's, a Hann window to the power of 0.85 (feature-window.cc).
    """
    if step.frame == 1:
        return np.ones(1)
    turns = np.arange(step.frame) / (step.frame if step.periodic else step.frame - 1)
    cosine = np.cos(2 * np.pi * turns)
    windows: dict[str, Callable[[], Array]] = {
        "hann": lambda: 0.5 - 0.5 * cosine,
        "hamming": lambda: 0.54 - 0.46 * cosine,
        "blackman": lambda: 0.42 - 0.5 * cosine + 0.08 * np.cos(4 * np.pi * turns),
        "povey": lambda: (0.5 - 0.5 * cosine) ** 0.85,
        "ones": lambda: np.ones(step.frame),
    }
    return windows[step.window]()


def _transform(step: Spectrogram, window: Array, sounds: Array) -> Array:
    """The spectra of *sounds*, (sounds, samples): (sounds, frames, fft // 2 + 1) as float32."""
    frames = _cut_frames(step, _as_mono(sounds))
    shape = (*frames.shape[:2], step.fft // 2 + 1)
    check_count(shape, "Give a shorter sound, or a longer hop.")
    spectra = np.empty(shape, np.float32)
    for sound, rows in _divide(shape, max(1, _BLOCK // step.fft)):
        values = np.fft.rfft(_shape_frames(step, frames[sound, rows]) * window, step.fft)
        spectra[sound, rows] = np.abs(values) if step.power == 1 else values.real**2 + values.imag**2
    return spectra


def _divide(shape: tuple[int, ...], most: int) -> Iterator[tuple[slice, slice]]:
    """Slices along the first two axes of *shape* that together have all of it, none with more than *most* rows."""
    height = max(1, most // max(shape[1], 1))
    for first in range(0, shape[0], height):
        for second in range(0, shape[1], most):
            yield slice(first, first + height), slice(second, second + most)


def _as_mono(sounds: Array) -> Array:
    if sounds.ndim == 3 and sounds.shape[2] == 1:
        return sounds[..., 0]
    if sounds.ndim != 2:
        problem = f"a sample is {list(sounds.shape[1:])}, and the samples of one channel are expected"
        raise InputError("spectrogram", problem, "Begin the contract with 'resample', which mixes channels down.")
    return sounds


def _cut_frames(step: Spectrogram, sounds: Array) -> Array:
    """The frames of *sounds*, (sounds, frames, frame): a view, in which those that overlap share their samples."""
    samples = sounds.astype(np.float64)
    if step.preemphasis and step.preemphasis_in == "sound":
        samples[:, 1:] -= step.preemphasis * samples[:, :-1]
    if step.centre:
        beside = step.frame // 2
        samples = np.pad(samples, ((0, 0), (beside, beside)), mode="reflect" if step.pad == "reflect" else "constant")
    if samples.shape[1] < step.frame:
        problem = f"a frame takes {step.frame} samples, and the sound has {sounds.shape[1]}"
        raise InputError("frame", problem, "Give a longer sound, or put 'fit' before 'spectrogram'.")
    return np.lib.stride_tricks.sliding_window_view(samples, step.frame, axis=1)[:, :: step.hop]


def _shape_frames(step: Spectrogram, frames: Array) -> Array:
    """*frames* (sounds, frames, frame) without their means, and emphasised one by one, where the step says so."""
    if step.remove_mean:
        frames = frames - frames.mean(axis=-1, keepdims=True)
    if not step.preemphasis or step.preemphasis_in == "sound":
        return frames
    before = np.concatenate([frames[..., :1], frames[..., :-1]], axis=-1)
    return frames - step.preemphasis * before


def _check_bands(step: Filterbank) -> None:
    if not step.low < step.high <= step.rate / 2:
        problem = f"its bands lie between {step.low:g} and {step.high:g} Hz, and at {step.rate} samples a second there are 0 to {step.rate / 2:g} Hz"
        raise InputError("high", problem, "Give low < high <= rate / 2.")


def _filter(step: Filterbank, spectra: Array) -> Array:
    if spectra.ndim != 3:
        problem = f"spectra [frames, bins] are expected, and a sample is {list(spectra.shape[1:])}"
        raise InputError("filterbank", problem, "Put 'spectrogram' before it.")
    check_count((*spectra.shape[:2], step.bands), "Give a shorter sound, or fewer bands.")
    return spectra.astype(np.float32, copy=False) @ make_filters(step, spectra.shape[2])


@lru_cache(maxsize=_KEPT)
def make_filters(step: Filterbank, bins: int) -> Array:
    """The weights by which *bins* of a spectrum become bands: (bins, bands) as float32.

    ``slaney`` and ``htk`` are triangles over frequencies, ``tensorflow`` and ``kaldi`` over mels. These two leave a bin out:
    tf.signal the one at 0 Hz, Kaldi (mel-computations.cc) that at half the rate.

    Raises:
        InputError: they would be too many.
    """
    if bins * step.bands > MAX_WEIGHTS:
        problem = f"{step.bands} bands of {bins} bins have more than {MAX_WEIGHTS} weights"
        raise InputError("bands", problem, "Give fewer bands, or a shorter fft.")
    hertz = np.linspace(0.0, step.rate / 2, bins)
    low, high = _to_mels(step.scale, np.array([step.low, step.high]))
    edges = np.linspace(low, high, step.bands + 2)
    corners = _to_hertz(step.scale, edges)
    if step.scale in ("slaney", "htk"):
        weights = _make_triangles(hertz, corners)
    else:
        weights = _make_triangles(_to_mels(step.scale, hertz), edges)
        weights[0 if step.scale == "tensorflow" else -1] = 0.0
    if step.norm == "slaney":
        weights *= 2 / (corners[2:] - corners[:-2])
    return _as_floats(weights)


def _make_triangles(places: Array, corners: Array) -> Array:
    """For each of *places* its height under each triangle, which rises from one corner to the next and falls to the one after that."""
    widths = np.diff(corners)
    rising = (places[:, None] - corners[:-2]) / widths[:-1]
    falling = (corners[2:] - places[:, None]) / widths[1:]
    triangles: Array = np.maximum(0.0, np.minimum(rising, falling))
    return triangles


def _to_mels(scale: str, hertz: Array) -> Array:
    """*hertz* on the scale of Slaney's Auditory Toolbox (linear to 1000 Hz, then logarithmic), or of the HTK book (O'Shaughnessy 1987)."""
    if scale == "slaney":
        return np.where(hertz < 1000, hertz * 3 / 200, 15 + 27 * np.log(np.maximum(hertz, 1000) / 1000) / np.log(6.4))
    return _find_factor(scale) * np.log1p(hertz / 700)


def _to_hertz(scale: str, mels: Array) -> Array:
    if scale == "slaney":
        return np.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((np.maximum(mels, 15) - 15) / 27))
    return 700 * np.expm1(mels / _find_factor(scale))


def _find_factor(scale: str) -> float:
    """The factor of the natural logarithm: librosa has HTK's for that to the base 10, TensorFlow and Kaldi have it rounded."""
    return float(2595 / np.log(10)) if scale == "htk" else 1127.0


def _take_logarithm(step: Log, array: Array) -> Array:
    # In one place throughout: there may be as many values as an item may have.
    logarithms = array.astype(np.float64)
    logarithms += step.offset
    np.maximum(logarithms, max(step.floor, _LOWEST), out=logarithms)
    (np.log if step.base == "e" else np.log10)(logarithms, out=logarithms)
    if step.base == "db":
        logarithms *= 10
    if step.below_max is not None:
        tops = logarithms.max(tuple(range(1, array.ndim)), keepdims=True, initial=-np.inf)
        np.maximum(logarithms, tops - step.below_max, out=logarithms)
    return _as_floats(logarithms)


def _find_cepstrum(step: Cepstrum, frames: Array) -> Array:
    if frames.ndim != 3 or frames.shape[2] < step.coefficients:
        problem = f"frames with {step.coefficients} bands or more are expected, and a sample is {list(frames.shape[1:])}"
        raise InputError("coefficients", problem, "Put 'filterbank' and 'log' before it, or ask for fewer.")
    if frames.shape[2] * step.coefficients > MAX_WEIGHTS:
        problem = f"{step.coefficients} of {frames.shape[2]} bands have more than {MAX_WEIGHTS} weights"
        raise InputError("coefficients", problem, "Ask for fewer, or put 'filterbank' with fewer bands before it.")
    return frames.astype(np.float32, copy=False) @ _make_cosines(frames.shape[2], step)


@lru_cache(maxsize=_KEPT)
def _make_cosines(bands: int, step: Cepstrum) -> Array:
    """The matrix of the cosine transform: (bands, coefficients) as float32."""
    angles = np.pi / bands * (np.arange(bands)[:, None] + 0.5) * np.arange(step.coefficients)
    cosines = 2 * np.cos(angles)
    if step.norm == "ortho":
        cosines *= np.sqrt(1 / (2 * bands))
        cosines[:, 0] *= np.sqrt(0.5)
    return _as_floats(cosines)


def _stack(step: Stack, frames: Array) -> Array:
    """(vectors of all samples, frames * bands), the frames of a vector one behind the other."""
    if frames.ndim != 3 or frames.shape[1] < step.frames:
        problem = f"{step.frames} frames or more are expected, [frames, bands], and a sample is {list(frames.shape[1:])}"
        raise InputError("frames", problem, "Give a longer sound.")
    starts = np.arange((frames.shape[1] - step.frames) // step.hop + 1) * step.hop
    shape = (len(frames) * len(starts), step.frames * frames.shape[2])
    check_count(shape, "Give a shorter sound, or a longer hop.")
    return frames[:, starts[:, None] + np.arange(step.frames)].reshape(shape)
