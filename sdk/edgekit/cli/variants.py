"""How commands show the variants of a manifest: the same table and the same JSON everywhere."""

from typing import Any

import msgspec

from edgekit.cli.console import print_table
from edgekit.manifest import Choice, Manifest, Variant
from edgekit.quantities import UNKNOWN, format_bytes, format_change, format_deviation, format_ms, format_share


def to_dict(manifest: Manifest, target: str) -> dict[str, Any]:
    """*manifest* as its JSON has it, with ``default`` in each variant: whether it is the default on *target*."""
    choice = manifest.defaults.get(target)
    record: dict[str, Any] = msgspec.to_builtins(manifest)
    for variant in record["variants"]:
        variant["default"] = choice is not None and choice.variant == variant["id"]
    return record


def print_variants(manifest: Manifest, target: str) -> None:
    """The table of variants with what was measured of each on *target*, the default there and why, and what was skipped."""
    choice = manifest.defaults.get(target)
    metric = next((variant.metric.name for variant in manifest.variants if variant.metric), "metric")
    columns = ("variant", "size", "p50", metric, "change", "parity", "top-1 agrees", "default")
    print_table(columns, [_row(variant, target, choice) for variant in manifest.variants])
    if manifest.skipped:
        print_table(("skipped", "reason"), [(one.id, one.reason) for one in manifest.skipped])


def explain_default(manifest: Manifest, target: str) -> str:
    """Which variant is the default on *target*, and why, as one line."""
    choice = manifest.defaults.get(target)
    if choice is None:
        known = ", ".join(sorted(manifest.defaults)) or "no target"
        return f"No default for {target}: it was measured on {known}. Measure it here: edgekit benchmark."
    return f"Default on {target}: {choice.variant}, {choice.reason}."


def _row(variant: Variant, target: str, choice: Choice | None) -> tuple[str, ...]:
    measurement = variant.find_measurement(target)
    metric, agreement = variant.metric, variant.parity.top1_agreement
    return (
        variant.id,
        format_bytes(variant.size),
        UNKNOWN if measurement is None else format_ms(measurement.latency_ms.p50),
        UNKNOWN if metric is None else f"{metric.value:.4f}",
        UNKNOWN if metric is None else format_change(metric.value - metric.source_value),
        format_deviation(variant.parity.max_abs),
        "-" if agreement is None else format_share(agreement),
        "yes" if choice is not None and choice.variant == variant.id else "",
    )
