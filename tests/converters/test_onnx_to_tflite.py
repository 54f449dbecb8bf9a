"""From ONNX to TFLite: what onnx2tf gets right, and what it is not given."""

import numpy as np
import onnx
import pytest
from onnx import helper

from edgekit.errors import ConversionError
from edgekit_converters.onnx_to_tflite import make_from_onnx
from edgekit_converters.tflite_target import TFLiteTarget

pytestmark = pytest.mark.usefixtures("onnx2tf")
RNG = np.random.default_rng(3)
GATES = {"LSTM": 4, "RNN": 1, "GRU": 3}


def _floats(*shape: int) -> np.ndarray:
    return RNG.normal(0, 0.5, shape).astype(np.float32)


@pytest.fixture
def make_recurrent(make_model):
    """A recurrent layer over a batch of sequences of 6 steps, of which one output, by its place, is the model's."""

    def make(kind: str, place: int, direction: str = "forward") -> onnx.ModelProto:
        directions = 2 if direction == "bidirectional" else 1
        weights = {
            "w": _floats(directions, GATES[kind] * 5, 4),
            "r": _floats(directions, GATES[kind] * 5, 5),
            "b": _floats(directions, GATES[kind] * 10),
            "rows": np.array([0, -1], np.int64),
        }
        outputs = ["", "", ""]
        outputs[place] = "found"
        nodes = [
            helper.make_node("Transpose", ["x"], ["steps_first"], perm=[1, 0, 2]),
            helper.make_node(kind, ["steps_first", "w", "r", "b"], outputs[: place + 1], name="layer", hidden_size=5, direction=direction),
            helper.make_node("Transpose", ["found"], ["batch_first"], perm=[2, 0, 1, 3] if place == 0 else [1, 0, 2]),
            helper.make_node("Reshape", ["batch_first", "rows"], ["y"]),
        ]
        size = directions * 5 * (6 if place == 0 else 1)
        return make_model(nodes, {"x": ["batch", 6, 4]}, {"y": ["batch", size]}, weights)

    return make


@pytest.mark.parametrize(("kind", "place"), [("LSTM", 0), ("LSTM", 1), ("RNN", 1), ("GRU", 1)])
def test_recurrent_layers_keep_their_answers(kind, place, make_recurrent, read, make_variant, answer) -> None:
    """The whole sequence of a recurrent layer comes out right, and so does its last state, also when it is run again."""
    source = read(make_recurrent(kind, place, "bidirectional"))
    inputs = {"x": _floats(3, 6, 4)}
    artifact, directory = make_variant(TFLiteTarget(), source)
    np.testing.assert_allclose(answer(source, inputs, artifact, directory)["y"], answer(source, inputs)["y"], atol=1e-5)


def test_cell_state_is_refused_by_name(make_recurrent, read, tmp_path) -> None:
    """The last cell state of an LSTM is in no step of its sequence, and onnx2tf gets it wrong: it is refused by its name."""
    with pytest.raises(ConversionError, match=r"onnx2tf gives a wrong last state Y_c of LSTM 'layer'"):
        make_from_onnx(read(make_recurrent("LSTM", 2)), tmp_path)
