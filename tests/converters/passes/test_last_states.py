"""The last state of recurrent layers, read from the sequence."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from edgekit_converters.passes.last_states import LastStates

RNG = np.random.default_rng(2)
GATES = {"LSTM": 4, "RNN": 1, "GRU": 3}


def _floats(*shape: int) -> np.ndarray:
    return RNG.normal(0, 0.5, shape).astype(np.float32)


@pytest.fixture
def make_recurrent(make_model):
    """A recurrent layer of 5 steps whose last state, and nothing else, is the model's output."""

    def make(kind: str, direction: str = "forward", lengths: bool = False) -> onnx.ModelProto:
        directions = 2 if direction == "bidirectional" else 1
        weights = {"w": _floats(directions, GATES[kind] * 3, 4), "r": _floats(directions, GATES[kind] * 3, 3)}
        if lengths:
            weights["lengths"] = np.array([3, 5], np.int32)
        inputs = ["x", "w", "r", "", "lengths" if lengths else ""]
        nodes = [helper.make_node(kind, inputs, ["", "state"], hidden_size=3, direction=direction)]
        return make_model(nodes, {"x": [5, 2, 4]}, {"state": [directions, 2, 3]}, weights)

    return make


def _run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize("kind", ["LSTM", "RNN", "GRU"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_state_is_read_from_the_sequence(kind, direction, make_recurrent) -> None:
    """The answers stay while the layer's own state is no longer used, in every direction."""
    model = make_recurrent(kind, direction)
    result = LastStates().run(model)
    onnx.checker.check_model(result.model, full_check=True)
    x = _floats(5, 2, 4)
    assert result.modified
    assert list(result.model.graph.node[0].output) == ["state.sequence", ""]
    np.testing.assert_array_equal(_run(result.model, x), _run(model, x))


def test_sequences_with_lengths_stay(make_recurrent) -> None:
    """Where sequences end before the last step their last states are elsewhere, so the layer stays as it is."""
    model = make_recurrent("LSTM", lengths=True)
    result = LastStates().run(model)
    assert not result.modified
    assert result.model == model


def test_model_without_such_a_state_stays(make_model) -> None:
    """A layer of which only the sequence is used is left alone."""
    weights = {"w": _floats(1, 12, 4), "r": _floats(1, 12, 3)}
    model = make_model([helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=3)], {"x": [5, 2, 4]}, {"y": [5, 1, 2, 3]}, weights)
    assert not LastStates().run(model).modified
