"""OpenVINO, on the CPU."""

import functools
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgekit.arrays import Array
from edgekit.errors import InputError
from edgekit.runtimes.base import NativeSession
from edgekit.runtimes.openvino_file import check_openvino
from edgekit.runtimes.packages import find_package_version, lacks_runtime, refuse_closed, refuse_model, refuse_run
from edgekit.runtimes.texts import decode_texts, encode_texts, has_texts
from edgekit.tensors import DType, TensorSpec

#: OpenVINO's names of element types, as tensor specs write them.
# fmt: off
_DTYPES: dict[str, DType] = {
    "boolean": "bool",
    "i8": "int8",     "i16": "int16",     "i32": "int32",   "i64": "int64",
    "u8": "uint8",    "u16": "uint16",    "u32": "uint32",  "u64": "uint64",
    "f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64",
    "string": "bytes",
}
# fmt: on


class OpenVINOSession:
    """A model compiled by OpenVINO. It may be run by several threads, which then take turns."""

    def __init__(self, path: Path, compiled: Any, request: Any) -> None:
        self.inputs = tuple(_describe(path, "input", index, port) for index, port in enumerate(compiled.inputs))
        self.outputs = tuple(_describe(path, "output", index, port) for index, port in enumerate(compiled.outputs))
        self._path = path
        self._request: Any = request
        self._has_texts = has_texts((*self.inputs, *self.outputs))
        self._turn = threading.Lock()

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs for *inputs*, in the file's order; InputError where OpenVINO refuses them."""
        with self._turn:
            if self._request is None:
                raise refuse_closed(self._path)
            try:
                return self._infer(inputs)
            except Exception as error:
                # OpenVINO's bindings raise RuntimeError, TypeError and ValueError.
                raise refuse_run(self._path, "openvino", error) from error

    def close(self) -> None:
        """Give the memory back, once the run that is under way has ended."""
        with self._turn:
            self._request = None

    def _infer(self, inputs: Sequence[Array]) -> list[Array]:
        from openvino import Tensor

        given = decode_texts(self.inputs, inputs) if self._has_texts else inputs
        for index, (spec, array) in enumerate(zip(self.inputs, given, strict=True)):
            mine = array.astype(str) if spec.dtype == "bytes" else array
            # Sharing the caller's memory spares a copy; strings and what is read-only cannot be shared.
            self._request.set_input_tensor(index, Tensor(mine, shared_memory=mine is array and array.flags.writeable))
        # Results are copied, since the request writes the next ones over them.
        answers: list[Array] = list(self._request.infer(share_outputs=False).to_tuple())
        return encode_texts(self.outputs, answers) if self._has_texts else answers


class OpenVINORuntime:
    """Runs OpenVINO IR with the CPU plug-in."""

    name = "openvino"
    formats: tuple[str, ...] = ("openvino",)

    def find_version(self) -> str | None:
        """The installed version."""
        return find_package_version("openvino")

    def open(self, path: Path, threads: int) -> NativeSession:
        """Load the IR whose ``.xml`` is at *path*, with the ``.bin`` of the same name beside it; raises as Runtime.open says."""
        try:
            core = find_core()
        except ImportError as error:
            raise lacks_runtime(self.name, "openvino", error) from error
        check_openvino(path)
        try:
            compiled = core.compile_model(core.read_model(path), "CPU", _options(threads))
            request = compiled.create_infer_request()
        except Exception as error:
            raise refuse_model(path, self.name, error) from error
        return OpenVINOSession(path, compiled, request)


@functools.cache
def find_core() -> Any:
    """The ``openvino.Core`` of this process, which is kept until it ends.

    Where a CPU has so many registers that they fill the usual stack for signals, its plug-in gives the thread that loads it
    a larger one. When another thread gives back the last core, the plug-in is unloaded and that stack freed, but still
    named: the next signal, a SIGTERM say, then ends the process with SIGSEGV.
    """
    import openvino

    return openvino.Core()


def _options(threads: int) -> dict[str, str | int | bool]:
    return {
        # Without it a CPU that has bf16 computes in bf16, and a ResNet-50 is off by 0.64 of 10 instead of 9e-5.
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        # Each process would pin itself to the same first cores.
        "ENABLE_CPU_PINNING": False,
    }


def _describe(path: Path, kind: str, index: int, port: Any) -> TensorSpec:
    names = port.get_names()
    name = port.get_any_name() if names else f"{kind}{index}"
    dtype = _DTYPES.get(port.get_element_type().get_type_name())
    shape = port.get_partial_shape()
    if dtype is None or shape.rank.is_dynamic:
        raise InputError(
            path, f"its {kind} {name!r} is {port.get_element_type()}{shape}, which cannot be served", "Give it a fixed rank and a plain dtype."
        )
    sizes = tuple(f"{kind}{index}_dim{axis}" if size.is_dynamic else size.get_length() for axis, size in enumerate(shape))
    return TensorSpec(name=name, dtype=dtype, shape=sizes)
