"""``edgekit convert``: from a source model to a bundle of measured variants."""

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgekit.manifest import Manifest


def _split(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...] | None:
    """The names in comma lists, each once and in the order given; None where there are none."""
    names = (name.strip() for value in values for name in value.split(","))
    return tuple(dict.fromkeys(name for name in names if name)) or None


def _check_finite(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    if not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a finite number.")
    return value


@click.command()
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The directory of the bundle.")
@click.option("--name", help="The model's name; by default that of its file.")
@click.option(
    "--to", "formats", multiple=True, callback=_split, metavar="FORMATS", help="Formats, as in onnx,tflite; by default all that can be made."
)
@click.option("--precision", "precisions", multiple=True, callback=_split, metavar="PRECISIONS", help="Precisions, as in fp32,int8 (the default).")
@click.option("--calibration", type=click.Path(path_type=Path), help="Representative inputs (.npz, an array per input name); int8 needs them.")
@click.option("--evaluation", type=click.Path(path_type=Path), help="Labelled inputs (.npz, with labels too), for the metric.")
@click.option("--metric", help="What is measured on the evaluation data: top1 (the default) or top5.")
@click.option("--max-drop", type=float, default=0.01, show_default=True, callback=_check_finite, help="The most that the metric may fall.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Threads that each variant is timed with.")
@click.option("--offline", is_flag=True, help="Fetch nothing: environments that are not here are not made.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest's record as JSON.")
def convert(  # noqa: PLR0913 - a click command takes one argument for each option
    *,
    source: Path,
    output: Path,
    name: str | None,
    formats: tuple[str, ...] | None,
    precisions: tuple[str, ...] | None,
    calibration: Path | None,
    evaluation: Path | None,
    metric: str | None,
    max_drop: float,
    threads: int,
    offline: bool,
    as_json: bool,
) -> None:
    """Make a bundle of measured variants from the model SRC.

    Every variant must give the source model's answers, and with --evaluation keep its metric within --max-drop.

    Example: edgekit convert digits.onnx -o digits-bundle --calibration calibration.npz --evaluation evaluation.npz
    """
    from edgekit.build import build_bundle
    from edgekit.build_request import BuildRequest
    from edgekit.cli.console import progress
    from edgekit.environments import OFFLINE

    if offline:
        os.environ[OFFLINE] = "1"
    request = BuildRequest(
        source=source,
        destination=output,
        name=name,
        formats=formats,
        precisions=precisions,
        calibration=calibration,
        evaluation=evaluation,
        metric=metric,
        max_drop=max_drop,
        threads=threads,
    )
    with progress() as show:
        manifest = build_bundle(request, show)
    _show(manifest, output, as_json=as_json)


def _show(manifest: "Manifest", output: Path, *, as_json: bool) -> None:
    from edgekit.cli.console import print_json
    from edgekit.cli.variants import explain_default, print_variants, to_dict
    from edgekit.hardware import describe_hardware
    from edgekit.report import REPORT
    from edgekit.targets import find_target

    target = find_target(describe_hardware())
    if as_json:
        print_json(to_dict(manifest, target))
        return
    print_variants(manifest, target)
    click.echo(explain_default(manifest, target))
    click.echo(f"Bundle: {output}")
    click.echo(f"Report: {output / REPORT}")
