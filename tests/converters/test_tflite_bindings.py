"""Bindings of TFLite files: found by running them beside the source."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from onnx import helper, numpy_helper

from edgekit.conversion import Calibration
from edgekit.errors import ConversionError
from edgekit_converters.tflite_bindings import MadeFile, bind_tensors, rebind_tensors
from edgekit_converters.tflite_target import TFLiteTarget

pytestmark = [
    pytest.mark.usefixtures("onnx2tf"),
    pytest.mark.filterwarnings("ignore:Warning. Enabling `experimental_preserve_all_tensors`:UserWarning"),
]
NAMES = {"image": "image", "features": "features"}


def _say(path, names=NAMES) -> MadeFile:
    return MadeFile(path, names, "onnx2tf")


@pytest.fixture
def made(make_conv, read, make_variant):
    """A source whose output has equal axes, and the float file that was made of it."""
    source = read(make_conv(channels=8, size=8))
    artifact, directory = make_variant(TFLiteTarget(), source)
    return source, directory / artifact.files[0].path


def test_order_of_axes_is_found_by_the_answers(made) -> None:
    """Where every order of axes fits the shape, the one with the source's answers is taken."""
    source, path = made
    bound = bind_tensors(source, _say(path))
    assert bound.inputs[0].permutation is None
    assert bound.outputs[0].permutation == (0, 2, 3, 1)


def test_file_of_another_model_is_refused(made, make_conv, read) -> None:
    """A file with the same names and shapes and other weights is refused, with the output and how far it is off."""
    _, path = made
    model = make_conv(channels=8, size=8)
    weights = numpy_helper.to_array(model.graph.initializer[0])
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(-weights, "first"))
    with pytest.raises(ConversionError, match=r"'features' is off by"):
        bind_tensors(read(model), _say(path))


def test_missing_tensor_is_named(made) -> None:
    """A tensor that the file does not have is named, with those that it has."""
    source, path = made
    with pytest.raises(ConversionError, match=r"'elsewhere'.*'image'"):
        bind_tensors(source, _say(path, {"image": "elsewhere", "features": "features"}))


def test_samples_of_the_source_are_tried(make_model, read, make_variant) -> None:
    """A source that brings samples is tried on them alone: a file that differs elsewhere, where nobody asks, is the same."""
    shapes = {"x": ["batch", 4]}, {"y": ["batch", 4]}
    artifact, directory = make_variant(TFLiteTarget(), read(make_model([helper.make_node("Relu", ["x"], ["y"])], *shapes)))
    path, names = directory / artifact.files[0].path, {"x": "x", "y": "y"}
    source = read(make_model([helper.make_node("Abs", ["x"], ["y"])], *shapes))
    with pytest.raises(ConversionError, match="other answers"):
        bind_tensors(source, _say(path, names))
    samples = {"x": np.arange(12, dtype=np.float32).reshape(3, 4)}
    assert bind_tensors(replace(source, samples=samples), _say(path, names)).path == path


def test_file_that_cannot_be_run_is_refused(made, tmp_path) -> None:
    """A damaged file is refused with the runtime's reason."""
    source, path = made
    shutil.copyfile(path, tmp_path / "damaged.tflite")
    (tmp_path / "damaged.tflite").write_bytes(path.read_bytes()[:200])
    with pytest.raises(ConversionError, match="LiteRT cannot run"):
        bind_tensors(source, _say(tmp_path / "damaged.tflite"))


def test_bindings_follow_into_the_quantised_file(made, make_variant) -> None:
    """In the quantised file each tensor is found by its place, with the order of axes that it had."""
    source, path = made
    calibration = Calibration({"image": np.random.default_rng(0).normal(size=(8, 8, 8, 8)).astype(np.float32)})
    artifact, directory = make_variant(TFLiteTarget(), source, "int8", calibration)
    followed = rebind_tensors(bind_tensors(source, _say(path)), directory / artifact.files[0].path).outputs
    assert followed == artifact.outputs
    assert followed[0].name == "features"
    assert followed[0].permutation == (0, 2, 3, 1)
