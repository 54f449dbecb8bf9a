"""Exported programs, as edgekit_converters.pt2_archives wrote them: with nothing in them that could run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.export.pt2_archive._package import load_pt2
from torch.utils import _pytree as pytree

from edgekit.errors import InputError
from edgekit.tensors import TensorSpec
from edgekit_converters.torch_exporting import ExportRequest
from edgekit_converters.torch_worker.examples import match_example
from edgekit_converters.torch_worker.failures import tell_cause
from edgekit_converters.torch_worker.models import TorchModel
from edgekit_converters.torch_worker.sampling import draw_samples, is_telling

_BATCH, _SEQUENCE = "batch", "sequence"
_EXPORT = "Export it again with torch.export.save, this version of torch, and the model in eval mode."
_MAX_SIZE = 1 << 40
#: Operators that work otherwise in training, and which of their arguments says so (native_functions.yaml).
_TRAINING = {"batch_norm": 5, "dropout": 2, "alpha_dropout": 2, "feature_dropout": 2}


def load_program(request: ExportRequest) -> TorchModel:
    """The program at *request.source*.

    Raises:
        InputError: torch cannot read it, it was exported in training mode, or it takes what is no tensor.
    """
    program = _read(request)
    _check_mode(program, request.subject)
    tensors, fill = _find_inputs(program, request.subject)
    specs, limits = _describe(program, tensors)
    example = match_example(request, specs)
    return TorchModel(
        module=program.module(),
        inputs=specs,
        call=_bind(program, fill),
        samples=draw_samples(specs, example),
        typical=is_telling(specs, example),
        limits=limits,
    )


def _read(request: ExportRequest) -> Any:
    try:
        # What torch.export.load does, without its second attempt at a file as an older version wrote it, which hides the reason.
        return load_pt2(request.source).exported_programs["model"]
    except Exception as error:
        # The reader raises whatever a field of another kind makes of it.
        raise InputError(request.subject, f"torch.export cannot load it: {tell_cause(error)}", _EXPORT) from error


def _check_mode(program: Any, subject: str) -> None:
    changed = list(program.graph_signature.buffers_to_mutate.values())
    if changed:
        raise InputError(subject, f"it changes its own state when it is run ({changed[0]})", "Export a model that keeps no state between calls.")
    for node in program.graph.nodes:
        name = getattr(getattr(node.target, "overloadpacket", None), "__name__", "")
        train = _TRAINING.get(name)
        # A batch norm without running statistics always takes those of its input.
        if train is not None and node.args[train] is True and not (name == "batch_norm" and node.args[3] is None):
            problem = f"its {node.name} works as in training, so that its answers depend on chance or on the batch"
            raise InputError(subject, problem, "Call model.eval() before torch.export.export.")


def _find_inputs(program: Any, subject: str) -> tuple[list[Any], list[Any]]:
    """The graph's tensor inputs, and for each leaf of what the program is called with its constant, or None for a tensor."""
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    tensors: list[Any] = []
    fill: list[Any] = []
    for spec in program.graph_signature.input_specs:
        if spec.kind is not torch.export.graph_signature.InputKind.USER_INPUT:
            continue
        name = getattr(spec.arg, "name", "")
        if isinstance(spec.arg, torch.export.graph_signature.TensorArgument):
            tensors.append(nodes[name])
            fill.append(None)
        elif hasattr(spec.arg, "value"):
            fill.append(spec.arg)
        else:
            raise InputError(subject, f"its input {name!r} is a single number, and only tensors can be served", "Make it a constant, or a tensor.")
    if not tensors:
        raise InputError(subject, "it has no inputs, so it would always give the same answer", "Export the model with its inputs.")
    return tensors, fill


def _bind(program: Any, fill: Sequence[Any]) -> Callable[[Any, Sequence[torch.Tensor]], Any]:
    """Tensors in the order of the program's own leaves, nested as it was exported; what was a constant stays one."""
    tree = program.call_spec.in_spec

    def call(module: Any, tensors: Sequence[torch.Tensor]) -> Any:
        given = iter(tensors)
        args, kwargs = pytree.tree_unflatten([next(given) if one is None else one.value for one in fill], tree)
        return module(*args, **kwargs)

    return call


def _describe(program: Any, nodes: Sequence[Any]) -> tuple[tuple[TensorSpec, ...], dict[str, int]]:
    """The specs of *nodes*, with a name for each symbol that a size is, and the largest size of each that has one."""
    names: dict[str, str] = {}
    specs = []
    for node in nodes:
        value = node.meta["val"]
        shape = tuple(size if isinstance(size, int) else _name(str(size), axis, node.name, names) for axis, size in enumerate(value.shape))
        dtype: Any = str(value.dtype).removeprefix("torch.")
        specs.append(TensorSpec(name=node.name, dtype=dtype, shape=shape))
    ranges = {str(symbol): bounds.upper for symbol, bounds in program.range_constraints.items()}
    limits = {name: int(ranges[symbol]) for symbol, name in names.items() if symbol in ranges and ranges[symbol] < _MAX_SIZE}
    return tuple(specs), limits


def _name(symbol: str, axis: int, tensor: str, names: dict[str, str]) -> str:
    """The name of the size *symbol*; programs keep none, so the first one that fits its place is given."""
    if symbol not in names:
        wishes = [_BATCH] if axis == 0 else [_SEQUENCE] if axis == 1 else []
        names[symbol] = next(name for name in (*wishes, f"{tensor}_{axis}") if name not in names.values())
    return names[symbol]
