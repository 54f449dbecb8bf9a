"""``package.module:factory``: a function of the user's own that makes the model."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from edgekit.arrays import Array, Arrays, dtype_of
from edgekit.errors import InputError
from edgekit.tensors import TensorSpec
from edgekit_converters.torch_exporting import ExportRequest
from edgekit_converters.torch_worker.examples import check_array, read_example
from edgekit_converters.torch_worker.failures import tell_failure
from edgekit_converters.torch_worker.models import TorchModel
from edgekit_converters.torch_worker.sampling import draw_samples, is_telling

_BATCH = "batch"
_GIVE = "Give its inputs: --input NAME=?x3x224x224:float32 for each, with the model's own sizes, or --example FILE.npz with an array for each."
#: numpy's own names for arrays that were saved without one.
_UNNAMED = re.compile(r"arr_\d+")


def load_factory(request: ExportRequest) -> TorchModel:
    """The model that the factory *request.source* makes, to be called with the inputs that *request* describes.

    Raises:
        InputError: there is no such factory, it failed, it made no model, or its inputs are not described.
    """
    module, file = _make_model(request.source, request.search)
    _check_described(request)
    example = read_example(request)
    parameters = _list_parameters(module)
    specs = _describe_inputs(request, example, parameters)
    known = None if example is None else dict(zip((spec.name for spec in specs), example.values(), strict=True))
    return TorchModel(
        module=module,
        inputs=specs,
        call=_bind(request.subject, specs, parameters),
        samples=draw_samples(specs, known),
        typical=is_telling(specs, known),
        files=(str(file),) if file else (),
    )


def _check_described(request: ExportRequest) -> None:
    if request.example is None and not request.inputs:
        raise InputError(request.subject, "a program does not say what it is called with", _GIVE)
    for spec in request.inputs:
        if spec.dtype in ("bytes", "bfloat16"):
            raise InputError(request.subject, f"its input {spec} has a dtype that numpy does not have", "Let it take float32.")


def _make_model(source: str, search: Sequence[str]) -> tuple[torch.nn.Module, Path | None]:
    name, _, attribute = source.partition(":")
    module = _import(source, name, search)
    factory = getattr(module, attribute, None)
    if factory is None:
        found = [key for key, value in vars(module).items() if inspect.isroutine(value) and value.__module__ == name]
        raise InputError(source, f"{name} has no {attribute!r}", f"Functions that it has: {', '.join(found) or 'none'}.")
    made = factory if isinstance(factory, torch.nn.Module) else _call(source, factory)
    if not isinstance(made, torch.nn.Module):
        raise InputError(source, f"it gave a {type(made).__name__}, and a torch.nn.Module is expected", "Return the model, with its weights loaded.")
    file = getattr(module, "__file__", None)
    return made.eval().cpu().requires_grad_(requires_grad=False), Path(file) if file else None


def _import(source: str, name: str, search: Sequence[str]) -> ModuleType:
    sys.path[:0] = [entry for entry in search if entry not in sys.path]
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise InputError(source, f"importing {name} failed: {error}", "Install what it needs.") from error
        raise InputError(source, f"there is no module {error.name!r}", "Run this from the directory that it is in, or install it.") from error
    except BaseException as error:
        # It is the user's own code: it may also call sys.exit().
        raise InputError(source, f"importing {name} failed: {tell_failure(error)}", "Correct it.") from error


def _call(source: str, factory: Any) -> Any:
    if not callable(factory):
        raise InputError(source, f"it is a {type(factory).__name__}, which cannot be called", "Name a function that returns the model.")
    try:
        return factory()
    except BaseException as error:
        raise InputError(source, f"calling it failed: {tell_failure(error)}", "It is called without arguments; correct it.") from error


def _list_parameters(module: torch.nn.Module) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(module.forward).parameters


def _describe_inputs(request: ExportRequest, example: Arrays | None, parameters: Mapping[str, inspect.Parameter]) -> tuple[TensorSpec, ...]:
    if example is None:
        return _share_batch(request.inputs)
    if not request.inputs:
        names = list(parameters) if all(map(_UNNAMED.fullmatch, example)) and len(example) <= len(parameters) else list(example)
        return tuple(_describe(name, array) for name, array in zip(names, example.values(), strict=False))
    for spec in request.inputs:
        check_array(request, example, spec, "--input describes")
    for name in set(example) - {spec.name for spec in request.inputs}:
        raise InputError(request.example or "", f"its array {name!r} is no input that --input describes", "Let both say the same.")
    specs = {spec.name: spec for spec in _share_batch(request.inputs)}
    return tuple(specs[name] for name in example)


def _describe(name: str, array: Array) -> TensorSpec:
    """The input that *array* is an example of: its first axis has the samples, and their number may vary."""
    dtype: Any = dtype_of(array)
    return TensorSpec(name=name, dtype=dtype, shape=(_BATCH, *array.shape[1:]))


def _share_batch(specs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """*specs* with one name for the first axes that may vary: samples lie along all of them."""
    names = {spec.shape[0] for spec in specs if spec.has_dynamic_batch}
    name = names.pop() if len(names) == 1 else _BATCH
    shapes = [(name, *spec.shape[1:]) if spec.has_dynamic_batch else spec.shape for spec in specs]
    return tuple(TensorSpec(name=spec.name, dtype=spec.dtype, shape=shape) for spec, shape in zip(specs, shapes, strict=True))


def _bind(subject: str, specs: Sequence[TensorSpec], parameters: Mapping[str, inspect.Parameter]) -> Callable[[Any, Sequence[torch.Tensor]], Any]:
    """How tensors in the order of *specs* are given: by name where all names are parameters', else in that order."""
    names = [spec.name for spec in specs]
    by_name = {name for name, one in parameters.items() if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    if by_name.issuperset(names):
        return lambda module, tensors: module(**dict(zip(names, tensors, strict=True)))
    places = [one for one in parameters.values() if one.kind in (one.POSITIONAL_OR_KEYWORD, one.POSITIONAL_ONLY)]
    many = any(one.kind is one.VAR_POSITIONAL for one in parameters.values())
    if len(names) > len(places) and not many:
        problem = f"its forward({', '.join(parameters)}) takes {len(places)} inputs, and {len(names)} are described: {', '.join(names)}"
        raise InputError(subject, problem, "Describe as many, by the names of its parameters or in their order.")
    return lambda module, tensors: module(*tensors)
