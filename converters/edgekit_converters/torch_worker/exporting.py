"""A PyTorch model to an exported program and to ONNX, with torch's own answers to hold both against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgekit.arrays import Array, Arrays, encode_arrays
from edgekit.errors import ConversionError, InputError
from edgekit.golden import GoldenSamples
from edgekit.parity import answer_samples
from edgekit.tensors import TensorSpec
from edgekit_converters.onnx_border import find_sizes
from edgekit_converters.torch_exporting import ExportReport, ExportRequest
from edgekit_converters.torch_worker.failures import tell_cause, tell_failure
from edgekit_converters.torch_worker.flattening import FlatModel, list_outputs
from edgekit_converters.torch_worker.models import TorchModel
from edgekit_converters.torch_worker.sampling import fit_sizes

#: The oldest opset that torch.onnx writes by itself; more devices read it than any newer one.
_OPSET = 18
#: Samples that torch answers itself.
_WITNESSES = 4
#: The batch that a program is traced with: 0 and 1 would be taken for constants.
_TRACED_BATCH = 2
#: Rounds in which torch may correct the ranges of sizes; each round names all that it found.
_ROUNDS = 4
_BATCH_REMEDY = "Let each output have the samples along its first axis, or fix the batch: --shape batch=1."
_REMEDY = "Export it to ONNX yourself, and give that file."
#: What attention becomes in a graph, and what stands around its softmax where it is written out.
_ATTENTION = "scaled_dot_product_attention"
_PRODUCTS, _STEPS = ("matmul", "bmm", "einsum"), 3

Shapes = list[dict[int, Any]]


class TorchSession:
    """Answers samples with the module itself."""

    def __init__(self, model: TorchModel) -> None:
        self.inputs = model.inputs
        self._model = model

    def infer(self, inputs: Mapping[str, Array]) -> Arrays:
        """The outputs by name."""
        tensors = [torch.from_numpy(inputs[spec.name]) for spec in self.inputs]
        outputs = list_outputs(self._model, self._model.call(self._model.module, tensors))
        return {name: tensor.numpy() for name, tensor in outputs}


def export_model(model: TorchModel, request: ExportRequest) -> ExportReport:
    """Write *model* as ONNX, as a program, and its answers to a few samples, into *request.directory*.

    Raises:
        InputError: it does not take the inputs described, gives no tensors, or torch cannot export it.
    """
    directory = Path(request.directory)
    model = fix_sizes(model, request)
    witness = _ask(model, request.subject)
    program, shapes = _trace(model, request.subject)
    report = ExportReport(
        onnx=str(directory / "exported" / f"{_find_stem(request)}.onnx"),
        program=str(directory / "model.pt2"),
        witness=str(directory / "witness.npz"),
        inputs=model.inputs,
        samples=str(directory / "samples.npz") if model.typical else None,
        attends=_attends(program),
        files=model.files,
    )
    torch.export.save(program, report.program)
    _write_onnx(program, model, list(witness.outputs), shapes, Path(report.onnx), request.subject)
    Path(report.witness).write_bytes(witness.encode())
    if report.samples is not None:
        Path(report.samples).write_bytes(encode_arrays(model.samples))
    return report


def fix_sizes(model: TorchModel, request: ExportRequest) -> TorchModel:
    """*model* with the sizes that the user asked for; its samples get them too."""
    sizes = find_sizes(request.shapes, model.inputs, request.subject)
    specs = tuple(_replace_shape(spec, tuple(sizes.get(str(size), size) for size in spec.shape)) for spec in model.inputs)
    return replace(model, inputs=specs, samples=fit_sizes(model.samples, specs))


def _replace_shape(spec: TensorSpec, shape: tuple[int | str, ...]) -> TensorSpec:
    return TensorSpec(name=spec.name, dtype=spec.dtype, shape=shape)


def _ask(model: TorchModel, subject: str) -> GoldenSamples:
    """The answers of torch itself to the first samples."""
    inputs = {name: array[:_WITNESSES] for name, array in model.samples.items()}
    described = f"It was called with {'; '.join(map(str, model.inputs))}: check their number, order, dtypes and shapes."
    try:
        with torch.no_grad():
            answers = answer_samples(TorchSession(model), inputs, subject)
    except ConversionError as error:
        raise InputError(
            subject, error.problem, "Let each output have the samples along its first axis, or fix the batch: --shape batch=1."
        ) from error
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, KeyError, AssertionError, NotImplementedError) as error:
        # The model's own code raises what it likes, and torch these.
        raise InputError(subject, f"it cannot be run: {tell_failure(error)}", described) from error
    if not answers:
        raise InputError(subject, "it gives no tensors", "Return a tensor, or a tuple or dictionary of tensors.")
    return GoldenSamples(inputs, answers)


def _trace(model: TorchModel, subject: str) -> tuple[Any, Shapes]:
    """The exported program, and for each input the axes that may vary."""
    rows = [_TRACED_BATCH if spec.has_dynamic_batch else spec.shape[0] for spec in model.inputs]
    arguments = tuple(_take(model.samples[spec.name], int(count)) for spec, count in zip(model.inputs, rows, strict=True))
    names = {size for spec in model.inputs for size in spec.shape if isinstance(size, str)}
    # An axis's name may be no Python name, which torch wants of a symbol.
    sizes = {name: torch.export.Dim(f"size{place}", max=(model.limits or {}).get(name)) for place, name in enumerate(sorted(names))}
    shapes: Shapes = [{axis: sizes[size] for axis, size in enumerate(spec.shape) if isinstance(size, str)} for spec in model.inputs]
    names_of_axes: Shapes = [{axis: size for axis, size in enumerate(spec.shape) if isinstance(size, str)} for spec in model.inputs]
    return _export(FlatModel(model), arguments, shapes, model.inputs, subject), names_of_axes


def _take(samples: Array, count: int) -> torch.Tensor:
    """*count* samples, from the first on again where there are fewer."""
    return torch.from_numpy(samples[np.arange(count) % len(samples)])


def _export(flat: FlatModel, arguments: tuple[Any, ...], shapes: Shapes, specs: Sequence[TensorSpec], subject: str) -> Any:
    """torch.export of *flat*; where torch finds that a size has a smaller range than thought, once more with that range."""
    for _ in range(_ROUNDS):
        try:
            with torch.no_grad():
                return torch.export.export(flat, arguments, dynamic_shapes=(tuple(shapes),), strict=False)
        except torch._dynamo.exc.UserError as error:  # torch has no public name for it
            if "Suggested fixes" not in str(error):
                raise _refuse(subject, error) from error
            shapes = _refine(str(error), shapes, specs, subject)
        except Exception as error:
            # Tracing runs the model's code on symbols, which fails in as many ways as there are models.
            raise _refuse(subject, error) from error
    raise InputError(subject, "torch.export finds no ranges for the sizes that may vary", "Fix sizes with --shape.")


def _refine(message: str, shapes: Shapes, specs: Sequence[TensorSpec], subject: str) -> Shapes:
    """*shapes* with the ranges that torch suggests; InputError where it suggests that a size does not vary freely."""
    from torch.export.dynamic_shapes import refine_dynamic_shapes_from_suggested_fixes

    # Torch's own reader of its suggestions takes every line after them for one more.
    heading, _, rest = message.partition("Suggested fixes:")
    fixes = rest.strip().split("\n\n", maxsplit=1)[0]
    refined: Shapes = list(refine_dynamic_shapes_from_suggested_fixes(f"{heading}Suggested fixes:\n{fixes}", (tuple(shapes),))[0])
    for spec, axes in zip(specs, refined, strict=True):
        for axis, size in axes.items():
            if type(size) is not torch.export.Dim:
                told = f"the size {spec.shape[axis]!r} of its input {spec} cannot vary freely: torch.export finds that it must be {size}"
                raise InputError(subject, told, f"Fix it: --shape {spec.shape[axis]}={_suggest(size)}.")
    return refined


def _suggest(size: Any) -> str:
    return str(size) if isinstance(size, int) else "SIZE"


def _refuse(subject: str, error: Exception) -> InputError:
    return InputError(subject, f"torch.export cannot trace it: {tell_failure(error)}", _REMEDY)


def _write_onnx(program: Any, model: TorchModel, outputs: list[str], shapes: Shapes, path: Path, subject: str) -> None:
    inputs = [spec.name for spec in model.inputs]
    path.parent.mkdir(exist_ok=True)
    try:
        exported = torch.onnx.export(
            program,
            input_names=inputs,
            output_names=[f"{name}_out" if name in inputs else name for name in outputs],
            dynamic_shapes=(tuple(shapes),),
            opset_version=_OPSET,
            external_data=False,
            verbose=False,
        )
        exported.save(str(path), external_data=False)
    except Exception as error:
        # The exporter's errors have a root of their own, and what it calls (onnxscript, protobuf) raises others.
        raise InputError(subject, f"torch.onnx cannot express it: {tell_cause(error)}", "Leave out what it names, or write it otherwise.") from error


def _attends(program: Any) -> bool:
    """Whether the program has attention in it: by its own operator, or as a softmax that goes into a product of matrices."""
    nodes = list(program.graph.nodes)
    return any(_ATTENTION in str(node.target) or ("softmax" in str(node.target) and _feeds_product(node)) for node in nodes)


def _feeds_product(node: Any) -> bool:
    """Whether *node* goes into a product of matrices, at most a few reshapes and dropouts later."""
    reached = {node}
    for _ in range(_STEPS):
        reached = {user for one in reached for user in one.users}
        if any(product in str(user.target) for user in reached for product in _PRODUCTS):
            return True
    return False


def _find_stem(request: ExportRequest) -> str:
    return Path(request.subject.rpartition(":")[2]).stem or "model"
