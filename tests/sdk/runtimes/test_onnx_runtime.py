"""What only ONNX files have: strings, sequences, operators of any domain."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.runtimes.onnx_runtime import OnnxRuntime

pytestmark = pytest.mark.skipif(OnnxRuntime().find_version() is None, reason="onnxruntime is not installed in this environment")
DATA = Path(__file__).with_name("data")


def test_strings_are_bytes_on_both_sides():
    """Bytes given come back as bytes, and are never taken for their Python spelling."""
    session = OnnxRuntime().open(DATA / "strings.onnx", 1)
    assert session.inputs[0].dtype == session.outputs[0].dtype == "bytes"
    for given in (np.array(["ü".encode(), b"two"], object), np.array(["ü", "two"])):
        assert session.run([given])[0].tolist() == ["ü".encode(), b"two"]


def test_bytes_that_are_no_text_are_refused():
    """Bytes that are not UTF-8 cannot be an ONNX string, and are refused."""
    session = OnnxRuntime().open(DATA / "strings.onnx", 1)
    with pytest.raises(InputError, match=r"strings\.onnx"):
        session.run([np.array([b"\xff\xfe"], object)])


def test_a_size_without_a_name_gets_one_of_its_own():
    """Unnamed sizes of two tensors get different names, since equal names would mean equal sizes."""
    session = OnnxRuntime().open(DATA / "strings.onnx", 1)
    assert session.inputs[0].shape == ("input0_dim0",)
    assert session.outputs[0].shape == ("output0_dim0",)


def test_an_output_that_is_no_tensor_is_refused():
    """A model that gives a sequence is refused, and the message names the output."""
    with pytest.raises(InputError, match=r"sequence\.onnx.*'parts' is a seq"):
        OnnxRuntime().open(DATA / "sequence.onnx", 1)


def test_an_operator_that_is_lacking_is_named():
    """A model with an operator that the runtime lacks is refused, and the message names the operator."""
    with pytest.raises(InputError, match=r"lacking\.onnx.*Shimmer"):
        OnnxRuntime().open(DATA / "lacking.onnx", 1)


def test_weights_stay_beside_the_file(tmp_path):
    """A model whose weights point out of its directory is refused, though they are there; beside it they are read."""
    weights = np.array([[1, 2, 3], [-1, 0, 1]], np.float32).tobytes()
    (tmp_path / "secret").write_bytes(weights)
    path = tmp_path / "inside" / "outside.onnx"
    path.parent.mkdir()
    path.write_bytes((DATA / path.name).read_bytes())
    with pytest.raises(InputError, match=r"outside\.onnx.*'\.\./secret'"):
        OnnxRuntime().open(path, 1)
    (path.parent / "my_secret").write_bytes(weights)
    path.write_bytes(path.read_bytes().replace(b"../secret", b"my_secret"))
    assert OnnxRuntime().open(path, 1).run([np.ones((1, 3), np.float32)])[0].tolist() == [[6.5, -0.5]]


def test_weights_in_half_behind_a_transpose_end_no_process():
    """A network in half, on which an optimisation of ONNX Runtime ends the process, is loaded, and it answers."""
    program = "import sys; from pathlib import Path; from edgekit.runtimes.onnx_runtime import OnnxRuntime; OnnxRuntime().open(Path(sys.argv[1]), 1)"
    loaded = subprocess.run([sys.executable, "-c", program, str(DATA / "half.onnx")], capture_output=True, timeout=60, check=False)
    assert (loaded.returncode, loaded.stderr) == (0, b"")
    sums = OnnxRuntime().open(DATA / "half.onnx", 1).run([np.ones((2, 3, 4), np.float32)])[0]
    assert sums.shape == (3, 2, 5)
    assert sums.min() == sums.max() == 4
