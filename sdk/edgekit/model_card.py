"""The model card: what a bundle is, from what was measured of it alone. What nobody measured is said to be unknown.

Its parts are those of Mitchell et al., "Model Cards for Model Reporting" (2019), as far as a manifest knows them.
"""

import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from edgekit.files import write_file
from edgekit.manifest import DataUse, Manifest, Measurement, Metric, Variant
from edgekit.processing.wording import describe_feature, describe_reading, describe_step
from edgekit.quantities import NOT_MEASURED, UNKNOWN, format_bytes, format_change, format_deviation, format_mb, format_ms, format_share

#: The card's name in a bundle.
CARD = "MODEL_CARD.md"
#: Letters that Markdown reads as marks (CommonMark 0.31, section 2.4, "Backslash escapes"), where they stand in text.
_MARKS = re.compile(r"([\\`*_{}\[\]|#~!])")
#: An address that renderers make into a link by themselves (GitHub Flavored Markdown, section 6.9).
_LINKS = re.compile(r"(https?|ftp|mailto|www)([:.])")
#: The most labels that a card lists.
_LABELS = 20


def write_card(manifest: Manifest, path: Path) -> None:
    """Write the card of *manifest* to *path*; it is whole or absent."""
    write_file(path, render_card(manifest).encode())


def render_card(manifest: Manifest) -> str:
    """The card of *manifest* as Markdown. Equal manifests give equal cards."""
    parts = [
        f"# {manifest.name}",
        _introduce(manifest),
        *_section("What it takes and gives", _list_tensors(manifest), *_tell_contract(manifest)),
        *_section("Data", *_tell_data(manifest)),
        *_section("Variants", *_tell_variants(manifest)),
        *_section("What it costs", *_tell_costs(manifest)),
        *_section("Limits", "\n".join(f"- {sentence}" for sentence in list_limits(manifest))),
        *_section("Where it came from", *_tell_lineage(manifest)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(title: str, *parts: str) -> list[str]:
    return [f"## {title}", *parts]


def escape_text(text: str) -> str:
    """*text* as Markdown that shows it as it is, on one line: names and reasons may come from anybody."""
    plain = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return _LINKS.sub("\\1\N{WORD JOINER}\\2", _MARKS.sub(r"\\\1", escape(plain, quote=False)))


def _code(text: str) -> str:
    """*text* in the type of code; a backtick would end it."""
    return f"`{' '.join(text.split()).replace('`', chr(0x2BC))}`"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _introduce(manifest: Manifest) -> str:
    lineage, count = manifest.lineage, len(manifest.variants)
    origin = f"{escape_text(lineage.source)} ({lineage.source_format}, {format_bytes(lineage.source_size)})"
    tool = escape_text(f"edgekit {lineage.tools.get('edgekit', '')}".strip())
    return (
        f"{count} variant{'s' if count > 1 else ''} of {origin}, made and measured by {tool}. Every figure here was measured; "
        "what was not is called unknown. Of the source model's training data, its purpose and its fairness nothing is known here."
    )


def _list_tensors(manifest: Manifest) -> str:
    rows = [
        (kind, escape_text(spec.name), escape_text(f"{spec.dtype}[{', '.join(map(str, spec.shape))}]"), spec.layout or "")
        for kind, specs in (("input", manifest.inputs), ("output", manifest.outputs))
        for spec in specs
    ]
    return _table(("", "tensor", "dtype and shape", "layout"), rows)


def _tell_contract(manifest: Manifest) -> Iterator[str]:
    contract = manifest.processing
    if contract is None:
        yield "There is no processing contract: callers make these tensors, and read them, themselves."
        return
    task = f" for the task {contract.task}" if contract.task else ""
    yield f"Callers may give raw items instead; this contract{task} makes tensors of them, on every machine by the same code:"
    for feature in contract.inputs:
        steps = [f"{index}. {step.__struct_config__.tag}: {escape_text(describe_step(step))}" for index, step in enumerate(feature.steps, 1)]
        yield "\n".join([f"{escape_text(feature.name)}: {escape_text(describe_feature(feature))}", "", *steps]).rstrip()
    yield f"Answers are read: {escape_text(describe_reading(contract.answer))}."
    if contract.labels:
        more = f" and {len(contract.labels) - _LABELS} more" if len(contract.labels) > _LABELS else ""
        yield f"Classes: {', '.join(map(escape_text, contract.labels[:_LABELS]))}{more}."


def _tell_data(manifest: Manifest) -> Iterator[str]:
    lineage = manifest.lineage
    if lineage.data:
        heads = ("used for", "set", "kind", "samples", "skipped", "seed", "digest of the files", "digest of the keys taken")
        yield _table(heads, [_describe_data(one) for one in lineage.data])
    else:
        given = (("calibration", lineage.calibration_digest), ("evaluation", lineage.evaluation_digest))
        yield _table(("used for", "digest"), [(role, "none was given" if digest is None else _code(digest)) for role, digest in given])
    golden = f"{manifest.variants[0].parity.n} golden samples, by which every device proves a variant before it serves"
    yield f"{golden}: {_say_origin(manifest.golden_origin)}."
    if manifest.golden_raw_origin is not None:
        yield f"Golden raw items prove the contract too: {_say_origin(manifest.golden_raw_origin)}."


def _describe_data(use: DataUse) -> tuple[str, ...]:
    counted = f"{use.samples} of {use.available}"
    return (use.role, escape_text(use.name), escape_text(use.kind), counted, str(use.skipped), str(use.seed), _code(use.digest), _code(use.taken))


def _say_origin(origin: str) -> str:
    return "made up, none of them a real input" if origin == "synthetic" else f"taken from the {origin} data, and they travel to every device"


def _tell_variants(manifest: Manifest) -> Iterator[str]:
    heads = ("variant", "precision", "size", "metric", "against the source", "largest deviation", "same answers")
    yield _table(heads, [_describe_variant(variant) for variant in manifest.variants])
    metric = next((variant.metric for variant in manifest.variants if variant.metric is not None), None)
    if metric is not None:
        yield (
            f"The metric is {escape_text(metric.name)} ({metric.better} is better) on {metric.n} samples; in brackets is where it lies with 95 % "
            f"confidence. The source model has {metric.source_value:.4f}. Deviations are the largest from its answers to the golden samples."
        )
    if manifest.skipped:
        yield _table(("not in the bundle", "because"), [(one.id, escape_text(one.reason)) for one in manifest.skipped])


def _describe_variant(variant: Variant) -> tuple[str, ...]:
    precision = ", ".join(filter(None, (variant.precision_label, variant.purpose)))
    metric = variant.metric
    change = UNKNOWN if metric is None else format_change(metric.value - metric.source_value)
    figures = (format_bytes(variant.size), _say_metric(metric), change, format_deviation(variant.parity.max_abs))
    return (variant.id, escape_text(precision), *figures, _say_agreement(variant))


def _say_metric(metric: Metric | None) -> str:
    if metric is None:
        return UNKNOWN
    interval = "" if metric.interval is None else f" ({metric.interval[0]:.4f} to {metric.interval[1]:.4f})"
    return f"{metric.value:.4f}{interval}"


def _say_agreement(variant: Variant) -> str:
    parity = variant.parity
    shares = [f"top-1 {format_share(parity.top1_agreement)}"] if parity.top1_agreement is not None else []
    shares += [f"boxes {format_share(parity.box_agreement)}"] if parity.box_agreement is not None else []
    return ", ".join(shares) or "does not apply"


def _tell_costs(manifest: Manifest) -> Iterator[str]:
    machines = dict.fromkeys((one.machine, one.target) for variant in manifest.variants for one in variant.measured)
    if not machines:
        yield f"Latency, memory and energy are {UNKNOWN}: no machine has measured it."
    for machine, target in machines:
        yield f"On {escape_text(machine)} ({escape_text(target)}):"
        yield _table(
            ("variant", "runtime", "threads", "p50", "p95", "memory", "energy for one"),
            [_describe_cost(variant, _find_measurement(variant, machine, target)) for variant in manifest.variants],
        )
    for target, choice in manifest.defaults.items():
        yield f"The default on {escape_text(target)} is **{choice.variant}**: {escape_text(choice.reason)}."


def _find_measurement(variant: Variant, machine: str, target: str) -> Measurement | None:
    return next((one for one in variant.measured if (one.machine, one.target) == (machine, target)), None)


def _describe_cost(variant: Variant, one: Measurement | None) -> tuple[str, ...]:
    if one is None:
        return (variant.id, NOT_MEASURED, "", "", "", "", "")
    latency, energy = one.latency_ms, UNKNOWN if one.energy_mj is None else f"{one.energy_mj:.3g} mJ"
    runtime = escape_text(f"{one.runtime} {one.runtime_version}")
    return (variant.id, runtime, str(one.threads), format_ms(latency.p50), format_ms(latency.p95), format_mb(one.rss_mb), energy)


def list_limits(manifest: Manifest) -> list[str]:
    """What the figures of *manifest* do not say, a sentence each."""
    lineage, variants = manifest.lineage, manifest.variants
    measured = [one for variant in variants for one in variant.measured]
    metrics = [variant.metric for variant in variants if variant.metric is not None]
    calibrated = any(variant.scheme == "static" for variant in variants)
    limits = {
        "No metric was measured: accuracy is unknown, and only the answers to golden samples were held against the source's.": not metrics,
        "How sure the metric is was not computed.": any(metric.interval is None for metric in metrics),
        "Golden samples were made up: they show that a variant answers as the source does, and nothing of real inputs.": (
            manifest.golden_origin == "synthetic"
        ),
        "No calibration data was given: there is no variant in static int8, which is often the fastest.": (
            lineage.calibration_digest is None and not calibrated
        ),
        "Energy was not measured.": any(one.energy_mj is None for one in measured) or not measured,
        "There is no processing contract: whether callers feed it as it was trained cannot be proven.": manifest.processing is None,
    }
    machines = sorted({one.target for one in measured})
    where = f"Latency is known of {', '.join(map(escape_text, machines))} alone; elsewhere it is unknown." if machines else ""
    warnings = [f"{escape_text(warning).rstrip('.')}." for warning in manifest.warnings]
    return [*warnings, *(sentence for sentence, holds in limits.items() if holds), *([where] if where else [])]


def _tell_lineage(manifest: Manifest) -> Iterator[str]:
    lineage = manifest.lineage
    facts = [
        ("source", f"{escape_text(lineage.source)}, {_code(lineage.source_digest)}"),
        ("takes the place of", escape_text(lineage.parent or "no release that was named")),
        ("options", _say_pairs(lineage.options)),
        ("tools", _say_pairs(lineage.tools)),
        ("made on", escape_text(lineage.platform) or UNKNOWN),
    ]
    yield _table(("", ""), facts)
    if not lineage.recipe:
        yield "It was made before recipes were kept in bundles, so it cannot be made again by command."
        return
    roles = [role for role in ("source", "calibration", "evaluation") if role == "source" or lineage.recipe.get(role)]
    words = " ".join(f"--{role} {role.upper()}" for role in roles)
    yield f"To make it again and see whether the files are the same:\n\n```sh\nedgekit reproduce BUNDLE {words}\n```"


def _say_pairs(values: dict[str, str]) -> str:
    return escape_text(", ".join(f"{name} {value}" for name, value in values.items())) or "none"
