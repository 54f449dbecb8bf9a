"""The environments that converters need, with the scripts that run in them."""

from pathlib import Path

from edgekit.environments import Environment

_HERE = Path(__file__).parent

#: onnx2tf needs Python 3.12 or newer and pins onnx, ONNX Runtime and LiteRT to versions that fight with those of the workstation.
ONNX2TF = Environment(name="onnx2tf", minimum=(3, 12), maximum=(3, 13), lock=_HERE / "onnx2tf.lock", size_mb=330)
ONNX2TF_SCRIPT = _HERE / "onnx2tf_main.py"
