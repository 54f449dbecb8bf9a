"""Sounds: files and arrays become samples at the rate that a contract asks for.

Files are WAV, FLAC or OGG. They may come from anybody, so a file's header is held against limits before a sample is decoded,
and one that ends earlier than it says is refused: libsndfile would give what is there, and nobody would know.
"""

import io
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.arrays import Array
from edgekit.contract import Feature, Filterbank, Resample, Step
from edgekit.errors import InputError
from edgekit.processing.base import Raw
from edgekit.processing.libraries import load_library

#: The longest sound that is taken, in seconds.
MAX_SECONDS = 600.0
#: The most samples of all channels together: ten minutes of stereo at 48,000 a second, in 256 MiB.
MAX_SAMPLES = 1 << 26
MAX_CHANNELS = 64
#: Encodings by which libsndfile reads no more than a codec that is in wide use.
_ENCODINGS = frozenset({"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "VORBIS", "OPUS"})
_MOST_CHUNKS = 1000
_END_OF_STREAM = 4
_FILE_REMEDY = "Give a WAV, FLAC or OGG file."
_WHOLE_REMEDY = "Fetch or record it again, or write it with a tool that knows its length."


@dataclass(frozen=True)
class Sound:
    """*samples* (samples, channels) as float32, from -1 to 1, at *rate* a second; None where that was not said."""

    samples: Array
    rate: int | None


def prepare_sound(feature: Feature) -> Callable[[Raw], Array]:
    """What reads a sound for *feature*: its samples as (1, samples), or (1, samples, channels) where there are several and no Resample.

    A Resample step, which must be the first, is carried out here, since only the reader knows the rate of a file.

    Raises:
        InputError: Resample is not the first step, or two steps ask for different rates.
        DeviceError: the library for sounds is not installed.
    """
    rate = find_rate(feature.steps, feature.name)
    resamples = any(isinstance(step, Resample) for step in feature.steps)
    load_library("soundfile", "audio")
    if resamples:
        load_library("soxr", "audio")

    def read(raw: Raw) -> Array:
        sound = read_sound(raw, f"input {feature.name!r}")
        samples = _bring_to_rate(sound, rate, feature.name) if resamples else _check_rate(sound, rate, feature.name)
        return samples[None]

    return read


def find_rate(steps: Sequence[Step], name: str) -> int | None:
    """The rate at which *steps* want the sound of the feature *name*; None where none of them says one (InputError where two differ)."""
    for index, step in enumerate(steps):
        if isinstance(step, Resample) and index > 0:
            raise InputError(f"input {name!r}", f"its step {index + 1} is 'resample', which must be the first", "Move it to the front of steps.")
    rates = list(dict.fromkeys(step.rate for step in steps if isinstance(step, Resample | Filterbank)))
    if len(rates) > 1:
        problem = f"its steps speak of {rates[0]} and of {rates[1]} samples a second"
        raise InputError(f"input {name!r}", problem, "Give 'resample' and 'filterbank' the same rate.")
    return rates[0] if rates else None


def read_sound(raw: Raw, subject: str) -> Sound:
    """The sound that a caller gave: the bytes of a file, or an array (samples) or (samples, channels) of floats or int16.

    Raises:
        InputError: it is no sound that can be read, is damaged or too long, or has samples that are not finite; it names *subject*.
        DeviceError: the library for sounds is not installed.
    """
    if isinstance(raw, bytes | bytearray | memoryview):
        return decode_sound(bytes(raw), subject)
    if isinstance(raw, np.ndarray):
        return Sound(_check_samples(_as_floats(raw, subject), subject), None)
    raise InputError(subject, "it is a text, and a sound is expected", _FILE_REMEDY)


def decode_sound(data: bytes, subject: str, max_seconds: float = MAX_SECONDS) -> Sound:
    """The sound in the WAV, FLAC or OGG file *data*, of at most *max_seconds*; raises as read_sound does."""
    library = load_library("soundfile", "audio")
    _check_whole(data, subject)
    try:
        with library.SoundFile(io.BytesIO(data)) as file:
            _check_header(file, subject, max_seconds)
            samples = file.read(file.frames, dtype="float32", always_2d=True)
            _check_count(len(samples), file.frames, subject)
            return Sound(_check_samples(samples, subject), file.samplerate)
    except library.SoundFileError as error:
        raise InputError(subject, f"it cannot be decoded: {_shorten(error)}", _FILE_REMEDY) from error


def _shorten(error: Exception) -> str:
    """What libsndfile says, without the object that it was opened from."""
    return str(error).rpartition(">: ")[2]


def _check_whole(data: bytes, subject: str) -> None:
    """Refuse other kinds of files, and those that were cut off, which libsndfile takes for shorter ones."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        _check_chunks(data, subject)
    elif data[:4] == b"OggS":
        _check_last_page(data, subject)
    elif data[:4] != b"fLaC":
        raise InputError(subject, "it is no WAV, FLAC or OGG file", _FILE_REMEDY)


def _check_chunks(data: bytes, subject: str) -> None:
    """Look for the chunk ``data`` of a WAV file, which must lie in it whole: each has a name and a length, and is filled up to an even one."""
    position = 12
    for _ in range(_MOST_CHUNKS):
        if position + 8 > len(data):
            break
        name, length = struct.unpack_from("<4sI", data, position)
        there = len(data) - position - 8
        if name == b"data":
            if length > there:
                raise InputError(subject, f"its header speaks of {length} bytes of sound, and {there} are there", _WHOLE_REMEDY)
            return
        position += 8 + length + length % 2
    raise InputError(subject, "it is a WAV file without sound: it has no chunk 'data'", _WHOLE_REMEDY)


def _check_last_page(data: bytes, subject: str) -> None:
    """Refuse an OGG file whose last page is not there whole, or is not marked as the last (RFC 3533, section 6)."""
    start = data.rfind(b"OggS")
    head = data[start : start + 27]
    if len(head) == 27 and head[5] & _END_OF_STREAM:
        lengths = data[start + 27 : start + 27 + head[26]]
        if len(lengths) == head[26] and start + 27 + head[26] + sum(lengths) <= len(data):
            return
    raise InputError(subject, "it is an OGG file whose end is missing", _WHOLE_REMEDY)


def _check_header(file: Any, subject: str, max_seconds: float) -> None:
    if file.subtype not in _ENCODINGS:
        raise InputError(subject, f"it is encoded as {file.subtype}, which is not read", "Convert it to a WAV file of 16 bits.")
    if file.channels > MAX_CHANNELS:
        raise InputError(subject, f"it has {file.channels} channels, and at most {MAX_CHANNELS} are taken", "Give fewer channels.")
    seconds = file.frames / file.samplerate
    if seconds > max_seconds:
        raise InputError(subject, f"it lasts {seconds:.0f} s, and at most {max_seconds:.0f} s are taken", "Cut it into pieces.")
    if file.frames * file.channels > MAX_SAMPLES:
        raise InputError(
            subject, f"it has {file.frames} samples in {file.channels} channels, and {MAX_SAMPLES} in all are taken", "Cut it into pieces."
        )


def _check_count(found: int, frames: int, subject: str) -> None:
    if found != frames:
        raise InputError(subject, f"its header speaks of {frames} samples, and {found} are there", _WHOLE_REMEDY)


def _as_floats(array: Array, subject: str) -> Array:
    if array.ndim not in (1, 2) or (array.ndim == 2 and not 1 <= array.shape[1] <= MAX_CHANNELS):
        shape = list(array.shape)
        raise InputError(
            subject, f"it is an array {shape}, and [samples] or [samples, channels] is expected", "Put the samples along the first axis."
        )
    if array.size > MAX_SAMPLES:
        raise InputError(subject, f"it has {array.size} samples, and at most {MAX_SAMPLES} are taken", "Cut it into pieces.")
    if array.dtype == np.int16:
        array = array / np.float32(32768)
    elif array.dtype.kind != "f":
        raise InputError(
            subject, f"its samples are {array.dtype}, and floats from -1 to 1 or int16 are expected", "Convert them: array.astype('float32')."
        )
    floats: Array = np.asarray(array, np.float32)
    return floats if floats.ndim == 2 else floats[:, None]


def _check_samples(samples: Array, subject: str) -> Array:
    if not samples.size:
        raise InputError(subject, "it holds no samples", "Give a sound that lasts.")
    if not np.isfinite(samples).all():
        raise InputError(subject, "it holds samples that are NaN or infinite", "Record or convert it again.")
    return samples


def _bring_to_rate(sound: Sound, rate: int | None, name: str) -> Array:
    """*sound*, its channels' mean, at *rate*: (samples). An array, which does not say its rate, is taken to have that."""
    mono: Array = sound.samples.mean(axis=1, dtype=np.float32)
    if rate is None or sound.rate in (None, rate):
        return mono
    return resample(mono, sound.rate or rate, rate, f"input {name!r}")


def resample(samples: Array, rate: int, wanted: int, subject: str) -> Array:
    """*samples* (samples), taken *rate* times a second, as if taken *wanted* times: soxr at its high quality.

    Raises:
        InputError: they would become too many, or the rates are too far apart.
    """
    library = load_library("soxr", "audio")
    if len(samples) * wanted > MAX_SAMPLES * rate:
        raise InputError(subject, f"at {wanted} samples a second it would have more than {MAX_SAMPLES}", "Cut it into pieces.")
    try:
        resampled: Array = library.resample(samples, rate, wanted, quality="HQ")
    except (RuntimeError, ValueError) as error:
        raise InputError(subject, f"its {rate} samples a second cannot be made {wanted}: {error}", "Give it at another rate.") from error
    if not resampled.size:
        raise InputError(subject, f"its {len(samples)} samples at {rate} a second are none at {wanted}", "Give a longer sound.")
    return resampled


def _check_rate(sound: Sound, rate: int | None, name: str) -> Array:
    if rate is not None and sound.rate not in (None, rate):
        problem = f"it has {sound.rate} samples a second, and the contract is for {rate}"
        raise InputError(f"input {name!r}", problem, "Record it at that rate, or let the contract begin with 'resample'.")
    return sound.samples[:, 0] if sound.samples.shape[1] == 1 else sound.samples
