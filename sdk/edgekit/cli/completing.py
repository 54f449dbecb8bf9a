"""What a shell completes that stands in a file or in a table: names of variants, kinds of data and metrics."""

from pathlib import Path

import click


def complete_variants(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The variants of the command's BUNDLE that begin so; none where it is no bundle."""
    from edgekit.bundles import MANIFEST
    from edgekit.errors import InputError
    from edgekit.manifest import decode_manifest

    # Before an option has its value, click leaves arguments unparsed.
    bundle = context.params.get("bundle") or next(iter(context.args), None)
    try:
        manifest = None if bundle is None else decode_manifest((Path(bundle) / MANIFEST).read_bytes())
    except (OSError, InputError):
        # A shell has no use for a refusal.
        return []
    return [] if manifest is None else [variant.id for variant in manifest.variants if variant.id.startswith(incomplete)]


def complete_kinds(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The kinds of data that begin so."""
    from edgekit.datasets.registry import KINDS

    return [kind for kind in KINDS if kind.startswith(incomplete)]


def complete_metrics(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The metrics that begin so."""
    from edgekit.metrics.registry import METRICS

    return [name for name in METRICS if name.startswith(incomplete)]
