"""What a user says of a model's inputs, held against the inputs that it has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from edgekit.errors import InputError
from edgekit.tensors import DType, TensorSpec

#: Sizes for the axes of a tensor, or one for an axis that has a name; None leaves an axis as it is.
Sizes = tuple[int | None, ...]


def find_sizes(shapes: Mapping[str, Sizes], inputs: Sequence[TensorSpec], subject: str) -> dict[str, int]:
    """A size for each name of an axis in *inputs* that *shapes* fixes.

    Raises:
        InputError: *shapes* names what is no input and no axis, gives another number of sizes or another size than the
            input has, or two sizes to axes of one name.
    """
    sizes: dict[str, int] = {}
    for name, given in shapes.items():
        for axis, size in _match(name, given, inputs, subject):
            if size is None or size == axis:
                continue
            if isinstance(axis, int):
                raise InputError(subject, f"--shape gives {name!r} the size {size} where the model has {axis}", "Give '?' for sizes that are fixed.")
            if not 0 < size <= 1 << 40:
                raise InputError(subject, f"--shape gives the axis {axis!r} the size {size}", "A size is a number from 1 on.")
            if sizes.setdefault(axis, size) != size:
                problem = f"--shape gives the axis {axis!r} the sizes {sizes[axis]} and {size}, and one name means one size"
                raise InputError(subject, problem, "Give one of them.")
    return sizes


def _match(name: str, given: Sizes, inputs: Sequence[TensorSpec], subject: str) -> Iterable[tuple[int | str, int | None]]:
    """Each axis that *name* stands for, as its spec has it, with the size in *given*."""
    tensors = {spec.name: spec for spec in inputs}
    axes = {size for spec in inputs for size in spec.shape if isinstance(size, str)}
    if name in tensors:
        spec = tensors[name]
        if len(given) != len(spec.shape):
            raise InputError(subject, f"--shape gives {name!r} {len(given)} sizes, and the input is {spec}", f"Give {len(spec.shape)}.")
        return zip(spec.shape, given, strict=True)
    if name not in axes:
        known = f"Its inputs: {'; '.join(map(str, inputs))}. Axes that may vary: {', '.join(sorted(axes)) or 'none'}."
        raise InputError(subject, f"--shape names {name!r}, which is neither an input nor an axis that may vary", known)
    if len(given) != 1:
        raise InputError(subject, f"--shape gives the axis {name!r} {len(given)} sizes", "Give an axis one size.")
    return [(name, given[0])]


def check_dtypes(dtypes: Mapping[str, DType], inputs: Sequence[TensorSpec], subject: str) -> None:
    """Refuse dtypes for what is no input, and those between which no number keeps its meaning (InputError)."""
    for name, dtype in dtypes.items():
        spec = _find_input("--dtype", name, inputs, subject)
        if {"bytes", "bool"} & {dtype, spec.dtype} and dtype != spec.dtype:
            raise InputError(subject, f"--dtype gives {name!r} {dtype}, and the input is {spec}", "Strings and truths have no other dtype.")


def find_permutations(layouts: Mapping[str, tuple[str, str]], inputs: Sequence[TensorSpec], subject: str) -> dict[str, tuple[int, ...]]:
    """For each input in *layouts* the source's axis that each axis of the callers' layout is (numpy.transpose).

    Raises:
        InputError: *layouts* names what is no input, or letters that do not fit its axes or each other.
    """
    orders = {}
    for name, (own, shown) in layouts.items():
        spec = _find_input("--layout", name, inputs, subject)
        if len(set(own)) != len(own) or sorted(own) != sorted(shown) or len(own) != len(spec.shape):
            problem = f"--layout gives {name!r} {own}:{shown}, and the input is {spec}"
            raise InputError(subject, problem, "Give one letter for each axis, the same in both: NCHW:NHWC.")
        orders[name] = tuple(own.index(axis) for axis in shown)
    return orders


def _find_input(option: str, name: str, inputs: Sequence[TensorSpec], subject: str) -> TensorSpec:
    for spec in inputs:
        if spec.name == name:
            return spec
    raise InputError(subject, f"{option} names {name!r}, which is no input", f"Its inputs: {'; '.join(map(str, inputs))}.")
