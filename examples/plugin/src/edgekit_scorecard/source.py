"""Linear models as a source: an .npz file with ``weights`` (classes, features) and ``bias`` (classes,)."""

from __future__ import annotations

import zipfile
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from edgekit.arrays import Array, read_arrays
from edgekit.conversion import HUB, SourceModel, SourceOptions
from edgekit.errors import InputError
from edgekit_converters.onnx_hub import make_hub

if TYPE_CHECKING:
    from pathlib import Path

    from onnx import ModelProto

_MEMBERS = {"weights.npy", "bias.npy"}
_EXPECTED = "weights is float32[classes, features], and bias is float32[classes]"


class ScorecardSource:
    """Reads the arrays of a linear model, and makes them a graph: scores = features x weights' + bias."""

    format = "scorecard"

    def accepts(self, path: Path) -> bool:
        """Whether *path* is an .npz file with the two arrays of a linear model."""
        if path.suffix != ".npz" or not path.is_file():
            return False
        try:
            with zipfile.ZipFile(path) as archive:
                return set(archive.namelist()) >= _MEMBERS
        except (zipfile.BadZipFile, NotImplementedError, ValueError):
            return False  # a damaged archive may be anybody's: whoever is asked next, or nobody, takes it

    def load(self, path: Path, workspace: Path, options: SourceOptions) -> SourceModel:
        """Read *path*; InputError where its arrays are no linear model."""
        arrays = read_arrays(path)
        _check(path, arrays["weights"], arrays["bias"])
        exported = workspace / f"{path.stem}.onnx"
        exported.write_bytes(_make_graph(arrays["weights"], arrays["bias"]).SerializeToString())
        # The hub reads the file as it reads anybody's, fixes what --shape says, and runs the passes.
        hub = make_hub(exported, workspace, options, subject=path)
        return SourceModel(
            format=self.format,
            files=(path,),
            directory=workspace,
            artifact=hub.artifact,
            inputs=hub.inputs,
            outputs=hub.outputs,
            forms={HUB: hub.path},
            tools={**hub.tools, "edgekit-scorecard": version("edgekit-scorecard")},
            precision=hub.precision,
        )


def _check(path: Path, weights: Array, bias: Array) -> None:
    if weights.dtype != np.float32 or bias.dtype != np.float32 or weights.ndim != 2 or bias.shape != weights.shape[:1]:
        found = f"weights is {weights.dtype}{list(weights.shape)}, and bias is {bias.dtype}{list(bias.shape)}"
        raise InputError(path, found, f"Save it so that {_EXPECTED}.")


def _make_graph(weights: Array, bias: Array) -> ModelProto:
    from onnx import TensorProto, helper, numpy_helper

    classes, features = weights.shape
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["features", "weights", "bias"], ["scores"], transB=1)],
        "scorecard",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", features])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", classes])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
