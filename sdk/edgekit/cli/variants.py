"""How commands show the variants of a manifest: the same table and the same JSON everywhere."""

from typing import Any

import msgspec

from edgekit.cli.console import print_table
from edgekit.gate import choose_unmeasured
from edgekit.manifest import Choice, Manifest, Variant
from edgekit.quantities import NOT_MEASURED, UNKNOWN, format_agreement, format_bytes, format_change, format_deviation, format_ms


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
    columns = ["variant", "size", "p50", metric, "change", "parity", "agrees", "default"]
    rows = [list(_row(variant, target, choice)) for variant in manifest.variants]
    # Bundles of before schemes were told have nothing to say here that their ids do not.
    if any(variant.scheme or variant.accelerator for variant in manifest.variants):
        columns.insert(1, "precision")
        for row, variant in zip(rows, manifest.variants, strict=True):
            row.insert(1, describe_precision(variant))
    print_table(columns, rows)
    if manifest.skipped:
        print_table(("skipped", "reason"), [(one.id, one.reason) for one in manifest.skipped])


def explain_default(manifest: Manifest, target: str) -> str:
    """Which variant is the default on *target*, and why, as one line."""
    choice = manifest.defaults.get(target)
    if choice is None:
        return _explain_unmeasured(manifest, target)
    return f"Default on {target}: {choice.variant}, {choice.reason}."


def describe_precision(variant: Variant) -> str:
    """Its number format and scheme, and what it was made for: ``int8 static, for nvidia, tensorrt 10.0 or later``."""
    return ", ".join(filter(None, (variant.precision_label, variant.purpose)))


def _explain_unmeasured(manifest: Manifest, target: str) -> str:
    known = ", ".join(sorted(manifest.defaults)) or "no target"
    begin = f"No default for {target}: unmeasured there, it was measured on {known}."
    likeliest = choose_unmeasured(manifest.variants, target)
    if likeliest is None:
        return f"{begin} Every variant is made for an accelerator."
    return f"{begin} A device of that class takes {likeliest.variant}, {likeliest.reason}, or the next that it has a runtime for."


def _find_latency(variant: Variant, target: str) -> str:
    measurement = variant.find_measurement(target)
    if measurement is not None:
        return format_ms(measurement.latency_ms.p50)
    return UNKNOWN if variant.accelerator is None else NOT_MEASURED


def _row(variant: Variant, target: str, choice: Choice | None) -> tuple[str, ...]:
    metric, parity = variant.metric, variant.parity
    return (
        variant.id,
        format_bytes(variant.size),
        _find_latency(variant, target),
        UNKNOWN if metric is None else f"{metric.value:.4f}",
        UNKNOWN if metric is None else format_change(metric.value - metric.source_value),
        format_deviation(parity.max_abs),
        format_agreement(parity.top1_agreement, parity.box_agreement),
        "yes" if choice is not None and choice.variant == variant.id else "",
    )
