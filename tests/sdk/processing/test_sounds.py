"""Sounds: real WAV, FLAC and OGG files, whole and damaged, brought to the rate that a contract asks for."""

import io
import struct

import numpy as np
import pytest
import soundfile

from edgekit.contract import Feature, Filterbank, Fit, Resample
from edgekit.errors import InputError
from edgekit.processing.sounds import MAX_SAMPLES, decode_sound, find_rate, prepare_sound, read_sound, resample

KINDS = [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAVEX", "PCM_24"), ("WAV", "ULAW"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")]


def make_samples(seconds: float = 0.5, rate: int = 16_000, channels: int = 1, hertz: float = 440.0):
    """A tone that swells and fades, (samples, channels); of each channel half as loud as the one before."""
    time = np.arange(int(seconds * rate)) / rate
    tone = 0.5 * np.sin(2 * np.pi * hertz * time) * np.hanning(time.size)
    return np.stack([tone / 2**channel for channel in range(channels)], axis=1).astype(np.float32)


def encode(samples, rate: int = 16_000, kind: str = "WAV", encoding: str = "PCM_16") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=encoding)
    return buffer.getvalue()


def make_feature(*steps) -> Feature:
    return Feature(name="sound", kind="audio", feeds="x", steps=steps)


@pytest.mark.parametrize(("kind", "encoding"), KINDS)
def test_files_of_each_kind_are_decoded(kind, encoding):
    """WAV, FLAC and OGG give the samples that were written, as floats, with their rate and channels."""
    samples = make_samples(channels=2)
    sound = decode_sound(encode(samples, 22_050, kind, encoding), "tone")
    assert (sound.rate, sound.samples.shape, sound.samples.dtype) == (22_050, samples.shape, np.float32)
    # OGG and the law of 8 bits lose something of what they write.
    assert np.abs(sound.samples - samples).max() < (0.05 if encoding in ("VORBIS", "ULAW") else 2**-15)


def test_sixteen_bits_are_shares_of_32768():
    """An integer of 16 bits is divided by 32768, in files and in arrays."""
    integers = np.array([-32768, -1, 0, 1, 32767], np.int16)
    expected = integers / 32768
    assert (decode_sound(encode(integers), "file").samples[:, 0] == expected).all()
    assert (read_sound(integers, "array").samples[:, 0] == expected).all()


@pytest.mark.parametrize(("kind", "encoding"), KINDS)
@pytest.mark.parametrize("cut", [1, 500])
def test_files_that_were_cut_off_are_refused(kind, encoding, cut):
    """A file that lacks its end is refused, where libsndfile would give what is there."""
    with pytest.raises(InputError, match=r"tone: (its header speaks|it is an OGG file whose end|it cannot be decoded)"):
        decode_sound(encode(make_samples(), 16_000, kind, encoding)[:-cut], "tone")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "no WAV, FLAC or OGG file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "no WAV, FLAC or OGG file"),
        (b"RIFF\x24\x00\x00\x00WAVE", "no chunk 'data'"),
        (b"RIFF\x24\x00\x00\x00WAVE" + b"junk\x00\x00\x00\x00" * 100_000, "no chunk 'data'"),
        (b"OggS" + bytes(50), "end is missing"),
        (b"fLaC" + bytes(50), "cannot be decoded"),
        (b"RIFF\x24\x00\x00\x00WAVEdata\x00\x00\x00\x00", "cannot be decoded"),
    ],
)
def test_what_is_no_sound_is_refused(data, told):
    """Other files, and those without anything to hear, are refused by what they lack."""
    with pytest.raises(InputError, match=f"thing: .*{told}"):
        decode_sound(data, "thing")


def test_damaged_files_never_raise_anything_else():
    """Files with bytes changed anywhere are read or refused, and nothing else happens."""
    rng = np.random.default_rng(0)
    for kind, encoding in KINDS:
        whole = encode(make_samples(0.1), 16_000, kind, encoding)
        for _ in range(40):
            data = bytearray(whole)
            for place in rng.integers(0, min(len(data), 200), 3):
                data[place] = rng.integers(256)
            try:
                sound = decode_sound(bytes(data), "damaged")
            except InputError as error:
                assert str(error).startswith("damaged: ")
            else:
                assert sound.samples.size


def test_long_files_are_refused_by_their_header():
    """What lasts too long is refused with its seconds, before a sample is decoded."""
    with pytest.raises(InputError, match="it lasts 601 s, and at most 600 s are taken"):
        decode_sound(encode(np.zeros((601 * 8000, 1), np.int16), 8000), "long")
    with pytest.raises(InputError, match="it lasts 2 s, and at most 1 s"):
        decode_sound(encode(make_samples(2.0)), "long", max_seconds=1.0)


def test_headers_that_promise_too_much_cost_nothing():
    """A FLAC of some bytes that says to hold days, or more samples than memory, is refused."""
    data = bytearray(encode(make_samples(), 16_000, "FLAC"))
    # The 36 bits from 108 on are the number of samples (RFC 9639, section 8.2).
    data[21] |= 0x0F
    data[22:26] = b"\xff\xff\xff\xff"
    with pytest.raises(InputError, match=r"it lasts \d+ s"):
        decode_sound(bytes(data), "bomb")
    with pytest.raises(InputError, match=f"and {MAX_SAMPLES} in all are taken"):
        decode_sound(_promise(frames=40_000_000, channels=2, rate=655_350), "bomb")


def _promise(frames: int, channels: int, rate: int) -> bytes:
    """A FLAC whose header promises so much, with nothing behind it."""
    block = struct.pack(">HH", 4096, 4096) + bytes(6) + ((rate << 44) | ((channels - 1) << 41) | (15 << 36) | frames).to_bytes(8, "big") + bytes(16)
    return b"fLaC" + b"\x80" + len(block).to_bytes(3, "big") + block


def test_rare_encodings_are_refused():
    """An encoding that hardly anybody uses is refused by its name."""
    with pytest.raises(InputError, match="it is encoded as IMA_ADPCM"):
        decode_sound(encode(make_samples(), 16_000, "WAV", "IMA_ADPCM"), "rare")


def test_samples_that_are_no_numbers_are_refused():
    """NaN and infinity are refused, in files of floats and in arrays."""
    samples = make_samples()
    samples[5] = np.nan
    for raw in (encode(samples, encoding="FLOAT"), samples):
        with pytest.raises(InputError, match="NaN or infinite"):
            read_sound(raw, "sound")


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ("hello", "a text"),
        (np.zeros((2, 16_000), np.float32), r"an array \[2, 16000\].*\[samples, channels\]"),
        (np.zeros((1, 2, 3), np.float32), "an array"),
        (np.zeros(4, np.uint8), "uint8, and floats"),
        (np.zeros(0, np.float32), "no samples"),
        (np.array(["a"]), "floats"),
        (np.broadcast_to(np.float32(0), (MAX_SAMPLES + 1,)), "at most"),
    ],
)
def test_arrays_that_are_no_sound_are_refused(raw, told):
    """What has another shape or dtype than a sound, or too many samples, is refused with what it is."""
    with pytest.raises(InputError, match=told):
        read_sound(raw, "sound")


def test_channels_are_mixed_and_the_rate_is_the_contracts():
    """With resample, a stereo file at another rate becomes the mean of its channels at the contract's rate."""
    read = prepare_sound(make_feature(Resample(rate=16_000)))
    stereo = make_samples(1.0, 44_100, 2)
    sound = read(encode(stereo, 44_100))
    expected = make_samples(1.0, 16_000)[:, 0] * 0.75
    assert sound.shape == (1, 16_000)
    assert np.abs(sound[0] - expected).max() < 1e-3


def test_resampling_takes_away_what_the_new_rate_cannot_hold():
    """A tone above half the new rate is gone, where leaving samples out would fold it back."""
    high = make_samples(1.0, 44_100, hertz=12_000.0)[:, 0]
    assert np.abs(resample(high, 44_100, 16_000, "sound")).max() < 1e-3


def test_bytes_come_in_any_buffer():
    """What a server received into a buffer of its own is read as bytes are."""
    data = encode(make_samples())
    for buffer in (bytearray(data), memoryview(data)):
        assert (read_sound(buffer, "sound").samples == read_sound(data, "sound").samples).all()


def test_a_wrong_rate_is_refused_without_resample():
    """A file at another rate than the contract's is refused with both rates where nobody asks to resample."""
    read = prepare_sound(make_feature(Filterbank(rate=16_000, bands=40, low=20.0, high=4000.0)))
    assert read(encode(make_samples())).shape == (1, 8000)
    with pytest.raises(InputError, match="it has 44100 samples a second, and the contract is for 16000"):
        read(encode(make_samples(0.5, 44_100), 44_100))


def test_arrays_are_at_the_contracts_rate():
    """An array does not say its rate, and is taken to have the contract's."""
    samples = make_samples(channels=2)
    assert (prepare_sound(make_feature(Resample(rate=8000)))(samples)[0] == samples.mean(axis=1)).all()
    assert (prepare_sound(make_feature())(samples)[0] == samples).all()
    assert (prepare_sound(make_feature())(samples[:, 0])[0] == samples[:, 0]).all()


def test_contracts_that_contradict_themselves_are_refused():
    """Resample must be the first step, and two steps cannot speak of two rates."""
    with pytest.raises(InputError, match="step 2 is 'resample', which must be the first"):
        prepare_sound(make_feature(Fit(length=10), Resample(rate=8000)))
    with pytest.raises(InputError, match="its steps speak of 8000 and of 16000 samples a second"):
        find_rate((Resample(rate=8000), Filterbank(rate=16_000, bands=4, low=0.0, high=4000.0)), "sound")
    assert find_rate((), "sound") is None


def test_a_sound_cannot_become_endless():
    """A sound that the new rate would make too long is refused, and so is one that it would leave nothing of."""
    with pytest.raises(InputError, match=f"it would have more than {MAX_SAMPLES}"):
        resample(np.zeros(10_000, np.float32), 1, 1_000_000, "sound")
    with pytest.raises(InputError, match="are none at 1"):
        resample(np.zeros(1, np.float32), 44_100, 1, "sound")
