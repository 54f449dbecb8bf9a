"""What only TFLite files have: variables that live on between calls."""

from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.runtimes.litert import LiteRT, TFLiteRuntime

DATA = Path(__file__).with_name("data")


@pytest.fixture(
    params=[
        pytest.param(LiteRT, id="litert"),
        pytest.param(TFLiteRuntime, id="tflite-runtime", marks=(pytest.mark.heavy, pytest.mark.tflite_runtime)),
    ]
)
def runtime(request):
    found = request.param()
    if found.find_version() is None:
        pytest.skip(f"{found.name} is not installed in this environment")
    return found


def test_a_call_knows_nothing_of_the_one_before(runtime):
    """A recurrent model starts from nothing at each call."""
    session = runtime.open(DATA / "recurrent.tflite", 1)
    one = np.ones((1, 1), np.float32)
    assert [session.run([one])[0].item() for _ in range(3)] == [1, 1, 1]


def test_the_file_s_quantisation_is_told(runtime):
    """An int8 tensor is shown with its scale and zero point, and a float one with none."""
    spec = runtime.open(DATA / "affine_int8.tflite", 1).outputs[0]
    assert (spec.dtype, spec.quantization.scale, spec.quantization.zero_point) == ("int8", (0.25,), (-3,))
    assert runtime.open(DATA / "affine.tflite", 1).outputs[0].quantization is None


def test_a_fixed_size_is_not_resized(runtime):
    """A file of batch 2 refuses another batch instead of giving answers of unknown worth."""
    session = runtime.open(DATA / "affine_int8.tflite", 1)
    assert session.inputs[0].shape == (2, 3)
    with pytest.raises(InputError, match=r"affine_int8\.tflite"):
        session.run([np.zeros((3, 3), np.int8)])
    assert session.run([np.full((2, 3), 24, np.int8)])[0].tolist() == [[23, -5], [23, -5]]


def test_a_wrong_dtype_is_refused(runtime):
    """An input of another dtype than the file's is refused, not reinterpreted."""
    with pytest.raises(InputError, match=r"affine\.tflite"):
        runtime.open(DATA / "affine.tflite", 1).run([np.zeros((1, 3), np.int8)])


def test_a_name_that_is_no_text_is_refused(runtime, tmp_path):
    """A file that names a tensor in bytes that are no text is refused like any damaged one."""
    data = (DATA / "affine.tflite").read_bytes()
    # The input's name is a string of one letter: its length, and the letter.
    (tmp_path / "damaged.tflite").write_bytes(data.replace(b"\x01\x00\x00\x00x\x00", b"\x01\x00\x00\x00\xff\x00"))
    with pytest.raises(InputError, match=r"damaged\.tflite"):
        runtime.open(tmp_path / "damaged.tflite", 1)
