"""The hub on its way to an ONNX target: in an opset that the device reads, with fixed shapes where it wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.conversion import HUB, SourceModel
from edgekit.errors import ConversionError
from edgekit.target_profiles import TargetProfile
from edgekit.tensors import Binding, TensorSpec
from edgekit_converters.onnx_files import list_nodes
from edgekit_converters.onnx_graphs import lift_constants
from edgekit_converters.onnx_opsets import ONNX_DOMAINS, fit_opset
from edgekit_converters.onnx_specs import describe_inputs, describe_outputs
from edgekit_converters.passes.base import run_passes
from edgekit_converters.passes.fix_shapes import FixShapes
from edgekit_converters.passes.slim import Slim
from edgekit_converters.passes.strip_metadata import StripMetadata

if TYPE_CHECKING:
    from pathlib import Path

    from onnx import ModelProto

#: The newest IR version that ONNX Runtime 1.17 reads, the oldest that devices may have: it refuses 10.
NEWEST_IR = 9
_OLDEST_OPSET = 11


def load_hub(source: SourceModel, profile: TargetProfile | None, oldest: int = _OLDEST_OPSET, newest: int | None = None) -> ModelProto:
    """The hub of *source*, slimmed, in an opset from *oldest* to *newest* and to what *profile* reads.

    Raises:
        ConversionError: the source has no hub, an operator cannot be said in that opset, or a size that varies cannot be fixed.
    """
    import onnx

    bounds = [bound for bound in (newest, profile.opset if profile else None) if bound is not None]
    model = onnx.load(source.find_form(HUB))
    if profile is not None and profile.fixed_shapes:
        model = run_passes(model, FixShapes(fix_batch(source)))
    model = run_passes(fit_opset(model, oldest, min(bounds, default=None)), Slim())
    lift_constants(model)
    return model


def fix_batch(source: SourceModel) -> dict[str, int]:
    """One for each name that an input's first axis has: the batch. Another size that may vary cannot be guessed."""
    return {spec.shape[0]: 1 for spec in source.inputs if spec.shape and isinstance(spec.shape[0], str)}


def write_model(model: ModelProto, path: Path, profile: TargetProfile | None) -> None:
    """Write *model* in an IR version that the device reads. Runtimes work out the shapes between, so they are left out."""
    newest = NEWEST_IR if profile is None else profile.ir_version
    model.ir_version = min(model.ir_version, newest)
    del model.graph.value_info[:]
    drop_unused_domains(model)
    path.write_bytes(run_passes(model, StripMetadata()).SerializeToString(deterministic=True))


def drop_unused_domains(model: ModelProto) -> None:
    """Take the domains out of *model* that no operator of it is from.

    ONNX Runtime's quantiser names all that its own version knows, and ONNX Runtime 1.17 refuses a file for an ``ai.onnx.ml``
    of version 5, which nothing in it uses.
    """
    used = {node.domain for node in list_nodes(model.graph)}
    kept = [one for one in model.opset_import if one.domain in (*ONNX_DOMAINS, *used)]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def bind_border(source: SourceModel, model: ModelProto, path: Path) -> tuple[tuple[Binding, ...], tuple[Binding, ...]]:
    """The bindings of the inputs and outputs of *source* to those of *model*, which have the same names."""
    return _bind(source.inputs, describe_inputs(model, path)), _bind(source.outputs, describe_outputs(model, path))


def _bind(specs: tuple[TensorSpec, ...], natives: tuple[TensorSpec, ...]) -> tuple[Binding, ...]:
    known = {native.name: native for native in natives}
    missing = [spec.name for spec in specs if spec.name not in known]
    if missing:
        raise ConversionError("onnx", f"what was made has no tensor {missing[0]!r}; it has {', '.join(known)}", "Leave this format out with --to.")
    return tuple(Binding(name=spec.name, native=known[spec.name]) for spec in specs)
