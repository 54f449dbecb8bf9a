"""What only OpenVINO has: two files for one model, and several outputs."""

import signal
import subprocess
import sys

import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.runtimes.openvino_runtime import OpenVINORuntime

pytestmark = pytest.mark.skipif(OpenVINORuntime().find_version() is None, reason="openvino is not installed in this environment")


def write_two_outputs(path) -> None:
    """A model of x of shape (any, 3) with the outputs "double" and "rows"."""
    import openvino
    from openvino import opset13 as operators

    x = operators.parameter([-1, 3], np.float32, name="x")
    x.output(0).set_names({"x"})
    double, rows = operators.multiply(x, np.float32(2)), operators.reduce_sum(x, np.array([1]))
    double.output(0).set_names({"double"})
    rows.output(0).set_names({"rows"})
    openvino.save_model(openvino.Model([double, rows], [x], "two"), path, compress_to_fp16=False)


def test_outputs_come_in_the_file_s_order(tmp_path):
    """Several outputs come in the order in which the session names them."""
    write_two_outputs(tmp_path / "two.xml")
    session = OpenVINORuntime().open(tmp_path / "two.xml", 1)
    assert [spec.name for spec in session.outputs] == ["double", "rows"]
    double, rows = session.run([np.array([[1, 2, 3]], np.float32)])
    assert double.tolist() == [[2, 4, 6]] and rows.tolist() == [6]


def test_strings_are_bytes_on_both_sides(tmp_path):
    """Bytes given come back as bytes."""
    import openvino
    from openvino import opset15 as operators

    texts = operators.parameter([-1], openvino.Type.string, name="texts")
    openvino.save_model(openvino.Model([operators.result(texts)], [texts], "texts"), tmp_path / "texts.xml")
    session = OpenVINORuntime().open(tmp_path / "texts.xml", 1)
    assert session.inputs[0].dtype == "bytes"
    assert session.run([np.array(["ü".encode(), b"two"], object)])[0].tolist() == ["ü".encode(), b"two"]


def test_weights_cut_off_are_refused(tmp_path):
    """A ``.bin`` that is shorter than the ``.xml`` says is refused."""
    write_two_outputs(tmp_path / "two.xml")
    weights = (tmp_path / "two.bin").read_bytes()
    (tmp_path / "two.bin").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(InputError, match=r"two\.xml"):
        OpenVINORuntime().open(tmp_path / "two.xml", 1)


SIGNALLED = """
import gc, os, signal, sys, threading
from pathlib import Path
from edgekit.runtimes.openvino_runtime import OpenVINORuntime

sessions = [OpenVINORuntime().open(Path(sys.argv[1]), 1)]

def give_back():
    sessions.pop().close()
    gc.collect()

thread = threading.Thread(target=give_back)
thread.start()
thread.join()
signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
signal.raise_signal(signal.SIGTERM)
"""


def test_a_signal_is_survived_after_another_thread_has_closed_the_model(tmp_path):
    """A process whose only model was closed by another thread than the one that opened it still hears SIGTERM."""
    write_two_outputs(tmp_path / "two.xml")
    done = subprocess.run([sys.executable, "-c", SIGNALLED, tmp_path / "two.xml"], check=False, timeout=120)
    assert done.returncode == 7, signal.Signals(-done.returncode).name if done.returncode < 0 else done.returncode
