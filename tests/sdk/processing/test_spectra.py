"""Spectra, mel bands, logarithms and cepstra: by their definitions, and as librosa and TensorFlow make them."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgekit.contract import Cepstrum, Filterbank, Fit, Level, Log, Scale, Spectrogram, Stack, Transpose
from edgekit.environments import ensure_environment, find_environments, find_obstacle
from edgekit.errors import DeviceError, InputError, TransferError
from edgekit.processing.number_steps import prepare_number_step
from edgekit.processing.sound_presets import keyword_steps, machine_steps
from edgekit.processing.spectra import MAX_FFT, SpectralKind, make_filters, make_window, prepare_spectral_step

RATE = 16_000
#: What a quiet frame is in the published features of MLPerf Tiny's keyword spotting (energyrunner's kws01: 679 frames of its
#: 1,000 clips, all of them those of silence filled in), their scale and their zero point.
PUBLISHED_SILENCE = (-128, 82, 83, 83, 83, 82, 83, 83, 83, 83)
PUBLISHED_SCALE, PUBLISHED_ZERO = 0.5847029, 83


def run(step: SpectralKind, values):
    return prepare_spectral_step(step)(np.asarray(values))


def run_all(steps, values):
    for step in steps:
        prepare = prepare_spectral_step if isinstance(step, SpectralKind) else prepare_number_step
        values = prepare(step)(values)
    return values


def make_voice(rng: np.random.Generator, seconds: float = 1.0):
    """Something like a voiced syllable in noise, (samples) as int16: harmonics of a gliding pitch under three formants."""
    time = np.arange(int(RATE * seconds)) / RATE
    pitch = 100 + 60 * rng.random() + 30 * np.sin(2 * np.pi * 3 * time + 6 * rng.random())
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    formants = (500 + 300 * rng.random(), 1500 + 500 * rng.random(), 2500)
    voice = sum(np.sin(k * phase) * np.exp(-(((k * pitch - formant) / 300) ** 2)) for k in range(1, 30) for formant in formants)
    voice *= np.exp(-(((time - rng.uniform(0.3, 0.7)) / 0.15) ** 2))
    noisy = voice / np.abs(voice).max() * rng.uniform(0.05, 0.9) + rng.normal(size=time.size) * 10 ** rng.uniform(-4.5, -1.5)
    return np.clip(np.round(noisy * 32767), -32768, 32767).astype(np.int16)


@pytest.fixture(scope="module")
def voice():
    """A syllable as floats, (1, samples)."""
    return make_voice(np.random.default_rng(0))[None] / np.float32(32768)


def test_a_tone_lies_in_its_bin():
    """A cosine of a bin's own frequency has its whole energy there: (amplitude * frame / 2) squared."""
    tone = 0.5 * np.cos(2 * np.pi * 8 * np.arange(256) / 64)
    spectra = run(Spectrogram(frame=64, hop=32, fft=64, window="ones"), tone[None])
    assert spectra.shape == (1, 7, 33)
    assert spectra.dtype == np.float32
    np.testing.assert_allclose(spectra[0, :, 8], (0.5 * 32) ** 2, rtol=1e-6)
    assert np.delete(spectra[0], 8, axis=1).max() < 1e-9
    magnitudes = run(Spectrogram(frame=64, hop=32, fft=64, window="ones", power=1), tone[None])
    np.testing.assert_allclose(magnitudes**2, spectra, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(("pad", "before"), [("reflect", [3.0, 2.0]), ("zeros", [0.0, 0.0])])
def test_a_centred_frame_begins_before_the_sound(pad, before):
    """The first frame lies around the first sample, with the sound mirrored or silence in front; the last around the end."""
    sound = np.arange(1.0, 9.0)
    spectra = run(Spectrogram(frame=4, hop=4, fft=4, window="ones", power=1, centre=True, pad=pad), sound[None])
    assert spectra.shape == (1, 3, 3)
    np.testing.assert_allclose(spectra[0, 0], np.abs(np.fft.rfft([*before, 1.0, 2.0])), rtol=1e-6)


def test_emphasis_is_of_the_sound_or_of_each_frame():
    """In the sound each sample but the first loses a share of the one before, across frames; in a frame its first loses its own."""
    sound = np.array([1.0, 2.0, 4.0, 8.0])
    whole = run(Spectrogram(frame=2, hop=2, fft=2, window="ones", power=1, preemphasis=0.5), sound[None])
    each = run(Spectrogram(frame=2, hop=2, fft=2, window="ones", power=1, preemphasis=0.5, preemphasis_in="frame"), sound[None])
    np.testing.assert_allclose(whole[0], np.abs([np.fft.rfft([1.0, 1.5]), np.fft.rfft([3.0, 6.0])]), rtol=1e-6)
    np.testing.assert_allclose(each[0], np.abs([np.fft.rfft([0.5, 1.5]), np.fft.rfft([2.0, 6.0])]), rtol=1e-6)


def test_a_frame_can_lose_its_mean():
    """What is constant in a frame is nothing where its mean is taken away."""
    step = Spectrogram(frame=8, hop=8, fft=8, window="ones", remove_mean=True)
    assert run(step, np.full((1, 16), 0.7)).max() < 1e-12


def test_windows_of_a_sound_are_independent(voice):
    """Several samples become what each becomes alone, however many are transformed at once."""
    step = Spectrogram(frame=400, hop=160, fft=512, centre=True)
    pieces = voice.reshape(40, 400)
    together = run(step, pieces)
    assert (together == np.concatenate([run(step, piece[None]) for piece in pieces])).all()
    long = np.tile(voice, 4)
    assert (run(step, long)[0, 5:300] == run(step, long[:, : 160 * 320])[0, 5:300]).all()


@pytest.mark.parametrize(
    ("step", "values", "told"),
    [
        (Spectrogram(frame=512, hop=1, fft=400), np.zeros((1, 999)), "fft: it is 400, and a frame has 512"),
        (Spectrogram(frame=4, hop=1, fft=2 * MAX_FFT), np.zeros((1, 999)), "fft: it is 131072"),
        (Spectrogram(frame=4, hop=1, fft=5), np.zeros((1, 999)), "an even number"),
        (Spectrogram(frame=400, hop=1, fft=400), np.zeros((1, 399)), "a frame takes 400 samples, and the sound has 399"),
        (Spectrogram(frame=4, hop=4, fft=4), np.zeros((1, 99, 2)), r"a sample is \[99, 2\].*resample"),
        (Spectrogram(frame=4, hop=1, fft=65536), np.zeros((1, 9999)), "67108864 values are the most"),
        (Filterbank(rate=RATE, bands=4, low=0.0, high=9000.0), np.zeros((1, 2, 9)), "between 0 and 9000 Hz.*0 to 8000 Hz"),
        (Filterbank(rate=RATE, bands=4, low=500.0, high=500.0), np.zeros((1, 2, 9)), "low < high"),
        (Filterbank(rate=RATE, bands=4, low=0.0, high=100.0), np.zeros((1, 9)), r"a sample is \[9\].*spectrogram"),
        (Filterbank(rate=RATE, bands=4096, low=0.0, high=100.0), np.zeros((1, 1, 32769)), "have more than"),
        (Filterbank(rate=RATE, bands=4096, low=0.0, high=100.0), np.zeros((1, 1 << 15, 1)), "67108864 values are the most"),
        (Cepstrum(coefficients=5), np.zeros((1, 2, 4)), "frames with 5 bands or more"),
        (Cepstrum(coefficients=4096), np.zeros((1, 1, 1 << 16)), "coefficients: 4096 of 65536 bands have more than"),
        (Stack(frames=5), np.zeros((1, 4, 4)), "5 frames or more"),
        (Transpose(axes=(1, 1)), np.zeros((1, 2, 4)), "does not name each axis once"),
        (Transpose(axes=(1, 0)), np.zeros((1, 2, 4, 1)), r"they are 2, and a sample is \[2, 4, 1\]"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(step, values, told):
    """Fields that contradict each other, and values that a step cannot take, are refused by the field, and nothing large is made."""
    with pytest.raises(InputError, match=told):
        run(step, values)


def test_levels():
    """Each sample is divided by its highest value, its highest absolute one, or brought to mean 0 and deviation 1."""
    values = np.array([[1.0, -4.0, 2.0], [0.0, 0.0, 0.0]])
    assert run(Level(by="maximum"), values).tolist() == [[0.5, -2, 1], [0, 0, 0]]
    assert run(Level(by="peak"), values).tolist() == [[0.25, -1, 0.5], [0, 0, 0]]
    leveled = run(Level(by="deviation", epsilon=1e-12), values)
    assert np.allclose([leveled[0].mean(), leveled[0].std()], [0, 1], atol=1e-6)
    assert leveled[1].tolist() == [0, 0, 0]
    assert leveled.dtype == np.float32


def test_logarithms():
    """The natural one, that to the base 10 and ten times that, of what is at least the floor, after the offset was added."""
    values = np.array([[1.0, 100.0], [0.0, 1e-6]])
    assert run(Log(base="10", floor=1e-3), values).tolist() == [[0, 2], [-3, -3]]
    assert run(Log(base="db", floor=1e-3, below_max=15.0), values).tolist() == [[5, 20], [-30, -30]]
    np.testing.assert_allclose(run(Log(offset=1e-6), values)[1], np.log([1e-6, 2e-6]), rtol=1e-6)


def test_silence_stays_finite():
    """The logarithm of nothing at all is that of the smallest normal float32."""
    assert np.allclose(run(Log(base="10"), np.zeros((1, 3))), np.log10(np.finfo(np.float32).tiny))


@pytest.mark.parametrize("norm", ["none", "ortho"])
def test_cepstra_are_the_cosine_transform(norm):
    """Each coefficient is the sum over bands of the frame times a cosine, doubled, or scaled so that lengths stay as they are."""
    frames = np.random.default_rng(0).normal(size=(1, 3, 6))
    cosines = np.cos(np.pi / 6 * (np.arange(6) + 0.5) * np.arange(6)[:, None])
    factors = np.full(6, 2.0) if norm == "none" else np.array([np.sqrt(1 / 6), *[np.sqrt(1 / 3)] * 5])
    np.testing.assert_allclose(run(Cepstrum(coefficients=6, norm=norm), frames)[0], frames[0] @ cosines.T * factors, atol=1e-5)
    assert run(Cepstrum(coefficients=2, norm=norm), frames).shape == (1, 3, 2)


def test_stacked_frames_lie_one_behind_the_other():
    """A vector has its frames in order, and the next begins as many frames later as the hop says, in each sample."""
    frames = np.arange(2 * 5 * 2).reshape(2, 5, 2)
    assert run(Stack(frames=3, hop=2), frames).tolist() == [list(range(6)), list(range(4, 10)), list(range(10, 16)), list(range(14, 20))]
    assert run(Stack(frames=5), frames).shape == (2, 10)


def test_transpose_moves_axes_of_each_sample():
    """Frames and bands change places, and samples stay in front."""
    assert run(Transpose(axes=(1, 0)), np.zeros((3, 5, 2))).shape == (3, 2, 5)


def test_bands_are_triangles_around_equal_mels():
    """Each band rises to one and falls to zero, and every frequency between the first and the last peak has weight one in all."""
    for scale in ("slaney", "htk", "tensorflow", "kaldi"):
        filters = make_filters(Filterbank(rate=RATE, bands=10, low=300.0, high=8000.0, scale=scale), 4097)
        peaks = filters.argmax(axis=0)
        assert (np.diff(peaks) > 0).all()
        np.testing.assert_allclose(filters.max(axis=0), 1, atol=0.02)
        np.testing.assert_allclose(filters[peaks[0] + 1 : peaks[-1]].sum(axis=1), 1, atol=1e-5)
        assert filters[: round(300 / 8000 * 4096)].max() == 0


@pytest.mark.workstation
@pytest.mark.parametrize("window", ["hann", "hamming", "blackman", "ones"])
@pytest.mark.parametrize("periodic", [True, False])
def test_windows_are_those_of_scipy(window, periodic):
    """The weights are scipy.signal.get_window's."""
    signal = pytest.importorskip("scipy.signal")
    for length in (1, 4, 401):
        ours = make_window(Spectrogram(frame=length, hop=1, fft=402, window=window, periodic=periodic))
        theirs = signal.get_window({"ones": "boxcar"}.get(window, window), length, fftbins=periodic)
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


@pytest.mark.workstation
@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize("norm", ["none", "slaney"])
@pytest.mark.parametrize(("rate", "bins", "bands", "low"), [(16_000, 513, 128, 0.0), (16_000, 257, 40, 20.0), (22_050, 1025, 64, 0.0)])
def test_filters_are_those_of_librosa(scale, norm, rate, bins, bands, low):
    """The weights are librosa.filters.mel's, to the last bit but one."""
    librosa = pytest.importorskip("librosa")
    step = Filterbank(rate=rate, bands=bands, low=low, high=rate / 4, scale=scale, norm=norm)
    options = {"fmin": low, "fmax": step.high, "htk": scale == "htk", "norm": None if norm == "none" else norm}
    theirs = librosa.filters.mel(sr=rate, n_fft=2 * (bins - 1), n_mels=bands, **options)
    np.testing.assert_allclose(make_filters(step, bins).T, theirs, atol=1e-8)


@pytest.mark.workstation
@pytest.mark.parametrize("pad", ["reflect", "zeros"])
def test_spectra_are_those_of_librosa(pad, voice):
    """The power of librosa.stft, centred or not, with frames shorter than the transform: within single precision."""
    librosa = pytest.importorskip("librosa")
    mode = "constant" if pad == "zeros" else pad
    for frame, hop, fft, window in ((1024, 512, 1024, "hann"), (400, 160, 512, "hamming")):
        ours = run(Spectrogram(frame=frame, hop=hop, fft=fft, window=window, centre=True, pad=pad), voice)[0]
        theirs = np.abs(librosa.stft(voice[0], n_fft=fft, hop_length=hop, win_length=frame, window=window, pad_mode=mode)).T ** 2
        np.testing.assert_allclose(ours, theirs, atol=1e-6 * theirs.max())


@pytest.mark.workstation
def test_machine_features_are_those_of_librosa(voice):
    """The anomaly benchmark's vectors: librosa's mel spectrogram, 20 / power * log10, five frames one behind the other."""
    librosa = pytest.importorskip("librosa")
    mel = librosa.feature.melspectrogram(y=voice[0], sr=RATE, n_fft=1024, hop_length=512, n_mels=128, power=2.0, pad_mode="reflect")
    decibels = (20 / 2.0 * np.log10(mel + np.finfo(float).eps)).T
    expected = np.concatenate([decibels[start : len(decibels) - 4 + start] for start in range(5)], axis=1)
    np.testing.assert_allclose(run_all(machine_steps()[1:], voice), expected, atol=1e-4)


@pytest.mark.workstation
def test_cepstra_are_those_of_librosa(voice):
    """librosa.feature.mfcc, with its decibels no further than 80 below the highest."""
    librosa = pytest.importorskip("librosa")
    steps = (
        Spectrogram(frame=1024, hop=512, fft=1024, centre=True, pad="zeros"),
        Filterbank(rate=RATE, bands=128, low=0.0, high=8000.0, norm="slaney"),
        Log(base="db", floor=1e-10, below_max=80.0),
        Cepstrum(coefficients=20),
    )
    theirs = librosa.feature.mfcc(y=voice[0], sr=RATE, n_mfcc=20, n_fft=1024, hop_length=512).T
    np.testing.assert_allclose(run_all(steps, voice)[0], theirs, atol=1e-3)


def quantise(features):
    return np.clip(np.rint(features / PUBLISHED_SCALE) + PUBLISHED_ZERO, -128, 127).astype(int)


def test_silence_is_what_was_published_for_keywords():
    """Frames of silence are within one step of those in the published features, which were cut off instead of rounded."""
    frames = quantise(run_all(keyword_steps(49, 10)[1:], np.zeros((1, RATE), np.float32))[0])
    assert np.abs(frames - PUBLISHED_SILENCE).max() <= 1


REFERENCE = """
import sys
import numpy as np
import tensorflow as tf

features = []
for sound in np.load(sys.argv[1]):
    # MLPerf Tiny, keyword_spotting/get_dataset.py.
    audio = tf.cast(sound, tf.float32)
    audio = audio / tf.reduce_max(audio)
    audio = tf.pad(audio, [[0, 16000 - tf.shape(audio)[-1]]])
    stfts = tf.signal.stft(audio, frame_length=480, frame_step=320, fft_length=None, window_fn=tf.signal.hann_window)
    weights = tf.signal.linear_to_mel_weight_matrix(40, stfts.shape[-1], 16000, 20.0, 4000.0)
    mel = tf.tensordot(tf.abs(stfts), weights, 1)
    features.append(tf.signal.mfccs_from_log_mel_spectrograms(tf.math.log(mel + 1e-6))[..., :10].numpy())
wide = tf.signal.linear_to_mel_weight_matrix(80, 513, 16000, 80.0, 7600.0)
np.savez(sys.argv[2], features=features, narrow=weights.numpy(), wide=wide.numpy())
"""


@pytest.fixture(scope="module")
def tensorflow() -> Path:
    """The Python of the environment of TensorFlow, made if it is not here."""
    environment = find_environments()["tensorflow"]
    obstacle = find_obstacle(environment)
    if obstacle is not None:
        pytest.skip(obstacle)
    try:
        return ensure_environment(environment)
    except (DeviceError, TransferError) as error:
        pytest.skip(str(error))


@pytest.mark.heavy
@pytest.mark.workstation
def test_keyword_features_are_those_of_tensorflow(tensorflow, tmp_path):
    """Syllables, loud and faint, and noise of some bits become the benchmark's own features: equal at the published scale."""
    rng = np.random.default_rng(1)
    sounds = np.array([make_voice(rng) for _ in range(16)])
    sounds[0, 8000:] = 0
    sounds[1] = (rng.normal(size=RATE) * 3).astype(np.int16)
    np.save(tmp_path / "sounds.npy", sounds)
    (tmp_path / "reference.py").write_text(REFERENCE)
    command = [str(tensorflow), str(tmp_path / "reference.py"), str(tmp_path / "sounds.npy"), str(tmp_path / "features.npz")]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    theirs = np.load(tmp_path / "features.npz")
    ours = run_all(keyword_steps(49, 10)[1:], sounds / np.float32(32768))
    np.testing.assert_allclose(ours, theirs["features"], atol=1e-3)
    assert np.abs(quantise(ours) - quantise(theirs["features"])).max() <= 1
    for name, bands, low, high, bins in (("narrow", 40, 20.0, 4000.0, 257), ("wide", 80, 80.0, 7600.0, 513)):
        filters = make_filters(Filterbank(rate=RATE, bands=bands, low=low, high=high, scale="tensorflow"), bins)
        np.testing.assert_allclose(filters, theirs[name], atol=5e-5)


def test_fits_that_only_cut_or_only_fill():
    """What is shorter stays as it is where a fit only cuts, and what is longer where it only fills."""
    values = np.arange(4.0)[None]
    assert run_all([Fit(length=3, only="cut")], values).tolist() == [[0, 1, 2]]
    assert run_all([Fit(length=5, only="cut")], values).tolist() == values.tolist()
    assert run_all([Fit(length=3, only="fill")], values).tolist() == values.tolist()
    assert run_all([Fit(length=5, only="fill"), Scale(factor=2.0)], values).tolist() == [[0, 2, 4, 6, 0]]
