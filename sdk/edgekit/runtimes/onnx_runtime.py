"""ONNX Runtime, on the CPU."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgekit.arrays import Array
from edgekit.errors import InputError
from edgekit.runtimes.base import NativeSession
from edgekit.runtimes.onnx_file import check_onnx
from edgekit.runtimes.packages import find_package_version, lacks_runtime, refuse_closed, refuse_model, refuse_run
from edgekit.runtimes.texts import decode_texts, encode_texts, has_texts
from edgekit.tensors import DType, TensorSpec

#: ONNX Runtime's names of element types, as tensor specs write them.
# fmt: off
_DTYPES: dict[str, DType] = {
    "tensor(bool)": "bool",
    "tensor(int8)": "int8",       "tensor(int16)": "int16",       "tensor(int32)": "int32",   "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",     "tensor(uint16)": "uint16",     "tensor(uint32)": "uint32", "tensor(uint64)": "uint64",
    "tensor(float16)": "float16", "tensor(bfloat16)": "bfloat16", "tensor(float)": "float32", "tensor(double)": "float64",
    "tensor(string)": "bytes",
}
# fmt: on
#: Nothing below a fatal error is printed: what goes wrong is raised.
_FATAL = 4
#: It ends the process with a segmentation fault on weights in float16 behind a Transpose, as transformers in half have them
#: (ONNX Runtime 1.23 and 1.32). Only networks that compute in half are slower on a CPU without it.
_CRASHING = ["FuseFp16InitializerToFp32NodeTransformer"]


class OnnxSession:
    """A model loaded by ONNX Runtime. It may be run by several threads at once."""

    def __init__(self, path: Path, session: Any) -> None:
        self.inputs = tuple(_describe(path, "input", index, node) for index, node in enumerate(session.get_inputs()))
        self.outputs = tuple(_describe(path, "output", index, node) for index, node in enumerate(session.get_outputs()))
        self._path = path
        self._session: Any = session
        self._input_names = [spec.name for spec in self.inputs]
        self._output_names = [spec.name for spec in self.outputs]
        self._has_texts = has_texts((*self.inputs, *self.outputs))

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs for *inputs*, in the file's order; InputError where ONNX Runtime refuses them."""
        session = self._session
        if session is None:
            raise refuse_closed(self._path)
        try:
            given = decode_texts(self.inputs, inputs) if self._has_texts else inputs
            answers: list[Array] = session.run(self._output_names, dict(zip(self._input_names, given, strict=True)))
        except Exception as error:
            # ONNX Runtime's exceptions have no common root.
            raise refuse_run(self._path, "onnxruntime", error) from error
        return encode_texts(self.outputs, answers) if self._has_texts else answers

    def close(self) -> None:
        """Give the memory back, once the runs that are under way have ended."""
        self._session = None


class OnnxRuntime:
    """Runs ONNX models with onnxruntime's CPU provider."""

    name = "onnxruntime"
    formats: tuple[str, ...] = ("onnx",)

    def find_version(self) -> str | None:
        """The installed version, of the package for CPUs or the one for NVIDIA GPUs."""
        return find_package_version("onnxruntime") or find_package_version("onnxruntime-gpu")

    def open(self, path: Path, threads: int) -> NativeSession:
        """Load the model at *path*; raises as Runtime.open says. Weights in other files are read only from beside it."""
        try:
            import onnxruntime
        except ImportError as error:
            raise lacks_runtime(self.name, "onnx", error) from error
        check_onnx(path)
        try:
            options = _options(onnxruntime, threads)
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=_CRASHING)
        except Exception as error:
            raise refuse_model(path, self.name, error) from error
        return OnnxSession(path, session)


def _options(onnxruntime: Any, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _FATAL
    # A device serves at a pace: threads that spin between inferences cost 34 ms of CPU for each, against 7.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _describe(path: Path, kind: str, index: int, node: Any) -> TensorSpec:
    if node.type not in _DTYPES:
        raise InputError(path, f"its {kind} {node.name!r} is a {node.type}, and only tensors can be served", "Export the model with tensors alone.")
    shape = tuple(size if isinstance(size, int | str) and size != "" else f"{kind}{index}_dim{axis}" for axis, size in enumerate(node.shape))
    return TensorSpec(name=node.name, dtype=_DTYPES[node.type], shape=shape)
