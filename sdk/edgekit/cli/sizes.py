"""How shapes, inputs, dtypes and layouts are written on the command line: ``1x3x224x224``, ``?x3x224x224``, ``batch,sequence``.

    SHAPE  = NAME=SIZES             what fixes sizes that may vary: NAME is a tensor or an axis
    INPUT  = NAME=SIZES[:DTYPE]     what a program is traced with; float32 where no DTYPE is given
    DTYPE  = NAME=DTYPE             what callers give an input in
    LAYOUT = NAME=FROM:TO           the source's order of axes, and the one that callers give: NCHW:NHWC
    SIZES  = SIZE (x SIZE)*  or  SIZE (, SIZE)* [,]

A size is a number or a question mark, and in an INPUT also the name of a size that may vary. ``x`` joins what can be told
apart: there a name has no ``x`` in it, and no other name beside it. Commas join anything, and one alone may end a single
size. What stands before the last equals sign is the NAME, so that it may hold equals signs, colons and commas itself.

Each function raises ValueError with what was expected. Records are imported where they are made, so that --help stays fast.
"""

import itertools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

if TYPE_CHECKING:
    from edgekit.tensors import DType, TensorSpec

#: The largest size that an axis may have, as records have it.
MAX_SIZE = 1 << 40
#: What a question mark at the first axis is called: equal names mean equal sizes, and all inputs share the batch.
BATCH = "batch"
_MAX_RANK = 32
_ANY = "?"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_LAYOUTS = re.compile(r"([A-Z]{1,32}):([A-Z]{1,32})")

Sizes = tuple[int | None, ...]


def parse_shape(text: str) -> tuple[str, Sizes]:
    """The name in a SHAPE, and its sizes with None for a question mark."""
    name, sizes = _part(text, "sizes", "sequence=128 or image=1x3x224x224")
    return name, tuple(_parse_fixed(size) for size in _split(sizes))


def parse_input(text: str) -> "TensorSpec":
    """The input that an INPUT describes."""
    from edgekit.tensors import TensorSpec

    name, rest = _part(text, "sizes", "image=?x3x224x224:float32 or ids=batch,sequence:int64")
    sizes, _, dtype = rest.partition(":")
    return TensorSpec(name=name, dtype=_parse_dtype(dtype or "float32"), shape=_name_sizes(name, _split(sizes)))


def parse_dtype(text: str) -> "tuple[str, DType]":
    """The input's name in a DTYPE option, and the dtype."""
    name, dtype = _part(text, "a dtype", "image=uint8")
    return name, _parse_dtype(dtype)


def parse_layout(text: str) -> tuple[str, tuple[str, str]]:
    """The input's name in a LAYOUT, its layout in the source, and the one that callers give it in."""
    name, layouts = _part(text, "two layouts", "image=NCHW:NHWC")
    match = _LAYOUTS.fullmatch(layouts)
    if match is None or sorted(match[1]) != sorted(match[2]) or len(set(match[1])) != len(match[1]):
        raise ValueError(f"{layouts!r} is no change of layout: expected the same capital letters in two orders, as in NCHW:NHWC.")
    return name, (match[1], match[2])


def _part(text: str, what: str, example: str) -> tuple[str, str]:
    name, equals, rest = text.rpartition("=")
    if not equals or not name.strip() or not rest:
        raise ValueError(f"expected a name, an equals sign and {what}, as in {example}.")
    if len(name) > 256:
        raise ValueError("the name is longer than 256 letters.")
    return name, rest


def _split(text: str) -> list[str]:
    """The sizes in *text*, which are numbers, question marks and names. ValueError where they cannot be told apart."""
    by_comma = "," in text
    sizes = text.removesuffix(",").split(",") if by_comma else text.split("x")
    if not by_comma and _hides_a_name(sizes):
        raise ValueError(f"names in {text!r} cannot be told from the x between sizes. Put commas between sizes, as in batch,sequence.")
    for size in sizes:
        if not (size == _ANY or _is_number(size) or _NAME.fullmatch(size)):
            raise ValueError(f"{size!r} is no size: expected a number from 1 on, a question mark, or a name, joined by x or by commas.")
    if len(sizes) > _MAX_RANK:
        raise ValueError(f"it has {len(sizes)} sizes, and {_MAX_RANK} is the most.")
    return sizes


def _hides_a_name(sizes: Sequence[str]) -> bool:
    """Whether x may have been a letter of a name: two stand side by side, or nothing at all beside one."""
    kinds = ["name" if _NAME.fullmatch(size) else "empty" if not size else "other" for size in sizes]
    return any({one, other} in ({"name"}, {"name", "empty"}) for one, other in itertools.pairwise(kinds))


def _is_number(size: str) -> bool:
    return size.isascii() and size.isdigit() and 1 <= int(size[:20]) <= MAX_SIZE


def _parse_fixed(size: str) -> int | None:
    if _NAME.fullmatch(size):
        raise ValueError(f"{size!r} is a name, and a size to be fixed is a number, or ? to leave it as it is.")
    return None if size == _ANY else int(size)


def _name_sizes(name: str, sizes: Sequence[str]) -> tuple[int | str, ...]:
    """*sizes* with names of their own for question marks: the batch for the first axis, else one that no other input has."""
    fresh = (BATCH if axis == 0 else re.sub(r"[^A-Za-z0-9_]", "_", f"{name}_{axis}")[-64:] for axis in range(len(sizes)))
    return tuple(own if size == _ANY else int(size) if size.isdigit() else size for own, size in zip(fresh, sizes, strict=True))


def _parse_dtype(text: str) -> "DType":
    from msgspec import ValidationError, convert

    from edgekit.tensors import DType

    try:
        dtype: DType = convert(text, DType)
    except ValidationError as error:
        raise ValueError(f"{text!r} is no dtype. Known: {', '.join(get_args(DType))}.") from error
    return dtype
