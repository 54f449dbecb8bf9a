"""TFLite files as sources: kept as they are, their own reference, and made into ONNX where that keeps them."""

from pathlib import Path

import numpy as np
import pytest

from edgekit.conversion import SourceModel, SourceOptions
from edgekit.environments import OFFLINE, PLACE
from edgekit.errors import InputError
from edgekit.golden import synthesize_inputs
from edgekit.parity import measure_parity
from edgekit.runtimes.registry import find_runtime
from edgekit.runtimes.sessions import open_session
from edgekit_converters.tflite_source import TFLiteSource

DATA = Path(__file__).with_name("data")
RUNTIMES = Path(__file__).parents[1] / "sdk" / "runtimes" / "data"
MODELS = Path(__file__).parents[3] / "shared" / "models"
FILES = sorted(MODELS.glob("mlperf-tiny-*/*.tflite"))


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No environment is here, and none can be made."""
    monkeypatch.setenv(PLACE, str(tmp_path / "environments"))
    monkeypatch.setenv(OFFLINE, "1")


def load(path: Path, workspace: Path, options: SourceOptions | None = None) -> SourceModel:
    workspace.mkdir(exist_ok=True)
    return TFLiteSource().load(path, workspace, options or SourceOptions())


def measure_hub(source: SourceModel, count: int = 16) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The answers of the file itself and of the ONNX made of it, to seeded inputs."""
    samples = synthesize_inputs(
        source.inputs, source.inputs[0].shape[0] if isinstance(source.inputs[0].shape[0], int) else count, np.random.default_rng(0)
    )
    with open_session(source.path, source.artifact, source.inputs, source.outputs, find_runtime("tflite")) as session:
        expected = session.infer(samples)
    native = find_runtime("onnx").open(source.forms["onnx"], 1)
    found = native.run([samples[spec.name] for spec in native.inputs])
    answers = {spec.name: array for spec, array in zip(native.outputs, found, strict=True)}
    native.close()
    return expected, answers


def test_files_are_accepted_by_name_or_identifier(tmp_path) -> None:
    """A file is TFLite by its suffix or by its fifth to eighth bytes, and a directory never is."""
    plain = tmp_path / "model.bin"
    plain.write_bytes((RUNTIMES / "affine.tflite").read_bytes())
    other = tmp_path / "model.dat"
    other.write_bytes(b"ONNX")
    assert [TFLiteSource().accepts(path) for path in (plain, RUNTIMES / "affine.tflite", other, tmp_path)] == [True, True, False, False]


def test_the_file_is_kept_bit_for_bit(alone, tmp_path) -> None:
    """What is converted is the very file that was brought, with its own names, types and quantisation at the border."""
    source = load(RUNTIMES / "affine_int8.tflite", tmp_path / "w")
    assert source.forms["tflite"].read_bytes() == (RUNTIMES / "affine_int8.tflite").read_bytes()
    assert source.path == source.forms["tflite"]
    assert (source.format, source.artifact.format, source.precision) == ("tflite", "tflite", "int8")
    shown = ["x: int8[2, 3] with scale 0.0625, zero point 8", "y: int8[2, 2] with scale 0.25, zero point -3"]
    assert [str(spec) for spec in (*source.inputs, *source.outputs)] == shown
    assert source.inputs[0].quantization is not None


def test_without_tensorflow_the_reason_is_told(alone, tmp_path) -> None:
    """Where the environment that makes ONNX is not here, the file is read all the same, and ONNX is absent with the reason."""
    source = load(DATA / "detector.tflite", tmp_path / "w")
    assert set(source.forms) == {"tflite"}
    assert "offline" in source.absent["onnx"]


def test_memory_of_recurrent_layers_has_no_onnx(tmp_path) -> None:
    """A recurrent layer starts from nothing at each call, and has no ONNX of its own; the reason names the operator."""
    source = load(DATA / "lstm.tflite", tmp_path / "w")
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" in source.absent["onnx"]
    sample = synthesize_inputs(source.inputs, 1, np.random.default_rng(0))
    with open_session(source.path, source.artifact, source.inputs, source.outputs, find_runtime("tflite")) as session:
        first, second = session.infer(sample), session.infer(sample)
    np.testing.assert_array_equal(first[source.outputs[0].name], second[source.outputs[0].name])


def test_state_between_calls_is_refused(tmp_path) -> None:
    """A file whose answer depends on the calls before is refused, with the operator."""
    with pytest.raises(InputError, match=r"stateful\.tflite: it keeps state .*ASSIGN_VARIABLE"):
        load(DATA / "stateful.tflite", tmp_path / "w")


def test_borders_cannot_be_changed(tmp_path) -> None:
    """Other sizes are refused, since a TFLite file has its own."""
    with pytest.raises(InputError, match="--shape"):
        load(RUNTIMES / "affine.tflite", tmp_path / "w", SourceOptions(shapes={"x": (1, 3)}))


@pytest.mark.parametrize("length", [0, 7, 300, 2000])
def test_cut_files_are_refused(length, tmp_path) -> None:
    """A file cut off is refused before any runtime has it."""
    path = tmp_path / "cut.tflite"
    path.write_bytes((DATA / "detector.tflite").read_bytes()[:length])
    with pytest.raises(InputError, match=r"cut\.tflite"):
        load(path, tmp_path / "w")


@pytest.mark.heavy
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_real_file_becomes_onnx(path, tensorflow, tmp_path) -> None:
    """ONNX of each TFLite file with real weights takes and gives the same tensors, and the same answers but for roundings."""
    source = load(path, tmp_path / "w")
    assert source.absent == {}
    expected, answers = measure_hub(source)
    parity = measure_parity(expected, answers, path.name)
    # In int8 a rounding before the last softmax is up to a twelfth of its range; weights alone in int8 add what LiteRT rounds.
    limit = 1e-3 if source.precision == "fp32" else 0.1 * max(np.ptp(array.astype(float)) for array in expected.values())
    assert parity.max_abs <= limit
    assert parity.top1_agreement is None or parity.top1_agreement >= 0.9


@pytest.mark.heavy
def test_a_detector_s_own_operator_becomes_onnx(tensorflow, tmp_path) -> None:
    """TFLite_Detection_PostProcess is made of ONNX's own operators, with the same boxes, classes, scores and count."""
    source = load(DATA / "detector.tflite", tmp_path / "w")
    expected, answers = measure_hub(source)
    for name, array in expected.items():
        np.testing.assert_allclose(answers[name], array, atol=1e-5)


@pytest.mark.heavy
def test_half_precision_stays(tensorflow, tmp_path) -> None:
    """A file with weights in half precision is said to be in fp16, and becomes ONNX."""
    source = load(DATA / "half.tflite", tmp_path / "w")
    assert (source.precision, set(source.forms)) == ("fp16", {"tflite", "onnx"})
