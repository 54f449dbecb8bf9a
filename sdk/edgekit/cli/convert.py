"""``edgekit convert``: from a source model to a bundle of measured variants."""

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
from click.shell_completion import CompletionItem

from edgekit.cli.recipe_options import keep_recipe, recipe_options, show_plan
from edgekit.cli.source_options import source_options

if TYPE_CHECKING:
    from edgekit.manifest import Manifest

# The \b keeps click from joining the lines below it.
HELP = """Make a bundle of measured variants from the model SRC.

Every variant must give the source model's answers, and with --evaluation keep its metric within --max-drop. SRC is a
model file, a directory (SavedModel, Hugging Face) or package.module:factory, a function that gives a PyTorch module.

\b
Examples:
  edgekit convert digits.onnx -o digits-bundle --calibration calibration.npz --evaluation evaluation.npz
  edgekit convert flowers.onnx -o bundle --task classify --calibration pictures --evaluation pictures-by-class
  edgekit convert flowers.onnx -o bundle --processing contract.toml --calibration pictures --samples 200
  edgekit convert detector.onnx -o bundle --shape images=1x3x320x320 --target raspberry-pi-5
  edgekit convert camera.onnx -o bundle --dtype image=uint8 --layout image=NCHW:NHWC
  edgekit convert exported.pt2 -o bundle
  edgekit convert shop.models:make_classifier -o bundle --input image=?x3x224x224:float32
  edgekit convert shop.models:make_encoder -o bundle --example inputs.npz
  edgekit convert bert-directory -o bundle --shape sequence=128 --precision fp32,int8-dynamic
  edgekit convert model.keras -o bundle
  edgekit convert saved-model-directory -o bundle
  edgekit convert model.tflite -o bundle --to tflite,openvino
  edgekit convert model.xml -o bundle
  edgekit convert digits.onnx -o digits-bundle --save-recipe digits.toml
  edgekit convert --recipe digits.toml -o digits-bundle --dry-run

SIZES are joined by x or by commas: 1x3x224x224, ?x3x224x224, batch,sequence. A question mark leaves a size open; so does
a name, in --input, where equal names mean equal sizes.
"""


def _split(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...] | None:
    """The names in comma lists, each once and in the order given; None where there are none."""
    names = (name.strip() for value in values for name in value.split(","))
    return tuple(dict.fromkeys(name for name in names if name)) or None


def _check_finite(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    if not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a finite number.")
    return value


def _list_targets() -> Iterable[str]:
    from edgekit.target_profiles import PROFILES

    return PROFILES


def _list_precisions() -> Iterable[str]:
    from edgekit.precisions import PRECISIONS

    return PRECISIONS


def _list_tasks() -> Iterable[str]:
    from edgekit.contract import Task

    return get_args(Task)


def _list_formats() -> Iterable[str]:
    from edgekit.plugins import TARGETS, find_plugins

    return find_plugins(TARGETS)


def _completing(names: Callable[[], Iterable[str]]) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Completes the last name of a comma list, for click."""

    def complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, comma, begun = incomplete.rpartition(",")
        return [CompletionItem(f"{before}{comma}{name}") for name in names() if name.startswith(begun)]

    return complete


_FILE: dict[str, Any] = {"type": click.Path(path_type=Path)}


@click.command(help=HELP)
@click.argument("source", metavar="SRC", **_FILE)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The directory of the bundle.")
@click.option("--name", help="The model's name; by default that of its file.")
@click.option(
    "--target",
    metavar="TARGET",
    shell_complete=_completing(_list_targets),
    help="The class of devices that it is meant for: formats, precisions, opset and shapes that fit there. edgekit target list shows them.",
)
@click.option(
    "--to",
    "formats",
    multiple=True,
    callback=_split,
    metavar="FORMATS",
    shell_complete=_completing(_list_formats),
    help="Formats, as in onnx,tflite; by default what pays on the target, or all for CPUs. nvidia is ONNX as TensorRT wants it.",
)
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    callback=_split,
    metavar="PRECISIONS",
    shell_complete=_completing(_list_precisions),
    help="Precisions, as in fp32,int8; by default what pays for the model on the target.",
)
@source_options
@click.option("--processing", **_FILE, help="How pictures, sounds, texts or tables become tensors, and answers words (.toml, .json).")
@click.option(
    "--task",
    metavar="TASK",
    shell_complete=_completing(_list_tasks),
    help="The usual way for a task instead: classify, detect, segment, audio, embed, anomaly, text or transcribe.",
)
@click.option("--calibration", **_FILE, help="Representative inputs: .npz, folders, COCO, YOLO, CSV; static int8 needs them.")
@click.option("--evaluation", **_FILE, help="Labelled inputs, as people keep them too, for the metric.")
@click.option("--samples", type=click.IntRange(min=1), help="How many of each set are taken; by default 300 to calibrate by, and all to evaluate.")
@click.option("--golden-raw", is_flag=True, help="Let items of these data travel to every device as proof of the contract, instead of made-up ones.")
@click.option("--metric", help="What is measured on the evaluation data; by default what is usual for the task, else top1.")
@click.option("--max-drop", type=float, default=0.01, show_default=True, callback=_check_finite, help="The most that the metric may fall.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Threads that each variant is timed with.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="What every random choice follows from.")
@click.option("--parent", metavar="RELEASE", help="The release that this one is to take the place of, as digits@1.0.0: the lineage keeps it.")
@recipe_options
@click.option("--json", "as_json", is_flag=True, help="Print the manifest's record as JSON.")
def convert(*, output: Path, save_recipe: Path | None, dry_run: bool, as_json: bool, **asked: Any) -> None:
    """Make a bundle of measured variants in *output* of what was *asked*, each option by the request's own name, and show it."""
    from edgekit.build import build_bundle
    from edgekit.build_request import BuildRequest
    from edgekit.cli.console import progress, say
    from edgekit.recipe import Digests

    request = BuildRequest(destination=output, **asked)
    if dry_run:
        show_plan(request, save_recipe, as_json=as_json)
        return
    with progress() as show:
        manifest = build_bundle(request, show)
    keep_recipe(request, save_recipe, Digests.of(manifest.lineage))
    for warning in manifest.warnings:
        say(f"warning: {warning}.")
    _show(manifest, output, request.target, as_json=as_json)


def _show(manifest: "Manifest", output: Path, meant_for: str | None, *, as_json: bool) -> None:
    from edgekit.cli.console import print_json
    from edgekit.cli.variants import explain_default, print_variants, to_dict
    from edgekit.hardware import describe_hardware
    from edgekit.report import REPORT
    from edgekit.targets import find_target

    here = find_target(describe_hardware())
    if as_json:
        print_json(to_dict(manifest, here))
        return
    print_variants(manifest, here)
    click.echo(_tell_contract(manifest))
    for one in dict.fromkeys((here, meant_for or here)):
        click.echo(explain_default(manifest, one))
    _print_next_step(meant_for)
    click.echo(f"Bundle: {output}")
    click.echo(f"Report: {output / REPORT}")


def _tell_contract(manifest: "Manifest") -> str:
    """What callers may give, by which contract, and what is read, as one line."""
    from edgekit.processing.wording import describe_feature, describe_reading

    contract, options = manifest.processing, manifest.lineage.options
    if contract is None:
        return "Processing: none, so callers give the model's own tensors. --task and --processing make tensors of pictures, sounds and texts."
    origin = options.get("processing") or (f"--task {options['task']}" if "task" in options else "what the source brings")
    given = "; ".join(map(describe_feature, contract.inputs))
    return f"Processing: {origin}: {given}; answers: {describe_reading(contract.answer)}."


def _print_next_step(target: str | None) -> None:
    """What the user of a device does next whose compiler is not here."""
    from edgekit.target_profiles import find_profile

    profile = None if target is None else find_profile(target)
    if profile is not None and profile.note:
        click.echo(f"{profile.name}{'' if profile.verified else ' (unverified)'}: {profile.note}")
