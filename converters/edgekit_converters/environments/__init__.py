"""The environments that converters need, with the scripts that run in them."""

from pathlib import Path

from edgekit.environments import Environment

_HERE = Path(__file__).parent

#: onnx2tf needs Python 3.12 or newer and pins onnx, ONNX Runtime and LiteRT to versions that fight with those of the workstation.
ONNX2TF = Environment(name="onnx2tf", minimum=(3, 12), maximum=(3, 13), lock=_HERE / "onnx2tf.lock", size_mb=330)
ONNX2TF_SCRIPT = _HERE / "onnx2tf_main.py"

#: TensorFlow, Keras and tf2onnx want versions of numpy, protobuf and LiteRT that fight with those of the workstation.
TENSORFLOW = Environment(name="tensorflow", minimum=(3, 11), maximum=(3, 13), lock=_HERE / "tensorflow.lock", size_mb=1500)
TENSORFLOW_SCRIPT = _HERE / "tensorflow_main.py"

#: litert-torch wants a torch of its own, for CPUs; the workstation needs none. The Python is the one that converters run on.
LITERT_TORCH = Environment(name="litert-torch", minimum=(3, 11), maximum=(3, 11), lock=_HERE / "litert_torch.lock", size_mb=1900)
LITERT_TORCH_SCRIPT = _HERE / "litert_torch_main.py"

#: PyTorch is exported by the workstation's own Python, in a process of its own.
TORCH_SCRIPT = _HERE / "torch_main.py"
