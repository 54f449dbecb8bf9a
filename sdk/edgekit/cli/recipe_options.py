"""The options of ``edgekit convert`` that read a recipe, keep one, and tell what would be made."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from edgekit.build_request import BuildRequest
    from edgekit.planning import BuildPlan
    from edgekit.recipe import Digests, Recipe

_META = "edgekit.recipe"


def recipe_options(command: Callable[..., None]) -> Callable[..., None]:
    """*command* with ``--recipe``, whose fields are its defaults, and with *save_recipe*, *dry_run* and *digests* as arguments.

    *digests* are those that the recipe was written for, of what the command line neither names itself nor takes other samples of.
    """

    @functools.wraps(command)
    def run(**given: Any) -> None:
        context = click.get_current_context()
        command(**given, digests=_find_digests(context))

    return functools.reduce(lambda function, option: option(function), reversed(_OPTIONS), run)


def _read(context: click.Context, _parameter: click.Parameter, path: Path | None) -> None:
    """Make the fields of the recipe at *path* the defaults of all other options."""
    if path is None:
        return
    from edgekit.recipe import read_recipe

    recipe = read_recipe(path)
    context.meta[_META] = (path, recipe)
    context.default_map = to_words(recipe, path.parent)


def _find_digests(context: click.Context) -> dict[str, str]:
    if _META not in context.meta:
        return {}
    path, recipe = context.meta[_META]
    _refuse_code(context, path, recipe)
    # Other samples of the same set have another digest.
    same_samples = _is_of_recipe("samples", context) and _is_of_recipe("seed", context)
    given = recipe.digests.given.items()
    return {role: digest for role, digest in given if _is_of_recipe(role, context) and (same_samples or role == "source")}


def _is_of_recipe(field: str, context: click.Context) -> bool:
    """Whether the command line says nothing else of *field*."""
    return context.get_parameter_source(field) is not ParameterSource.COMMANDLINE


def _refuse_code(context: click.Context, path: Path, recipe: "Recipe") -> None:
    """Refuse to run code that nobody but the recipe asks for: it may come from anybody."""
    from edgekit.errors import InputError

    asking = [field for field in recipe.code if context.get_parameter_source(field) is ParameterSource.DEFAULT_MAP]
    if asking:
        words = {"source": f"SRC {recipe.source}", "metric": f"--metric {recipe.metric}", "allow_code": "--unsafe-allow-code"}
        problem = f"its field {asking[0]!r} asks for code that runs here, and a recipe may not do so alone"
        raise InputError(path, problem, f"If you trust that code, say so on the command line: {' '.join(words[field] for field in asking)}")


def to_words(recipe: "Recipe", base: Path) -> dict[str, Any]:
    """The fields of *recipe* as the options of ``edgekit convert`` are written; its paths are relative to *base*."""
    from edgekit.recipe import is_factory

    fields = recipe.list_fields()
    plain = ("name", "parent", "target", "formats", "precisions", "samples", "metric", "max_drop", "task", "golden_raw", "threads", "seed")
    paths = ("output", "calibration", "evaluation", "processing", "example")
    words: dict[str, Any] = {name: fields[name] for name in plain if name in fields}
    words |= {name: str(base / fields[name]) for name in paths if name in fields}
    return words | {
        "source": recipe.source if is_factory(recipe.source) else str(base / recipe.source),
        "allow_code": recipe.allow_code,
        "shapes": [f"{name}={'x'.join(map(str, sizes))}" for name, sizes in recipe.shapes.items()],
        "inputs": [f"{one.name}={','.join(map(str, one.shape))},:{one.dtype}" for one in recipe.inputs],
        "dtypes": [f"{name}={dtype}" for name, dtype in recipe.dtypes.items()],
        "layouts": [f"{name}={':'.join(pair)}" for name, pair in recipe.layouts.items()],
    }


_OPTIONS = (
    click.option(
        "--recipe",
        type=click.Path(path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=_read,
        help="Take all of this from a TOML file; options on the command line go before it.",
    ),
    click.option("--save-recipe", type=click.Path(path_type=Path), help="Keep all of this as a TOML file, with the digests of what was read."),
    click.option("--dry-run", is_flag=True, help="Say what would be made of what, and what is missing; nothing is made."),
)


def keep_recipe(request: "BuildRequest", path: Path | None, found: "Digests") -> None:
    """Write the recipe of *request*, for the very files whose digests were *found*, to *path*, where one is given, and say so."""
    from dataclasses import replace

    from edgekit.cli.console import say
    from edgekit.recipe import describe_request, write_recipe

    if path is not None:
        write_recipe(describe_request(replace(request, digests=found.given), path.parent), path)
        say(f"Recipe: {path}")


def show_plan(request: "BuildRequest", save_recipe: Path | None, *, as_json: bool) -> None:
    """Show what a build of *request* would make, and keep its recipe where that is asked for."""
    from edgekit.cli.console import print_json, progress
    from edgekit.planning import plan_build

    with progress() as show:
        plan = plan_build(request, show)
    keep_recipe(request, save_recipe, plan.digests)
    if as_json:
        print_json(plan)
    else:
        _print_plan(plan, request)


def _print_plan(plan: "BuildPlan", request: "BuildRequest") -> None:
    from edgekit.cli.console import print_table
    from edgekit.quantities import format_bytes

    facts = [
        ("source", f"{plan.source}, {plan.source_format}, {plan.precision}, {format_bytes(plan.source_size)}, {plan.source_digest}"),
        ("inputs", "; ".join(map(str, plan.inputs))),
        ("outputs", "; ".join(map(str, plan.outputs))),
        ("contract", plan.contract or "none: callers give the model's own tensors"),
        ("target", plan.target or "any CPU"),
        *((one.role, f"{one.name}, {one.samples} samples") for one in plan.data),
        ("bound", f"{request.metric or 'top1'} may fall by {request.max_drop:g}" if request.evaluation else "none"),
        ("bundle", f"{request.destination}{', which would be replaced' if request.destination.exists() else ''}"),
    ]
    print_table((plan.name, "nothing was made: a dry run"), facts)
    rows = [(one.id, one.format, one.precision, f"about {format_bytes(one.size)}") for one in plan.variants]
    print_table(("would be tried", "format", "precision", "size"), rows)
    if plan.skipped:
        print_table(("would be skipped", "reason"), [(one.id, one.reason) for one in plan.skipped])
    for sentence in plan.missing:
        click.echo(sentence)
