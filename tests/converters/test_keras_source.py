"""Keras models as sources: exported with the framework's own answers beside them, or refused before anything runs."""

from pathlib import Path

import numpy as np
import pytest

from edgekit.conversion import SourceModel, SourceOptions
from edgekit.environments import OFFLINE, PLACE
from edgekit.errors import DeviceError, InputError
from edgekit.reference import check_witness, open_source
from edgekit.runtimes.litert import LiteRT
from edgekit_converters.keras_source import KerasSource

MODELS = Path(__file__).parents[3] / "shared" / "models"
FILES = sorted(MODELS.glob("*/*.h5"))


def load(path: Path, workspace: Path, options: SourceOptions | None = None) -> SourceModel:
    workspace.mkdir(exist_ok=True)
    return KerasSource().load(path, workspace, options or SourceOptions())


def check_forms(source: SourceModel) -> None:
    """Both forms are there, and give the answers that the framework itself gave."""
    assert set(source.forms) == {"onnx", "tflite"}
    with open_source(source) as session:
        check_witness(source, session)
    assert source.witness is not None
    native = LiteRT().open(source.forms["tflite"], 1)
    assert {spec.name for spec in native.inputs} == {spec.name for spec in source.inputs}
    for row in range(4):
        found = native.run([source.witness.inputs[spec.name][row : row + 1] for spec in native.inputs])
        for spec, array in zip(native.outputs, found, strict=True):
            np.testing.assert_allclose(array[0], source.witness.outputs[spec.name][row], rtol=1e-3, atol=1e-3)
    native.close()


@pytest.mark.heavy
@pytest.mark.skipif(not FILES, reason="needs the models beside the project")
def test_the_same_model_is_exported_to_the_same_bytes(tensorflow, tmp_path) -> None:
    """Exported twice, a model is the same ONNX and the same TFLite byte by byte: tf2onnx by itself numbers its tensors at random."""
    first, second = (load(FILES[-1], tmp_path / place) for place in ("first", "second"))
    for form in ("onnx", "tflite"):
        assert first.forms[form].read_bytes() == second.forms[form].read_bytes()


def test_files_are_accepted_by_name_or_bytes(tmp_path) -> None:
    """Keras's suffixes and HDF5's first bytes are taken, another file and a directory are not."""
    hdf5, named, other = tmp_path / "weights", tmp_path / "model.keras", tmp_path / "model.bin"
    hdf5.write_bytes(b"\x89HDF\r\n\x1a\n")
    named.write_bytes(b"")
    other.write_bytes(b"PK\x03\x04")
    assert [KerasSource().accepts(path) for path in (hdf5, named, other, tmp_path)] == [True, True, False, False]


def test_damaged_files_are_refused_without_an_environment(tmp_path, monkeypatch) -> None:
    """What is no archive is refused before an environment is asked for; a whole one without the environment says how to make it."""
    monkeypatch.setenv(PLACE, str(tmp_path / "environments"))
    monkeypatch.setenv(OFFLINE, "1")
    path = tmp_path / "model.keras"
    path.write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(InputError, match=r"model\.keras: it is not a whole Keras file"):
        load(path, tmp_path / "w")
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(DeviceError, match="edgekit doctor --fix"):
        load(path, tmp_path / "w")


@pytest.mark.heavy
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_real_file_is_exported(path, tensorflow, tmp_path) -> None:
    """Each .h5 with real weights becomes ONNX and TFLite with its framework's answers, by Keras 3 or else by tf_keras."""
    source = load(path, tmp_path / "w")
    check_forms(source)
    assert source.tools["framework"].startswith("tf_keras" if path.stem == "vww_96" else "Keras")
    assert all(spec.has_dynamic_batch for spec in source.inputs)


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["pictures.keras", "pair.keras", "functions.h5"])
def test_new_files_are_exported(name, tensorflow_models, tmp_path) -> None:
    """Files of Keras 3, with two inputs and outputs, and with functions of TensorFlow as layers are exported too."""
    source = load(tensorflow_models / name, tmp_path / "w")
    check_forms(source)
    if name == "pair.keras":
        assert [spec.name for spec in (*source.inputs, *source.outputs)] == ["right", "left", "zeta", "alpha"]


@pytest.mark.heavy
def test_recurrent_layers_are_exported(tensorflow_models, tmp_path) -> None:
    """An LSTM becomes ONNX of any batch, and TFLite of one sample, since its loop must know its shapes."""
    source = load(tensorflow_models / "windows.keras", tmp_path / "w")
    check_forms(source)
    assert source.inputs[0].shape == ("batch", 12, 4)
    native = LiteRT().open(source.forms["tflite"], 1)
    assert native.inputs[0].shape == (1, 12, 4)
    native.close()


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["lambda.keras", "lambda.h5"])
def test_code_is_refused_unless_it_is_allowed(name, tensorflow_models, tmp_path) -> None:
    """A Lambda in either kind of file is refused before Keras builds it, and exported where its code is allowed."""
    with pytest.raises(InputError, match=r"its Lambda 'lambda\w*' has Python code in it.*--unsafe-allow-code"):
        load(tensorflow_models / name, tmp_path / "refused")
    check_forms(load(tensorflow_models / name, tmp_path / "w", SourceOptions(allow_code=True)))


@pytest.mark.heavy
def test_weights_alone_are_refused(tensorflow_models, tmp_path) -> None:
    """A file with weights and no model says how to save both."""
    with pytest.raises(InputError, match="weights and no model"):
        load(tensorflow_models / "only.weights.h5", tmp_path / "w")


@pytest.mark.heavy
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_cut_files_are_refused(share, tensorflow_models, tmp_path) -> None:
    """An .h5 cut off anywhere is refused with HDF5's reason."""
    whole = (tensorflow_models / "functions.h5").read_bytes()
    path = tmp_path / "cut.h5"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match=r"cut\.h5: TensorFlow cannot read it: .*truncated"):
        load(path, tmp_path / "w")


@pytest.mark.heavy
def test_sizes_that_a_user_fixes_are_fixed(tensorflow_models, tmp_path) -> None:
    """With --shape the hub has the size, still gives the framework's answers, and the TFLite of other sizes is left out."""
    source = load(tensorflow_models / "pictures.keras", tmp_path / "w", SourceOptions(shapes={"image": (2, 16, 16, 3)}))
    assert source.inputs[0].shape == (2, 16, 16, 3)
    assert "tflite" in source.absent
    with open_source(source) as session:
        check_witness(source, session)
