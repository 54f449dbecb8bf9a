"""Calibration data on its way to a quantiser."""

from pathlib import Path

import numpy as np
import pytest

from edgekit.artifacts import Artifact, FileEntry
from edgekit.conversion import Calibration, SourceModel
from edgekit.tensors import TensorSpec
from edgekit_converters.calibrating import find_batch, is_quantised, stream_batches


def _source(batch: int | str) -> SourceModel:
    spec = TensorSpec(name="x", dtype="float32", shape=(batch, 2))
    path = Path("given.onnx")
    artifact = Artifact(format="onnx", files=(FileEntry(path=path.name, digest="sha256:" + "0" * 64, length=1),), inputs=(), outputs=())
    return SourceModel(format="onnx", files=(path,), directory=path.parent, artifact=artifact, inputs=(spec,), outputs=(), forms={"onnx": path})


@pytest.mark.parametrize(("batch", "sizes"), [("n", [1] * 7), (1, [1] * 7), (3, [3, 3])])
def test_batches_are_as_the_source_takes_them(batch, sizes) -> None:
    """One sample at a time, or a fixed batch at a time; what does not fill a batch is left out."""
    calibration = Calibration({"x": np.arange(14, dtype=np.float32).reshape(7, 2)})
    batches = list(stream_batches(_source(batch), calibration))
    assert [len(one["x"]) for one in batches] == sizes
    np.testing.assert_array_equal(np.concatenate([one["x"] for one in batches]), calibration.arrays["x"][: sum(sizes)])


def test_batch_of_a_source_that_takes_any_is_one() -> None:
    """Where the batch may vary it is one."""
    assert find_batch(_source("n")) == 1


def test_quantised_model_is_known_by_its_operators(make_model, make_conv) -> None:
    """A model with operators on quantised integers is quantised, and one of floats is not."""
    from onnx import helper

    nodes = [helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "scale", "zero"])]
    assert is_quantised(make_model(nodes, {"x": [4]}, {"y": [4]}))
    assert not is_quantised(make_conv())
