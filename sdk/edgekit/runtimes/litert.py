"""LiteRT and its older sibling tflite-runtime, on the CPU: one adapter, since both have the same interpreter."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np

from edgekit.arrays import Array
from edgekit.errors import InputError
from edgekit.runtimes.base import NativeSession
from edgekit.runtimes.packages import find_package_version, lacks_runtime, refuse_closed, refuse_model, refuse_run
from edgekit.runtimes.tflite_file import check_tflite
from edgekit.tensors import DType, Quantization, TensorSpec

#: A tensor of the file as its interpreter describes it.
_Details = dict[str, Any]


class TFLiteSession:
    """A model loaded by an interpreter. It may be run by several threads, which then take turns."""

    def __init__(self, path: Path, runtime: str, interpreter: Any, inputs: list[_Details], outputs: list[_Details]) -> None:
        self.inputs = tuple(_describe(path, "input", index, details) for index, details in enumerate(inputs))
        self.outputs = tuple(_describe(path, "output", index, details) for index, details in enumerate(outputs))
        self._path = path
        self._runtime = runtime
        self._interpreter: Any = interpreter
        self._input_indices = [details["index"] for details in inputs]
        self._output_indices = [details["index"] for details in outputs]
        self._shapes: list[tuple[int, ...]] = [tuple(details["shape"].tolist()) for details in inputs]
        self._turn = threading.Lock()

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs for *inputs*, in the file's order; InputError where the interpreter refuses them.

        The memory of recurrent layers is cleared first, so that a call knows nothing of the one before.
        """
        with self._turn:
            if self._interpreter is None:
                raise refuse_closed(self._path)
            try:
                return self._invoke(inputs)
            except (ValueError, RuntimeError, TypeError) as error:
                raise refuse_run(self._path, self._runtime, error) from error

    def close(self) -> None:
        """Give the memory back, once the run that is under way has ended."""
        with self._turn:
            self._interpreter = None

    def _invoke(self, inputs: Sequence[Array]) -> list[Array]:
        interpreter = self._interpreter
        shapes = [array.shape for array in inputs]
        if shapes != self._shapes:
            self._resize(shapes)
        interpreter.reset_all_variables()
        for index, array in zip(self._input_indices, inputs, strict=True):
            interpreter.set_tensor(index, array)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in self._output_indices]

    def _resize(self, shapes: list[tuple[int, ...]]) -> None:
        # Until the new shapes are in place none are, so that the next run resizes again after a failure here.
        self._shapes = []
        for index, shape in zip(self._input_indices, shapes, strict=True):
            self._interpreter.resize_tensor_input(index, shape, strict=True)
        self._interpreter.allocate_tensors()
        self._shapes = shapes


class LiteRT:
    """Runs TFLite models with ai-edge-litert and XNNPACK."""

    name = "litert"
    formats: tuple[str, ...] = ("tflite",)

    def find_version(self) -> str | None:
        """The installed version."""
        return find_package_version("ai-edge-litert")

    def open(self, path: Path, threads: int) -> NativeSession:
        """Load the model at *path*; raises as Runtime.open says."""
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise lacks_runtime(self.name, "litert", error) from error
        return _open(path, threads, self.name, Interpreter)


class TFLiteRuntime:
    """Runs TFLite models with tflite-runtime, for boards that have it already."""

    name = "tflite-runtime"
    formats: tuple[str, ...] = ("tflite",)

    def find_version(self) -> str | None:
        """The installed version."""
        return find_package_version("tflite-runtime")

    def open(self, path: Path, threads: int) -> NativeSession:
        """Load the model at *path*; raises as Runtime.open says."""
        try:
            from tflite_runtime.interpreter import Interpreter
        except ImportError as error:
            raise lacks_runtime(self.name, "tflite-runtime", error) from error
        return _open(path, threads, self.name, Interpreter)


def _open(path: Path, threads: int, runtime: str, make_interpreter: Callable[..., Any]) -> NativeSession:
    check_tflite(path)
    try:
        interpreter = make_interpreter(model_path=str(path), num_threads=threads)
        interpreter.allocate_tensors()
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    except (ValueError, RuntimeError) as error:
        # A name of a tensor that is no text is a ValueError too.
        raise refuse_model(path, runtime, error) from error
    return TFLiteSession(path, runtime, interpreter, inputs, outputs)


def _describe(path: Path, kind: str, index: int, details: _Details) -> TensorSpec:
    name = details["name"] or f"{kind}{index}"
    dtype = np.dtype(details["dtype"]).name
    if dtype not in get_args(DType):
        raise InputError(
            path, f"its {kind} {name!r} has the dtype {dtype}, which cannot be served", "Convert the model with other input and output types."
        )
    signature = details["shape_signature"] if len(details["shape_signature"]) else details["shape"]
    shape = tuple(f"{kind}{index}_dim{axis}" if size < 0 else size for axis, size in enumerate(signature.tolist()))
    return TensorSpec(name=name, dtype=cast(DType, dtype), shape=shape, quantization=_describe_quantization(details["quantization_parameters"]))


def _describe_quantization(parameters: _Details) -> Quantization | None:
    scales, zero_points = parameters["scales"].tolist(), parameters["zero_points"].tolist()
    if not scales:
        return None
    if len(zero_points) < len(scales):
        zero_points = zero_points[:1] * len(scales)
    axis = parameters["quantized_dimension"] if len(scales) > 1 else None
    return Quantization(scale=tuple(scales), zero_point=tuple(zero_points), axis=axis)
