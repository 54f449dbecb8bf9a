"""The gate: which variants are good enough to be in a bundle, and which of them is the default."""

from collections.abc import Sequence

from edgekit.box_parity import BoxReader
from edgekit.errors import GateRefused
from edgekit.manifest import Choice, Metric, Parity, Variant
from edgekit.precisions import find_precision
from edgekit.quantities import format_change, format_ms
from edgekit.target_profiles import PROFILES

#: Figures closer than this share are taken as equal: of latencies the smaller file wins, of sizes the target's first format.
TIE = 0.03
#: The largest mean deviation, as a share of the output's range, without labelled data to judge by.
MEAN_DEVIATION = {"fp32": 1e-4}
MEAN_DEVIATION_REDUCED = 0.05
#: The least share of a detector's boxes that must be found again, of the same class and overlapping by half. In floats only a
#: score at the very threshold may tip; what is reduced is broken where it agrees on less than it differs in.
BOX_AGREEMENT = {"fp32": 0.98}
BOX_AGREEMENT_REDUCED = 0.5

# What is tried first where nothing was measured, and what it is called. Integers throughout cost the least; ranges that
# each inference must find cost time, and where only weights are integers the arithmetic is a float's.
_SCHEMES = {"static": "int8 variant", "dynamic": "dynamic int8 variant", "weights": "variant with integer weights"}
_UNKNOWN_SCHEME = "static"


def find_parity_fault(precision: str, parity: Parity, ranges: dict[str, float], boxes: BoxReader | None = None) -> str | None:
    """Why *parity* is too poor for any use, with the outputs' *ranges* on the golden samples; None where it is not.

    Only a conversion that went wrong is caught here; whether a sound one is good enough is for the metric to say. A detector
    must find its boxes again, where there were any: beside coordinates of hundreds of pixels, scores that are all lost deviate
    by nothing. Outputs that it sorts by their scores are judged by *boxes* alone.
    """
    least = BOX_AGREEMENT.get(precision, BOX_AGREEMENT_REDUCED)
    if parity.box_agreement is not None and parity.box_agreement < least:
        return f"it finds {parity.box_agreement:.1%} of the boxes again, and {least:.1%} is the least for {precision}"
    by_boxes = boxes.sorted_outputs if boxes is not None and parity.box_agreement is not None else frozenset()
    allowed = MEAN_DEVIATION.get(precision, MEAN_DEVIATION_REDUCED)
    for name, deviation in parity.outputs.items():
        if name not in by_boxes and deviation.mean_abs > allowed * ranges[name]:
            share = deviation.mean_abs / ranges[name] if ranges[name] else float("inf")
            return f"its output {name!r} deviates by {share:.2%} of its range on average, and {allowed:.2%} is the most for {precision}"
    return None


def find_drop_fault(metric: Metric, max_drop: float) -> str | None:
    """Why *metric* misses the bound; None where it keeps it. A drop is absolute: by how much it is worse than the source's."""
    drop = metric.drop
    # 0.99 - 0.98 is a little more than 0.01 in binary floats.
    if drop <= max_drop + 1e-9:
        return None
    return f"{metric.name} {metric.value:.4f} is a drop of {drop:.4f} from the source's {metric.source_value:.4f}, and {max_drop:.4f} is the most"


def refuse_all(refused: Sequence[tuple[str, Metric]], max_drop: float, asked: str = "") -> GateRefused:
    """The refusal when no variant keeps the bound, or none of what was *asked* for: it names the best, and the bound that it would keep."""
    best, metric = min(refused, key=lambda one: one[1].drop)
    drop = metric.drop
    return GateRefused(
        f"the bound of --max-drop {max_drop:g}",
        f"no variant {f'of {asked} ' if asked else ''}meets it. The best is {best}: {metric.name} {metric.value:.4f} on {metric.n} samples, "
        f"a drop of {drop:.4f} from the source's {metric.source_value:.4f}",
        f"It would pass with --max-drop {max(drop, 0.0):.4f}.",
    )


def choose_default(variants: Sequence[Variant], target: str) -> Choice | None:
    """The fastest variant measured on *target*, and the smaller one where two are as fast; None where none was measured.

    One that was made for an accelerator which that class of devices lacks is never the default.
    """
    fitting = [variant for variant in variants if _is_meant_for(variant, target)]
    timed = [(measurement.latency_ms.p50, variant) for variant in fitting if (measurement := variant.find_measurement(target))]
    if not timed:
        return None
    fastest = min(latency for latency, _ in timed)
    latency, chosen = min(((each, one) for each, one in timed if each <= fastest * (1 + TIE)), key=lambda pair: pair[1].size)
    return Choice(variant=chosen.id, reason=_explain(chosen, latency, timed))


def choose_unmeasured(variants: Sequence[Variant], target: str) -> Choice | None:
    """The likeliest of *variants* for *target*, on which none was measured; None where all are for accelerators.

    What pays there by its profile goes first, then static integers before dynamic ones, before those of weights alone,
    before floats, and of equal ones the smallest: it costs the least to fetch and to hold. Of equal sizes the format goes
    first that the profile names first. Figures from elsewhere count for nothing, since the best format differs from device
    to device.
    """
    fitting = [variant for variant in variants if variant.accelerator is None]
    paying = [variant for variant in fitting if _pays(variant, target)] or fitting
    if not paying:
        return None
    schemes = {variant.id: _find_scheme(variant) for variant in paying}
    best = next((scheme for scheme in _SCHEMES if scheme in schemes.values()), None)
    chosen = _take_smallest([variant for variant in paying if schemes[variant.id] == best], target)
    among = "variant" if best is None else _SCHEMES[best]
    return Choice(variant=chosen.id, reason=f"the smallest {among}{'' if len(paying) == len(fitting) else ' of those that pay there'}")


def _take_smallest(variants: Sequence[Variant], target: str) -> Variant:
    formats = list(PROFILES[target].precisions) if target in PROFILES else []
    least = min(variant.size for variant in variants)
    equal = [variant for variant in variants if variant.size <= least * (1 + TIE)]
    return min(equal, key=lambda variant: (formats.index(variant.format) if variant.format in formats else len(formats), variant.size))


def _is_meant_for(variant: Variant, target: str) -> bool:
    """Whether devices of *target* have what *variant* was made for: nothing, or their kind of accelerator."""
    profile = PROFILES.get(target)
    return variant.accelerator is None or (profile is not None and profile.accelerator == variant.accelerator)


def _pays(variant: Variant, target: str) -> bool:
    """Whether its format is one for *target*, and its integers too; floats are right everywhere."""
    profile = PROFILES.get(target)
    if profile is None:
        return True
    scheme, paying = _find_scheme(variant), profile.precisions.get(variant.format, ())
    return bool(paying) if scheme is None else any((one.number, one.scheme) == (variant.precision, scheme) for one in map(find_precision, paying))


def _find_scheme(variant: Variant) -> str | None:
    """How its activations get their integers; None for floats."""
    return (variant.scheme or _UNKNOWN_SCHEME) if variant.precision.startswith("int") else None


def _explain(chosen: Variant, latency: float, timed: Sequence[tuple[float, Variant]]) -> str:
    among = f"the fastest of {len(timed)}" if len(timed) > 1 else "the only one"
    # Without labelled data nothing was held against the bound.
    words = [among if chosen.metric is None else f"{among} within the bound", format_ms(latency)]
    reference = next((each for each, variant in timed if variant.id == "onnx-fp32"), None)
    if reference is not None and f"{reference / latency:.1f}" != "1.0":
        words.append(f"{reference / latency:.1f}x as fast as onnx-fp32")
    if chosen.metric is None:
        words.append("no labelled data to judge it by")
    else:
        words.append(f"{chosen.metric.name} {format_change(chosen.metric.value - chosen.metric.source_value)} against the source")
    return ", ".join(words)
