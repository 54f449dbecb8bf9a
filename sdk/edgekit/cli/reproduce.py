"""``edgekit reproduce``: makes a bundle again from its lineage, and says whether it is the same."""

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from edgekit.reproducing import MetricResult, Reproduction, VariantResult

_PATH: dict[str, Any] = {"type": click.Path(path_type=Path)}


@click.command()
@click.argument("bundle", **_PATH)
@click.option("--source", **_PATH, help="The source model; by default where the bundle's recipe says, from here or from beside the bundle.")
@click.option("--calibration", **_PATH, help="The calibration data; found in the same way.")
@click.option("--evaluation", **_PATH, help="The evaluation data; found in the same way.")
@click.option("--example", **_PATH, help="What a PyTorch factory is traced with; found in the same way.")
@click.option("-o", "--output", **_PATH, help="Keep what was made in this directory.")
@click.option("--unsafe-allow-code", "allow_code", is_flag=True, help="Run the code that the bundle's recipe asks for.")
@click.option("--offline", is_flag=True, help="Fetch nothing: environments that are not here are not made.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def reproduce(bundle: Path, output: Path | None, *, offline: bool, as_json: bool, **given: Any) -> None:
    """Make BUNDLE again as its lineage says, and show of each file whether it came out the same.

    What was different this time (source, data, versions, machine) is told first. A variant whose bytes differ is held against the
    bundle's golden samples by its own tolerance. Where one differs beyond that, or a metric does, the exit code is 3.

    Example: edgekit reproduce digits-bundle --source digits.onnx --calibration calibration.npz --evaluation evaluation.npz
    """
    import os

    from edgekit.bundles import open_bundle
    from edgekit.cli.console import print_json, progress
    from edgekit.environments import OFFLINE
    from edgekit.reproducing import Given, reproduce_bundle

    if offline:
        os.environ[OFFLINE] = "1"
    opened = open_bundle(bundle)
    with contextlib.ExitStack() as stack:
        place = output or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgekit-"))) / "bundle"
        show = stack.enter_context(progress())
        found = reproduce_bundle(opened, Given(**given), place, show)
    if as_json:
        print_json({**_to_dict(found), "agrees": found.agrees})
    else:
        _print_reproduction(found)
    _check(found, bundle)


def _to_dict(found: "Reproduction") -> dict[str, Any]:
    import msgspec

    record: dict[str, Any] = msgspec.to_builtins(found)
    return record


def _print_reproduction(found: "Reproduction") -> None:
    from edgekit.cli.console import print_table

    if found.differences:
        rows = [(one.what, one.before or "-", one.after or "-") for one in found.differences]
        print_table(("not as it was", "then", "now"), rows)
    else:
        click.echo("Source, data, versions of tools and machine are as they were.\n")
    print_table(("shared file", "it is"), [(path, "same bytes" if same else "other bytes") for path, same in found.shared.items()])
    print_table(("variant", "it is", "files with the same bytes", "metric"), [_row(one) for one in found.variants])
    for one in found.variants:
        if one.note:
            click.echo(f"{one.id}: {one.note}.")


def _row(one: "VariantResult") -> tuple[str, str, str, str]:
    files = f"{sum(one.files.values())} of {len(one.files)}" if one.files else ""
    return one.id, one.verdict, files, _say_metric(one.metric)


def _say_metric(metric: "MetricResult | None") -> str:
    if metric is None:
        return "not measured"
    if metric.verdict == "same":
        return f"{metric.name} {metric.after:.4f}, the same"
    within = ", within its interval" if metric.verdict == "within" else ""
    return f"{metric.name} {metric.after:.4f} instead of {metric.before:.4f}{within}"


def _check(found: "Reproduction", bundle: Path) -> None:
    from edgekit.errors import GateRefused

    failed = [one.id for one in found.variants if not one.agrees and one.verdict != "new"]
    if failed:
        remedy = "What was not as it was is told above." if found.differences else "Look at each variant's note above."
        raise GateRefused(bundle, f"made again it is not the same: {', '.join(failed)}", remedy)
