"""The process that reads OpenVINO IR from anybody: ``python -m edgekit_converters.openvino_worker MEMORY SECONDS``.

It is given a request on its stdin and answers on its stdout. OpenVINO's native code may crash or ask for more memory than
there is, and takes only this process with it.
"""

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from edgekit.errors import EdgekitError, InputError
from edgekit.measuring_frames import Refused
from edgekit.records import Record
from edgekit.runtimes.openvino_file import MAX_ELEMENTS
from edgekit.runtimes.openvino_runtime import OpenVINORuntime
from edgekit.runtimes.packages import refuse_model
from edgekit.tensors import TensorSpec
from edgekit_converters.confining import Limits, confine
from edgekit_converters.muting import muted

Sizes = Mapping[str, tuple[int | None, ...]]


class IRRequest(Record, frozen=True, kw_only=True):
    """Describe the IR at *path*, with its sizes fixed by *shapes* (SourceOptions.shapes) in the file first, where there are any."""

    path: str
    shapes: dict[str, tuple[int | None, ...]] = {}


class IRReport(Record, frozen=True, kw_only=True, tag=True):
    """What an IR takes and gives, by the names that its runtime has for its tensors."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


IRReply = IRReport | Refused


def answer(request: IRRequest) -> IRReply:
    """The reply to *request*; edgekit's own refusals are replies too, and any other error ends the process."""
    try:
        with muted():
            return _describe(Path(request.path), request.shapes)
    except EdgekitError as error:
        return Refused.of(error)


def _describe(path: Path, shapes: Sizes) -> IRReport:
    layouts = _check_sizes(path)
    report = _open(path, layouts)
    fixed = fix_sizes(report.inputs, shapes, path)
    if fixed == report.inputs:
        return report
    _reshape(path, fixed)
    return _open(path, _check_sizes(path))


def _check_sizes(path: Path) -> list[str | None]:
    """The layout of each input, where the file says it. InputError where a tensor that OpenVINO works out has too many elements."""
    model = _read(path)
    for operator in model.get_ops():
        for port in operator.outputs():
            shape = port.get_partial_shape()
            elements = 0 if shape.rank.is_dynamic else math.prod(1 if size.is_dynamic else size.get_length() for size in shape)
            if elements > MAX_ELEMENTS:
                problem = f"its layer {operator.get_friendly_name()!r} gives {elements} elements, and the limit is {MAX_ELEMENTS}"
                raise InputError(path, problem, "Give a smaller model.")
    return [_read_layout(parameter) for parameter in model.get_parameters()]


def _read(path: Path) -> Any:
    import openvino

    try:
        return openvino.Core().read_model(path)
    except Exception as error:
        # OpenVINO's bindings raise RuntimeError and more of their own.
        raise refuse_model(path, "openvino", error) from error


def _read_layout(parameter: Any) -> str | None:
    """``NCHW`` for a parameter whose layout is ``[N,C,H,W]``; None where it has none, or one with gaps."""
    letters = str(parameter.get_layout().to_string()).strip("[]").replace(",", "")
    return letters if letters.isascii() and letters.isalpha() and letters.isupper() and len(letters) == len(parameter.get_partial_shape()) else None


def _open(path: Path, layouts: list[str | None]) -> IRReport:
    """The specs of the model, compiled as a device compiles it."""
    session = OpenVINORuntime().open(path, 1)
    try:
        inputs = tuple(replace(spec, layout=layout) for spec, layout in zip(session.inputs, layouts, strict=True))
        return IRReport(inputs=inputs, outputs=session.outputs)
    finally:
        session.close()


def fix_sizes(specs: tuple[TensorSpec, ...], shapes: Sizes, path: Path) -> tuple[TensorSpec, ...]:
    """*specs* with the sizes that *shapes* has for them, by the name of a tensor or of an axis.

    Raises:
        InputError: a name is neither's, there are too many or too few sizes, or one stands against the model's own.
    """
    axes = {size for spec in specs for size in spec.shape if isinstance(size, str)}
    known = axes | {spec.name for spec in specs}
    for name, sizes in shapes.items():
        if name not in known:
            raise InputError(f"--shape {name}", f"{path.name} has no such input or size", f"It has {', '.join(sorted(known))}.")
        if name in axes and (len(sizes) != 1 or sizes[0] is None):
            raise InputError(f"--shape {name}", "it names one size", f"Give one number: --shape {name}=128.")
    return tuple(_fix_spec(spec, shapes) for spec in specs)


def _fix_spec(spec: TensorSpec, shapes: Sizes) -> TensorSpec:
    wanted = shapes.get(spec.name, (None,) * len(spec.shape))
    if len(wanted) != len(spec.shape):
        raise InputError(f"--shape {spec.name}", f"it has {len(wanted)} sizes, and {spec} has {len(spec.shape)}", "Give one for each axis.")
    sizes = tuple(given or _find_size(size, shapes) for size, given in zip(spec.shape, wanted, strict=True))
    fixed = replace(spec, shape=sizes)
    if any(isinstance(old, int) and old != new for old, new in zip(spec.shape, sizes, strict=True)):
        raise InputError(f"--shape {spec.name}", f"it makes {spec} to {fixed}", "Leave an axis that is fixed as it is, with a question mark.")
    return fixed


def _find_size(size: int | str, shapes: Sizes) -> int | str:
    """The size that *shapes* has for an axis of that name; *size* itself where it has none."""
    return shapes[size][0] or size if isinstance(size, str) and size in shapes else size


def _reshape(path: Path, specs: tuple[TensorSpec, ...]) -> None:
    """Write the model at *path* again with the fixed sizes of *specs*."""
    import openvino

    model = _read(path)
    shapes = [openvino.PartialShape([-1 if isinstance(size, str) else size for size in spec.shape]) for spec in specs]
    scratch = path.with_name("fixed.xml")
    try:
        model.reshape(dict(enumerate(shapes)))
        openvino.save_model(model, scratch, compress_to_fp16=False)
    except Exception as error:
        raise InputError(
            path, f"OpenVINO cannot fix its sizes so: {refuse_model(path, 'openvino', error).problem}", "Give other sizes with --shape."
        ) from error
    # The old weights may still be mapped into memory, so they are replaced and never written over.
    for suffix in (".bin", ".xml"):
        scratch.with_suffix(suffix).replace(path.with_suffix(suffix))


def main() -> None:
    """Answer the one request on stdin within the limits of the command line."""
    confine(Limits(int(sys.argv[1]), float(sys.argv[2])))
    request = IRRequest.decode(sys.stdin.buffer.read(), "request")
    sys.stdout.buffer.write(answer(request).encode())


if __name__ == "__main__":
    main()
