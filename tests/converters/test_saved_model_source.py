"""SavedModels as sources: their signature is exported, and what does more than compute is refused."""

from pathlib import Path

import numpy as np
import pytest

from edgekit.conversion import SourceModel, SourceOptions
from edgekit.errors import InputError
from edgekit.reference import check_witness, open_source
from edgekit.runtimes.litert import LiteRT
from edgekit_converters.saved_model_source import SavedModelSource

KWS = Path(__file__).parents[3] / "shared" / "models" / "mlperf-tiny-kws"


def load(path: Path, workspace: Path) -> SourceModel:
    workspace.mkdir(exist_ok=True)
    return SavedModelSource().load(path, workspace, SourceOptions())


def test_directories_and_their_file_are_accepted(tmp_path) -> None:
    """A directory with saved_model.pb, and that file itself, are taken; another directory is not."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"\x08\x01")
    paths = (tmp_path / "model", tmp_path / "model" / "saved_model.pb", tmp_path, tmp_path / "none")
    assert [SavedModelSource().accepts(path) for path in paths] == [True, True, False, False]


@pytest.mark.heavy
def test_a_real_model_keeps_its_accuracy(tensorflow, tmp_path) -> None:
    """The keyword spotter's ONNX and TFLite find as many words as TensorFlow's answers allow: 0.9 of a thousand and more."""
    if not KWS.is_dir():
        pytest.skip(f"the models for tests are not here: {KWS}")
    source = load(KWS / "kws_ref_model", tmp_path / "w")
    assert [str(spec) for spec in (*source.inputs, *source.outputs)] == ["input_1: float32[batch, 49, 10, 1]", "dense: float32[batch, 12]"]
    with np.load(KWS / "kws01_1000.npz") as data:
        inputs = ((data["x_int8"].astype(np.float32) - data["zero_point"]) * data["scale"]).astype(np.float32)
        labels = data["y"]
    with open_source(source) as session:
        check_witness(source, session)
        hub = session.infer({"input_1": inputs})["dense"]
    native = LiteRT().open(source.forms["tflite"], 1)
    tflite = native.run([inputs])[0]
    native.close()
    assert np.mean(hub.argmax(1) == labels) >= 0.9
    np.testing.assert_allclose(tflite, hub, atol=1e-4)


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["plain", "pictures"])
def test_signatures_are_exported(name, tensorflow_models, tmp_path) -> None:
    """A function of TensorFlow's and a model that Keras exported become ONNX and TFLite with TensorFlow's answers."""
    source = load(tensorflow_models / name, tmp_path / "w")
    assert set(source.forms) == {"onnx", "tflite"}
    with open_source(source) as session:
        check_witness(source, session)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("calling", "is a EagerPyFunc"),
        ("saving", "is a SaveV2"),
        ("counting", "is a AssignAddVariableOp"),
        ("several", "it has first, second"),
    ],
)
def test_what_does_more_than_compute_is_refused(name, told, tensorflow_models, tmp_path, monkeypatch) -> None:
    """Python, files and state in the very function that would run are refused by the node, and nothing of it runs."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=told):
        load(tensorflow_models / name, tmp_path / "w")
    assert not list(tmp_path.glob("stolen*"))
