"""From an ONNX model that was read to the hub: what the user asks for at its border, and passes that keep its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from edgekit.errors import InputError
from edgekit_converters.calibrating import is_quantised
from edgekit_converters.onnx_border import check_dtypes, find_permutations, find_sizes
from edgekit_converters.onnx_files import check_constants, infer_shapes, read_model
from edgekit_converters.onnx_hub_records import HubReport, HubRequest
from edgekit_converters.onnx_specs import describe_inputs, describe_outputs, find_element_type
from edgekit_converters.passes.cast_inputs import CastInputs
from edgekit_converters.passes.drop_branches import DropBranches
from edgekit_converters.passes.drop_unused import DropUnused
from edgekit_converters.passes.fix_shapes import FixShapes
from edgekit_converters.passes.fold_batch_norms import FoldBatchNorms
from edgekit_converters.passes.fold_constants import FoldConstants
from edgekit_converters.passes.name_dimensions import NameDimensions
from edgekit_converters.passes.pool_globally import PoolGlobally
from edgekit_converters.passes.strip_metadata import StripMetadata
from edgekit_converters.passes.transpose_inputs import TransposeInputs

if TYPE_CHECKING:
    from onnx import ModelProto

    from edgekit_converters.passes.base import Pass

#: The oldest IR version in which weights need not be listed among the inputs, and the newest that is needed here, which
#: brought int4. Targets write an older one where their runtimes want it.
_OLDEST_IR, _NEWEST_IR = 4, 10
#: A branch inside of a branch is opened in the next round, and what it held is folded in the one after.
_MOST_ROUNDS = 64


def read_hub(request: HubRequest, announce: Callable[[int], None]) -> HubReport:
    """Read the model that *request* names, write its hub, and say what it takes and gives; raises as make_hub does.

    *announce* is called with the bytes of external data before they are read.
    """
    path = Path(request.path)
    work = _Work(_settle_inputs(read_model(path, announce), path), path)
    work.run(NameDimensions())
    work.run(*_border_passes(work.model, request))
    work.model = infer_shapes(work.model, path)
    work.fold()
    work.run(PoolGlobally(), FoldBatchNorms(), DropUnused(), NameDimensions(), StripMetadata())
    model = infer_shapes(work.model, path)
    check_constants(model, path)
    Path(request.hub).write_bytes(model.SerializeToString(deterministic=True))
    return _describe(model, request, work.changed)


class _Work:
    """A model on its way through passes; *changed* has the names of those that changed it, each once."""

    def __init__(self, model: ModelProto, path: Path) -> None:
        self.model = model
        self.changed: list[str] = []
        self._path = path

    def run(self, *passes: Pass) -> bool:
        """Run *passes*; whether one of them changed the model."""
        modified = False
        for one in passes:
            result = one.run(self.model)
            self.model, modified = result.model, modified or result.modified
            name = type(one).__name__
            if result.modified and name not in self.changed:
                self.changed.append(name)
        return modified

    def fold(self) -> None:
        """Fold constants and open branches until nothing changes; in between shapes become known that were not before."""
        for _ in range(_MOST_ROUNDS):
            if not self.run(FoldConstants(), DropBranches()):
                return
            self.model = infer_shapes(self.model, self._path)


def _settle_inputs(model: ModelProto, path: Path) -> ModelProto:
    """*model*, whose inputs are only what a caller gives: until IR version 3 each initialiser was listed among them."""
    constants = {tensor.name for tensor in model.graph.initializer}
    given = [value for value in model.graph.input if value.name not in constants]
    if not given:
        raise InputError(path, "it has no inputs, so it would always give the same answer", "Export the model with its inputs.")
    del model.graph.input[:]
    model.graph.input.extend(given)
    model.ir_version = min(max(model.ir_version, _OLDEST_IR), _NEWEST_IR)
    return model


def _border_passes(model: ModelProto, request: HubRequest) -> Iterable[Pass]:
    """What makes the inputs of *model*, whose sizes have names, as *request* wants them; InputError where it cannot be."""
    inputs, subject = describe_inputs(model, Path(request.subject)), request.subject
    check_dtypes(request.dtypes, inputs, subject)
    yield FixShapes(find_sizes(request.shapes, inputs, subject), others_may_vary=True)
    # The Transpose stands before the Cast, where the numbers are small.
    yield CastInputs({name: find_element_type(dtype) for name, dtype in request.dtypes.items()})
    yield TransposeInputs(find_permutations(request.layouts, inputs, subject))


def _describe(model: ModelProto, request: HubRequest, changed: list[str]) -> HubReport:
    subject = Path(request.subject)
    shown = {name: layout for name, (_, layout) in request.layouts.items()}
    inputs = tuple(replace(spec, layout=shown.get(spec.name, spec.layout)) for spec in describe_inputs(model, subject))
    precision = "int8" if is_quantised(model) else "fp32"
    return HubReport(inputs=inputs, outputs=describe_outputs(model, subject), passes=tuple(changed), precision=precision)
