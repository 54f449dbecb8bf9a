"""ONNX as a target, for ONNX Runtime on CPUs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.artifacts import Artifact
from edgekit.conversion import HUB, Order, SourceModel
from edgekit.target_profiles import TargetProfile
from edgekit_converters.artifact_files import describe_files
from edgekit_converters.calibrating import require_calibration, stream_batches
from edgekit_converters.onnx_casting import store_halved
from edgekit_converters.onnx_opsets import FIRST_WITH_AXIS
from edgekit_converters.onnx_preparing import bind_border, load_hub, write_model
from edgekit_converters.onnx_quantising import StaticRecipe, prepare_static, quantise_dynamic, quantise_static
from edgekit_converters.onnx_weights import store_in_int4, store_in_int8
from edgekit_converters.packages import find_missing, list_versions

if TYPE_CHECKING:
    from onnx import ModelProto

_PACKAGES = ("onnx", "onnxruntime", "onnxslim", "onnx-ir")
_FILE = "model.onnx"
#: The fewest dense weights of a model that is worth trying with integers for weights alone.
_MANY_WEIGHTS = 1 << 20
#: CPU features of x86 with which products of bytes are added in 32 bits.
_DOT_PRODUCTS = ("avx512_vnni", "avx_vnni")


class OnnxTarget:
    """Makes ONNX files. The tensors at their borders are the source's own, but for a batch that a device wants fixed."""

    format = "onnx"
    precisions: tuple[str, ...] = ("fp32", "fp16", "bf16", "int8", "int8-dynamic", "int8-weights", "int4-weights")
    refusals: Mapping[str, str] = {}

    def find_obstacle(self) -> str | None:
        """Which packages are missing; None where all are here."""
        return find_missing(*_PACKAGES)

    def list_tools(self) -> dict[str, str]:
        """The versions of onnx, onnxruntime, onnxslim and onnx-ir."""
        return list_versions(*_PACKAGES)

    def suggest_precisions(self, source: SourceModel) -> tuple[str, ...]:
        """fp32 and int8; for a model that is mostly large dense layers, int8-dynamic and int8-weights too."""
        if HUB in source.forms and is_mostly_dense(source.forms[HUB]):
            return ("fp32", "int8", "int8-dynamic", "int8-weights")
        return ("fp32", "int8")

    def convert(self, source: SourceModel, order: Order, directory: Path) -> Artifact:
        """Write ``model.onnx`` into *directory*; raises as TargetConverter.convert says."""
        path = directory / _FILE
        model = _convert_numbers(source, order)
        write_model(model, path, order.profile)
        inputs, outputs = bind_border(source, model, path)
        return Artifact(format=self.format, files=describe_files(directory, _FILE), inputs=inputs, outputs=outputs)


def _convert_numbers(source: SourceModel, order: Order) -> ModelProto:
    """The hub of *source* in the precision of *order*; as it is, where the source came in that number format."""
    precision, profile = order.precision, order.profile
    if precision.number == source.precision:
        return load_hub(source, profile)
    if precision.number in ("fp16", "bf16"):
        return store_halved(load_hub(source, profile, FIRST_WITH_AXIS), precision.number)
    if precision.scheme == "static":
        return _quantise_static(source, order)
    if precision.scheme == "dynamic":
        return quantise_dynamic(load_hub(source, profile, FIRST_WITH_AXIS), reduced=may_overflow(profile))
    return (store_in_int8 if precision.number == "int8" else store_in_int4)(load_hub(source, profile))


def _quantise_static(source: SourceModel, order: Order) -> ModelProto:
    """U8S8, which x86 multiplies fastest (S8S8 is up to 22 times slower), and ARM does either."""
    calibration = require_calibration("onnx", order)
    batches = partial(stream_batches, source, calibration)
    prepared = prepare_static(load_hub(source, order.profile, FIRST_WITH_AXIS), "onnx-int8")
    return quantise_static(prepared, batches, StaticRecipe("onnx-int8", reduced=may_overflow(order.profile)))


def may_overflow(profile: TargetProfile | None) -> bool:
    """Whether the device is an x86 that adds products of bytes in 16 bits, so that weights get 7 bits (reduce_range)."""
    return profile is not None and profile.arch == "x86_64" and not any(feature in profile.cpu_features for feature in _DOT_PRODUCTS)


def is_mostly_dense(path: Path) -> bool:
    """Whether most weights of the ONNX file at *path*, and a million at least, belong to MatMul and Gemm, as in transformers."""
    import onnx

    graph = onnx.load(path).graph
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in graph.initializer}
    dense = sum(sizes.get(node.input[1], 0) for node in graph.node if node.op_type in ("MatMul", "Gemm"))
    conv = sum(sizes.get(node.input[1], 0) for node in graph.node if node.op_type in ("Conv", "ConvTranspose"))
    return dense >= _MANY_WEIGHTS and dense > conv
