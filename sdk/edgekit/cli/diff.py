"""``edgekit diff``: how two bundles or releases differ."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgekit.bundle_diff import BundleDiff, VariantDiff
    from edgekit.bundles import VerifiedBundle
    from edgekit.changes import Change

#: The most constants of a variant that the table lists; --json has all.
_LISTED = 12


@click.command()
@click.argument("before")
@click.argument("after")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def diff(before: str, after: str, *, as_json: bool) -> None:
    """Show how the bundle AFTER differs from BEFORE: tensors, contract, graph, weights, figures, data, tools.

    Each is the directory of a bundle, or a release in a repository on this machine, as releases/digits@1.0.0. Both are verified
    first. Constants are held side by side by name, with the largest difference of their values.

    Example: edgekit diff digits-bundle releases/digits@1.0.0
    """
    from edgekit.bundle_diff import compare_bundles
    from edgekit.cli.console import print_json

    with _open(before) as first, _open(after) as second:
        found = _name_places(compare_bundles(first, second), before, after)
    if as_json:
        print_json(found)
    else:
        _print_diff(found)


def _name_places(found: "BundleDiff", before: str, after: str) -> "BundleDiff":
    """*found* with the places that the caller gave: a release was fetched into a directory that is gone by now."""
    from msgspec.structs import replace

    return replace(found, before=replace(found.before, path=before), after=replace(found.after, path=after))


@contextlib.contextmanager
def _open(place: str) -> Iterator["VerifiedBundle"]:
    """The bundle at *place*, or the release that it names in a repository, fetched for as long as the block runs."""
    from edgekit.releases.repository import is_repository

    path = Path(place)
    if "@" in path.name and is_repository(path.parent):
        with _fetch(path) as bundle:
            yield bundle
    else:
        yield _open_present(path)


@contextlib.contextmanager
def _fetch(path: Path) -> Iterator["VerifiedBundle"]:
    import tempfile

    from edgekit.releases.client import visiting
    from edgekit.releases.versions import parse_reference

    with tempfile.TemporaryDirectory(prefix="edgekit-") as directory, visiting(str(path.parent)) as (client, _):
        yield client.fetch_release(parse_reference(path.name), Path(directory), lambda manifest: [variant.id for variant in manifest.variants])


def _open_present(path: Path) -> "VerifiedBundle":
    """The bundle in *path* with the variants whose files are there: a device has only one."""
    from edgekit.bundles import open_bundle

    manifest = open_bundle(path, variants=()).manifest
    present = tuple(one.id for one in manifest.variants if any((path / entry.path).exists() for entry in one.files))
    return open_bundle(path, variants=present or None)


def _print_diff(found: "BundleDiff") -> None:
    from edgekit.cli.console import print_table

    sides = (("before", found.before), ("after", found.after))
    print_table(("", "bundle", "manifest", "place"), [(word, side.name, side.digest, side.path) for word, side in sides])
    if found.is_empty:
        click.echo("Nothing differs.")
        return
    _print_changes("inputs and outputs", found.tensors)
    _print_changes("processing contract", found.processing)
    _print_changes("golden", found.golden)
    _print_variants(found.variants)
    _print_changes("skipped", found.skipped)
    _print_changes("default on", found.defaults)
    _print_changes("lineage", found.lineage)
    _print_changes("tool", found.tools)


def _print_changes(title: str, changes: Sequence["Change"]) -> None:
    from edgekit.cli.console import print_table

    if changes:
        print_table((title, "before", "after"), [(one.what, one.before or "-", one.after or "-") for one in changes])


def _print_variants(variants: Sequence["VariantDiff"]) -> None:
    from edgekit.cli.console import print_table

    print_table(("variant", "files", "operators", "constants that differ"), [_row(one) for one in variants])
    figures = [(one.id, each.what, each.before or "-", each.after or "-") for one in variants for each in one.figures]
    operators = [(one.id, name, str(was), str(now)) for one in variants for name, (was, now) in one.operators.items()]
    constants = [row for one in variants for row in _list_constants(one)]
    if figures:
        print_table(("variant", "figure", "before", "after"), figures)
    if operators:
        print_table(("variant", "operator", "before", "after"), operators)
    if constants:
        print_table(("variant", "constant", "it was", "before", "after", "differs by"), constants)
    for one in variants:
        for reason in one.unknown:
            click.echo(f"{one.id}: unknown: {reason}")


def _row(one: "VariantDiff") -> tuple[str, str, str, str]:
    files = {"same": "the same bytes", "changed": "other bytes"}.get(one.state, one.state)
    if one.state != "changed" or one.unknown:
        return one.id, files, "", ""
    operators = "the same" if not one.operators else f"{len(one.operators)} kinds differ in number"
    return one.id, files, operators, f"{len(one.weights)} of {one.constants}"


def _list_constants(one: "VariantDiff") -> Iterator[tuple[str, ...]]:
    from edgekit.quantities import format_deviation

    for each in one.weights[:_LISTED]:
        distance = format_deviation(each.max_abs) if each.change == "changed" else "-"
        yield one.id, each.name, each.change, each.before or "-", each.after or "-", distance
    if len(one.weights) > _LISTED:
        yield one.id, f"and {len(one.weights) - _LISTED} more, which --json has", "", "", "", ""
