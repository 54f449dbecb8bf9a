"""The twin in memory, where it differs from the real ones: its models are functions."""

from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.runtimes.memory import MemoryModel, MemoryRuntime
from edgekit.tensors import TensorSpec

SPECS = (TensorSpec(name="x", dtype="float32", shape=("n",)),)


def test_a_model_registered_later_is_found():
    """A path can be opened from when it is registered, and not before."""
    runtime = MemoryRuntime()
    with pytest.raises(InputError, match="late"):
        runtime.open(Path("late"), 1)
    runtime.register(Path("late"), MemoryModel(SPECS, SPECS, lambda given: [given[0] + 1]))
    assert runtime.open(Path("late"), 1).run([np.zeros(2, np.float32)])[0].tolist() == [1, 1]


def test_it_stands_in_for_any_format():
    """It runs the formats that it was told to, so a test may let it serve a real bundle."""
    assert MemoryRuntime().formats == ("memory",)
    assert MemoryRuntime(formats=("onnx", "tflite")).formats == ("onnx", "tflite")


def test_the_model_cannot_write_to_what_was_answered():
    """A function that gives back its input does not tie the answer to it."""
    session = MemoryRuntime({Path("same"): MemoryModel(SPECS, SPECS, lambda given: given)}).open(Path("same"), 1)
    given = np.zeros(2, np.float32)
    answer = session.run([given])[0]
    given[:] = 5
    assert answer.tolist() == [0, 0]
