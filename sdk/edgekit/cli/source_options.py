"""The options that say how a source model is read, the same for every command that reads one."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgekit.cli.sizes import parse_dtype, parse_input, parse_layout, parse_shape

if TYPE_CHECKING:
    from edgekit.cli.sizes import Sizes
    from edgekit.tensors import DType, TensorSpec

T = TypeVar("T")


def source_options(command: Callable[..., None]) -> Callable[..., None]:
    """*command* with the options, which it gets as one SourceOptions, called *options*. ``--offline`` holds for the whole process."""

    @functools.wraps(command)
    def run(  # noqa: PLR0913 - one argument for each option
        *,
        shapes: "tuple[tuple[str, Sizes], ...]",
        example: Path | None,
        inputs: "tuple[TensorSpec, ...]",
        dtypes: "tuple[tuple[str, DType], ...]",
        layouts: tuple[tuple[str, tuple[str, str]], ...],
        allow_code: bool,
        offline: bool,
        **others: Any,
    ) -> None:
        from edgekit.conversion import SourceOptions
        from edgekit.environments import OFFLINE

        if offline:
            os.environ[OFFLINE] = "1"
        options = SourceOptions(
            shapes=dict(shapes), example=example, inputs=inputs, dtypes=dict(dtypes), layouts=dict(layouts), allow_code=allow_code
        )
        command(options=options, **others)

    return functools.reduce(lambda function, option: option(function), reversed(_OPTIONS), run)


def _parsing(parse: Callable[[str], T]) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], tuple[T, ...]]:
    """Reads each value of an option that may be repeated, for click. One name twice is refused."""

    def read(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[T, ...]:
        names = [value.rpartition("=")[0] for value in values]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise click.BadParameter(f"{twice!r} is given more than once.")
        return tuple(_parse(parse, value) for value in values)

    return read


def _parse(parse: Callable[[str], T], value: str) -> T:
    try:
        return parse(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r}: {error}") from error


_OPTIONS = (
    click.option(
        "--shape",
        "shapes",
        multiple=True,
        callback=_parsing(parse_shape),
        metavar="NAME=SIZES",
        help="Fix sizes that may vary: of a tensor, or of the axes with a name. May be repeated.",
    ),
    click.option("--example", type=click.Path(path_type=Path), help="What a PyTorch program is traced with (.npz, an array per input name)."),
    click.option(
        "--input",
        "inputs",
        multiple=True,
        callback=_parsing(parse_input),
        metavar="NAME=SIZES[:DTYPE]",
        help="The same in words: an input's name, sizes and dtype (float32). Repeat it for each input, in the program's order.",
    ),
    click.option(
        "--dtype",
        "dtypes",
        multiple=True,
        callback=_parsing(parse_dtype),
        metavar="NAME=DTYPE",
        help="Let callers give an input in another dtype, as in image=uint8. May be repeated.",
    ),
    click.option(
        "--layout",
        "layouts",
        multiple=True,
        callback=_parsing(parse_layout),
        metavar="NAME=FROM:TO",
        help="Let callers give an input in another order of axes, as in image=NCHW:NHWC. May be repeated.",
    ),
    click.option("--unsafe-allow-code", "allow_code", is_flag=True, help="Let the model file bring code that runs here, such as a Keras Lambda."),
    click.option("--offline", is_flag=True, help="Fetch nothing: environments that are not here are not made."),
)
