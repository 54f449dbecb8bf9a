"""``edgekit inspect``: what a bundle or a model file is."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgekit.bundles import VerifiedBundle
    from edgekit.inspection import ModelDescription
    from edgekit.manifest import Manifest


@click.command()
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of a bundle's manifest, and nothing else.")
@click.option("--processing", is_flag=True, help="Show the bundle's processing contract step by step.")
@click.option(
    "--sample", "samples", metavar="FILE", multiple=True, help="Show what each step makes of FILE (NAME=FILE where there are several inputs)."
)
@click.option("--picture", type=click.Path(path_type=Path, dir_okay=False), help="Write what the model is fed with of the sample to this PNG.")
def inspect(path: Path | None, *, as_json: bool, schema: bool, processing: bool, samples: tuple[str, ...], picture: Path | None) -> None:
    """Show what the bundle or model file at PATH is.

    A bundle is verified first: every file is held against its digest. A model may be ONNX (.onnx), TFLite (.tflite)
    or OpenVINO (.xml).

    Example: edgekit inspect digits-bundle

    Example: edgekit inspect flowers-bundle --processing --sample rose.jpg --picture fed.png
    """
    if (samples or picture) and not processing:
        raise click.UsageError("--sample and --picture go with --processing.", click.get_current_context())
    if schema:
        _print_schema()
    elif path is None:
        raise click.UsageError("Give the PATH of a bundle or a model file.", click.get_current_context())
    elif processing:
        _inspect_processing(path, samples, picture, as_json=as_json)
    elif path.name == "manifest.json" or (path.is_dir() and not _is_model(path)):
        _inspect_bundle(path if path.is_dir() else path.parent, as_json=as_json)
    else:
        _inspect_model(path, as_json=as_json)


def _is_model(directory: Path) -> bool:
    """Whether *directory* is a model's and no bundle's, as a SavedModel is."""
    from edgekit.bundles import MANIFEST
    from edgekit.model_kinds import PLAIN_DIRECTORY, find_kind

    return not (directory / MANIFEST).exists() and find_kind(directory) is not PLAIN_DIRECTORY


def _print_schema() -> None:
    from edgekit.cli.console import print_json
    from edgekit.manifest import manifest_schema

    print_json(manifest_schema())


def _inspect_processing(path: Path, samples: tuple[str, ...], picture: Path | None, *, as_json: bool) -> None:
    from edgekit.bundles import open_bundle
    from edgekit.cli.contracts import show_processing

    show_processing(open_bundle(path.parent if path.name == "manifest.json" else path), samples, picture, as_json=as_json)


def _inspect_bundle(root: Path, *, as_json: bool) -> None:
    from edgekit.bundles import open_bundle
    from edgekit.cli.console import print_json
    from edgekit.cli.variants import to_dict
    from edgekit.hardware import describe_hardware
    from edgekit.targets import find_target

    bundle = open_bundle(root)
    target = find_target(describe_hardware())
    if as_json:
        print_json({"digest": bundle.digest, **to_dict(bundle.manifest, target)})
    else:
        _print_bundle(bundle, target)


def _print_bundle(bundle: "VerifiedBundle", target: str) -> None:
    from edgekit.cli.console import print_table
    from edgekit.cli.variants import explain_default, print_variants
    from edgekit.quantities import format_agreement, format_deviation

    manifest = bundle.manifest
    print_table(("bundle", manifest.name), _facts(bundle))
    print_variants(manifest, target)
    _print_engines(manifest)
    rows = []
    for variant in manifest.variants:
        allowed = variant.tolerance
        agreement = format_agreement(allowed.top1_agreement, allowed.box_agreement)
        rows.append((variant.id, format_deviation(allowed.max_abs), format_deviation(allowed.mean_abs), agreement, allowed.slack))
    print_table(("tolerance on devices", "max", "mean", "agrees", "measured, and this slack"), rows)
    for known in list(manifest.defaults) or [target]:
        click.echo(explain_default(manifest, known))


def _print_engines(manifest: "Manifest") -> None:
    """How devices with an accelerator build their own engines, where the bundle has variants for one."""
    from edgekit.cli.console import print_table

    engines = [(variant, variant.engine) for variant in manifest.variants if variant.engine is not None]
    rows = [
        (variant.id, str(engine), "by the file" if engine.strongly_typed else "by the builder", _format_profiles(engine.profiles))
        for variant, engine in engines
    ]
    if rows:
        print_table(("engine of", "built on the device by", "types", "shapes: smallest, usual, largest"), rows)


def _format_profiles(profiles: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]) -> str:
    return "; ".join(f"{name}: {', '.join('x'.join(map(str, shape)) for shape in shapes)}" for name, shapes in profiles.items()) or "as in the file"


def _facts(bundle: "VerifiedBundle") -> list[tuple[str, str]]:
    from edgekit.processing.wording import describe_contract
    from edgekit.quantities import format_bytes

    manifest = bundle.manifest
    total = sum(entry.length for entry in manifest.files)
    return [
        ("digest", f"{bundle.digest} (every file is what it says)"),
        ("size", f"{format_bytes(total)} in {len(manifest.files)} files"),
        ("inputs", "; ".join(map(str, manifest.inputs))),
        ("outputs", "; ".join(map(str, manifest.outputs))),
        ("processing", describe_contract(manifest.processing)),
        ("golden samples", f"{manifest.variants[0].parity.n}, {manifest.golden_origin}"),
        *_golden_raw(manifest),
        *_lineage(manifest),
    ]


def _golden_raw(manifest: "Manifest") -> list[tuple[str, str]]:
    """What travels to devices beside tensors to prove the contract."""
    from edgekit.quantities import format_bytes

    entry = manifest.golden_raw
    return [] if entry is None else [("golden raw items", f"{format_bytes(entry.length)}, {manifest.golden_raw_origin or 'of unknown origin'}")]


def _lineage(manifest: "Manifest") -> list[tuple[str, str]]:
    from edgekit.quantities import format_bytes

    lineage = manifest.lineage
    return [
        ("source", f"{lineage.source}, {lineage.source_format}, {format_bytes(lineage.source_size)}, {lineage.source_digest}"),
        ("calibration", lineage.calibration_digest or "none given"),
        ("evaluation", lineage.evaluation_digest or "none given"),
        ("options", ", ".join(f"{name} {value}" for name, value in lineage.options.items()) or "none"),
        ("tools", ", ".join(f"{name} {version}" for name, version in lineage.tools.items())),
        ("made on", lineage.platform or "unknown"),
    ]


def _inspect_model(path: Path, *, as_json: bool) -> None:
    from edgekit.cli.console import print_json, say
    from edgekit.inspection import inspect_model

    description = inspect_model(path)
    for reason in description.unknown:
        say(f"unknown: {reason}")
    if as_json:
        print_json(description)
    else:
        _print_model(description)


def _print_model(description: "ModelDescription") -> None:
    from edgekit.cli.console import print_table
    from edgekit.quantities import UNKNOWN, format_bytes

    files = [(f"file {file.name}", f"{format_bytes(file.length)}, {file.digest}") for file in description.files]
    operators = description.operators
    counted = UNKNOWN if operators is None else f"{sum(operators.values())}: " + ", ".join(f"{n} {name}" for name, n in operators.items())
    facts = [
        ("format", description.format),
        ("size", format_bytes(description.size)),
        *files,
        ("inputs", UNKNOWN if description.inputs is None else "; ".join(map(str, description.inputs))),
        ("outputs", UNKNOWN if description.outputs is None else "; ".join(map(str, description.outputs))),
        ("operators", counted),
        ("loaded by", description.runtime or UNKNOWN),
    ]
    print_table(("model", description.path), facts)
