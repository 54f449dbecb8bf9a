"""How shapes and inputs are written on the command line: ``1x3x224x224``, ``?x3x224x224``, ``batch,sequence``.

    SHAPE = NAME=SIZES              what fixes sizes that may vary: NAME is a tensor or an axis
    INPUT = NAME=SIZES[:DTYPE]      what a program is traced with; float32 where no DTYPE is given
    SIZES = SIZE (x SIZE)*  or  SIZE (, SIZE)* [,]

A size is a number or a question mark, and in an INPUT also the name of a size that may vary. ``x`` joins what can be told
apart: there a name has no ``x`` in it, and no other name beside it. Commas join anything, and one alone may end a single
size. What stands before the last equals sign is the NAME, so that it may hold equals signs, colons and commas itself.
"""

import itertools
import re
from collections.abc import Sequence
from typing import get_args

import click

from edgekit.tensors import DType, TensorSpec

#: The largest size that an axis may have, as records have it.
MAX_SIZE = 1 << 40
#: What a question mark at the first axis is called: equal names mean equal sizes, and all inputs share the batch.
BATCH = "batch"
DTYPES: tuple[str, ...] = get_args(DType)
_MAX_RANK = 32
_ANY = "?"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


class ShapeType(click.ParamType):
    """``NAME=SIZES``: the name, and its sizes with None for a question mark."""

    name = "shape"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, tuple[int | None, ...]]:
        """The name and its sizes; a usage error that says what was expected."""
        text = str(value)
        try:
            name, sizes = _part(text, "sequence=128 or image=1x3x224x224")
            return name, tuple(_parse_fixed(size) for size in _split(sizes))
        except ValueError as error:
            self.fail(f"{text!r}: {error}", param, ctx)


class InputType(click.ParamType):
    """``NAME=SIZES[:DTYPE]``: an input of a program that does not know its own."""

    name = "input"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> TensorSpec:
        """The input's name, dtype and shape; a usage error that says what was expected."""
        text = str(value)
        try:
            name, rest = _part(text, "image=?x3x224x224:float32 or ids=batch,sequence:int64")
            sizes, _, dtype = rest.partition(":")
            return TensorSpec(name=name, dtype=_parse_dtype(dtype), shape=_name_sizes(name, _split(sizes)))
        except ValueError as error:
            self.fail(f"{text!r}: {error}", param, ctx)


def check_unique(names: Sequence[str], option: str) -> None:
    """Refuse a name that *option* was given for twice."""
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise click.BadParameter(f"{twice!r} is given more than once.", param_hint=f"'{option}'")


def _part(text: str, example: str) -> tuple[str, str]:
    name, equals, rest = text.rpartition("=")
    if not equals or not name.strip() or not rest:
        raise ValueError(f"expected a name, an equals sign and sizes, as in {example}.")
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
    """Whether x may have been a letter: two names side by side, or nothing at all beside one."""
    kinds = ["name" if _NAME.fullmatch(size) else "empty" if not size else "other" for size in sizes]
    return any({one, other} <= {"name", "empty"} for one, other in itertools.pairwise(kinds))


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


def _parse_dtype(text: str) -> DType:
    if text and text not in DTYPES:
        raise ValueError(f"{text!r} is no dtype. Known: {', '.join(DTYPES)}.")
    dtype: DType = text or "float32"  # type: ignore[assignment] - one of DType's own, as was checked
    return dtype
