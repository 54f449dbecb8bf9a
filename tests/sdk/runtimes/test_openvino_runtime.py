"""What only OpenVINO has: two files for one model, and a package that would send usage data."""

import os
import subprocess
import sys

import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.runtimes.openvino_runtime import OpenVINORuntime, silence_telemetry

pytestmark = pytest.mark.skipif(OpenVINORuntime().find_version() is None, reason="openvino is not installed in this environment")


def write_two_outputs(path) -> None:
    """A model of x of shape (any, 3) with the outputs "double" and "rows"."""
    silence_telemetry()
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
    silence_telemetry()
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


def test_nobody_phones_home(tmp_path):
    """Loading and running a model neither loads the package that sends usage data nor leaves its files in the home."""
    write_two_outputs(tmp_path / "two.xml")
    script = f"""
import pathlib, sys
import numpy as np
from edgekit.runtimes.openvino_runtime import OpenVINORuntime
OpenVINORuntime().open(pathlib.Path({str(tmp_path / "two.xml")!r}), 1).run([np.zeros((1, 3), np.float32)])
import openvino.tools.ovc
print([name for name, module in sys.modules.items() if name.startswith("openvino_telemetry") and module is not None])
"""
    home = tmp_path / "home"
    home.mkdir()
    child = subprocess.run([sys.executable, "-c", script], env=os.environ | {"HOME": str(home)}, capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "[]"
    assert list(home.iterdir()) == []
