"""A source's graph as OpenVINO has it, with the source's own names at its borders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from edgekit.conversion import HUB, Order, SourceModel
from edgekit.errors import ConversionError
from edgekit.runtimes.packages import summarize
from edgekit.tensors import Binding, TensorSpec
from edgekit_converters.muting import muted

Bindings = tuple[Binding, ...]

_LEAVE_OUT = "Leave this format out with --to."


def read_graph(source: SourceModel, form: str) -> Any:
    """The graph in the file that *source* has as *form*, whose tensors at the borders bear the source's names.

    Raises:
        ConversionError: the source has no such form, or an operator that OpenVINO has not; the message names it.
    """
    import openvino

    path = source.find_form(form)
    try:
        with muted():
            model = openvino.Core().read_model(path) if form == "openvino" else openvino.convert_model(path)
    except Exception as error:
        # The front ends raise OpConversionFailure, GeneralFailure, RuntimeError and more; the message names the operators.
        raise ConversionError("openvino", f"OpenVINO cannot express it: {_explain(error)}", _LEAVE_OUT) from error
    if form == "openvino":
        _expand_halves(model)
    names = _list_names(source, form)
    for kind, ports in (("input", model.inputs), ("output", model.outputs)):
        for index, port in enumerate(ports):
            _settle_name(port, names, f"{kind}{index}")
    return model


def _list_names(source: SourceModel, form: str) -> dict[str, str]:
    """The source's name for each name that the file in *form* has at its borders. The hub has the source's own."""
    own = {spec.name: spec.name for spec in (*source.inputs, *source.outputs)}
    if form == HUB or form != source.artifact.format:
        return own
    return own | {one.native.name: one.name for one in (*source.artifact.inputs, *source.artifact.outputs)}


def _settle_name(port: Any, names: dict[str, str], place: str) -> None:
    """Leave the tensor the one name that the source has for it. After fusing it may bear several, and a runtime shows any.

    Where two of the source's names have become one tensor, as with an output that is an input unchanged, both stay. A
    tensor without a name is known by its *place*, as the runtime calls it.
    """
    own = {names[name] for name in port.get_names() or {place} if name in names}
    if own:
        port.get_tensor().set_names(own)


def fix_sizes(model: Any, source: SourceModel, order: Order) -> None:
    """Give each size of *model* that may vary one value, where the devices of *order* take no other: the batch one.

    Raises:
        ConversionError: another size than the batch may vary.
    """
    if order.profile is None or not order.profile.fixed_shapes:
        return
    for spec in source.inputs:
        loose = [size for size in spec.shape[1:] if isinstance(size, str)]
        if loose:
            problem = f"the size {loose[0]!r} of its input {spec.name!r} may vary, and {order.profile.name} wants it fixed"
            raise ConversionError("openvino", problem, f"Fix it: --shape {loose[0]}=128.")
    wanted = {spec.name: [1 if isinstance(size, str) else size for size in spec.shape] for spec in source.inputs}
    try:
        model.reshape({port: _find_sizes(port.get_names(), wanted) for port in model.inputs})
    except RuntimeError as error:
        raise ConversionError("openvino", f"OpenVINO cannot fix its batch to 1: {summarize(error)}", _LEAVE_OUT) from error


def _find_sizes(names: Iterable[str], wanted: dict[str, list[int]]) -> list[int]:
    return next(wanted[name] for name in names if name in wanted)


def bind(model: Any, source: SourceModel) -> tuple[Bindings, Bindings]:
    """The bindings of the inputs and outputs of *model*.

    Raises:
        ConversionError: OpenVINO left out a tensor, or gives it another shape than the source; it says nothing of that itself.
    """
    return _bind(model.inputs, source.inputs), _bind(model.outputs, source.outputs)


def _bind(ports: list[Any], specs: tuple[TensorSpec, ...]) -> Bindings:
    shown = {name: port for port in ports for name in port.get_names()}
    missing = [spec.name for spec in specs if spec.name not in shown]
    if missing:
        raise ConversionError("openvino", f"OpenVINO left out {missing[0]!r}, which nothing in the model uses", "Export the model without it.")
    return tuple(_bind_port(shown[spec.name], spec) for spec in specs)


def _bind_port(port: Any, spec: TensorSpec) -> Binding:
    """A binding with the sizes that the file has fixed."""
    found = port.get_partial_shape()
    known: list[Any] = [] if found.rank.is_dynamic else list(found)
    sizes = [None if size.is_dynamic else size.get_length() for size in known] or [None] * len(spec.shape)
    if not _fits(sizes, spec):
        problem = f"OpenVINO gives {spec.name!r} the shape {found}, and the source has {list(spec.shape)}"
        raise ConversionError("openvino", problem, "One of its operators is not expressed as the source means it; leave this format out with --to.")
    shape = tuple(size if mine is None else mine for mine, size in zip(sizes, spec.shape, strict=True))
    return Binding(name=spec.name, native=replace(spec, name=port.get_any_name(), shape=shape))


def _fits(sizes: Sequence[int | None], spec: TensorSpec) -> bool:
    if len(sizes) != len(spec.shape):
        return False
    # An axis of the source that may have any size is not meant to be empty for ever.
    return all(mine is None or mine == size or (isinstance(size, str) and mine > 0) for mine, size in zip(sizes, spec.shape, strict=True))


def _explain(error: Exception) -> str:
    """What the front end says of each operator; else the line of its message that says something."""
    told = [line.removeprefix("-- ").strip() for line in str(error).splitlines() if line.startswith("-- ")]
    return "; ".join(told) or summarize(error)


def _expand_halves(model: Any) -> None:
    """Store in single precision what *model* stores in half and widens when it is loaded."""
    from openvino import opset1

    for operator in model.get_ordered_ops():
        if operator.get_type_name() != "Convert" or operator.get_output_element_type(0).get_type_name() != "f32":
            continue
        stored = operator.input_value(0).get_node()
        if stored.get_type_name() == "Constant" and stored.get_element_type().get_type_name() == "f16":
            operator.output(0).replace(opset1.constant(stored.get_data().astype("float32")).output(0))
