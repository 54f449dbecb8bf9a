"""How two bundles differ: what they take and give, their graphs and weights, their figures, and where they came from."""

from collections.abc import Iterator, Sequence
from typing import Literal

from edgekit.bundles import VerifiedBundle
from edgekit.changes import Change, compare_texts, compare_values
from edgekit.contract_changes import compare_contracts
from edgekit.errors import DeviceError, InputError
from edgekit.inspection import count_operators
from edgekit.manifest import Lineage, Manifest, Metric, Variant
from edgekit.quantities import format_bytes, format_change, format_deviation, format_ms, format_share
from edgekit.records import Digest, Name, Record
from edgekit.weights import WeightChange, compare_weights, read_weights


class Side(Record, frozen=True, kw_only=True):
    """One of the two: its name, where it lies, and the digest of its manifest."""

    name: Name
    path: str
    digest: Digest


class VariantDiff(Record, frozen=True, kw_only=True):
    """What became of one variant.

    *operators* has the counts of those that are not as frequent, before and after; *weights* each constant that is not the same, of
    *constants* in all. *figures* are size, metric, parity and cost. *unknown* says what could not be held side by side, and why.
    """

    id: Name
    state: Literal["added", "removed", "changed", "same"]
    operators: dict[str, tuple[int, int]] = {}
    weights: tuple[WeightChange, ...] = ()
    constants: int = 0
    figures: tuple[Change, ...] = ()
    unknown: tuple[str, ...] = ()


class BundleDiff(Record, frozen=True, kw_only=True):
    """How *after* differs from *before*, part by part; a part is empty where nothing does."""

    before: Side
    after: Side
    tensors: tuple[Change, ...]
    processing: tuple[Change, ...]
    golden: tuple[Change, ...]
    variants: tuple[VariantDiff, ...]
    skipped: tuple[Change, ...]
    defaults: tuple[Change, ...]
    lineage: tuple[Change, ...]
    tools: tuple[Change, ...]

    @property
    def is_empty(self) -> bool:
        """Whether the two are one and the same."""
        parts = (self.tensors, self.processing, self.golden, self.skipped, self.defaults, self.lineage, self.tools)
        if any(parts) or self.before.name != self.after.name:
            return False
        return all(variant.state == "same" and not variant.figures for variant in self.variants)


def compare_bundles(before: VerifiedBundle, after: VerifiedBundle) -> BundleDiff:
    """What differs between two bundles. Files that have the same digest are not opened."""
    first, second = before.manifest, after.manifest
    return BundleDiff(
        before=Side(name=first.name, path=str(before.root), digest=before.digest),
        after=Side(name=second.name, path=str(after.root), digest=after.digest),
        tensors=tuple(_compare_tensors(first, second)),
        processing=tuple(compare_contracts(first.processing, second.processing)),
        golden=tuple(compare_texts(_tell_golden(first), _tell_golden(second))),
        variants=tuple(_compare_variants(before, after)),
        skipped=tuple(compare_texts(*({one.id: one.reason for one in each.skipped} for each in (first, second)))),
        defaults=tuple(compare_texts(*({target: one.variant for target, one in each.defaults.items()} for each in (first, second)))),
        lineage=tuple(compare_values(_list_origin(first.lineage), _list_origin(second.lineage))),
        tools=tuple(compare_texts(first.lineage.tools, second.lineage.tools)),
    )


def _compare_tensors(before: Manifest, after: Manifest) -> Iterator[Change]:
    for kind, first, second in (("input", before.inputs, after.inputs), ("output", before.outputs, after.outputs)):
        was, now = ({f"{kind} {spec.name}": spec for spec in specs} for specs in (first, second))
        for name in dict.fromkeys((*was, *now)):
            if name in was and name in now:
                yield from compare_values(was[name], now[name], name)
            else:
                yield Change(what=name, before=str(was.get(name, "")), after=str(now.get(name, "")))
        if list(was) != list(now) and sorted(was) == sorted(now):
            yield Change(what=f"order of {kind}s", before=", ".join(was), after=", ".join(now))


def _tell_golden(manifest: Manifest) -> dict[str, str]:
    golden = {"golden samples": f"{manifest.variants[0].parity.n}, {manifest.golden_origin}, {manifest.golden.digest}"}
    if manifest.golden_raw is not None:
        golden["golden raw items"] = f"{manifest.golden_raw_origin}, {manifest.golden_raw.digest}"
    return golden


def _list_origin(lineage: Lineage) -> dict[str, object]:
    """All of *lineage* but its tools, which are told by themselves, and its recipe, which says what the options say."""
    fields = {name: getattr(lineage, name) for name in lineage.__struct_fields__}
    data = {f"data.{one.role}.{one.name}": one for one in lineage.data}
    return {name: value for name, value in fields.items() if name not in ("tools", "recipe", "data")} | data


def _compare_variants(before: VerifiedBundle, after: VerifiedBundle) -> Iterator[VariantDiff]:
    first, second = ({variant.id: variant for variant in one.manifest.variants} for one in (before, after))
    for name in dict.fromkeys((*first, *second)):
        if name in first and name in second:
            yield _compare_variant(before, first[name], after, second[name])
        else:
            here = Change(what="size", before=_size(first.get(name)), after=_size(second.get(name)))
            yield VariantDiff(id=name, state="removed" if name in first else "added", figures=(here,))


def _size(variant: Variant | None) -> str:
    return "" if variant is None else format_bytes(variant.size)


def _compare_variant(before: VerifiedBundle, first: Variant, after: VerifiedBundle, second: Variant) -> VariantDiff:
    figures = tuple(compare_texts(_tell_figures(first), _tell_figures(second, first.metric)))
    if [entry.digest for entry in first.files] == [entry.digest for entry in second.files]:
        return VariantDiff(id=first.id, state="same", figures=figures)
    absent = [str(one.root) for one, variant in ((before, first), (after, second)) if variant not in one.variants]
    if absent:
        return VariantDiff(id=first.id, state="changed", figures=figures, unknown=(f"its files are not in {' and '.join(absent)}",))
    return _compare_files(before, first, after, second, figures)


def _compare_files(before: VerifiedBundle, first: Variant, after: VerifiedBundle, second: Variant, figures: Sequence[Change]) -> VariantDiff:
    paths = (before.path_of(first), first.format), (after.path_of(second), second.format)
    try:
        weights = [read_weights(*path) for path in paths]
    except (DeviceError, InputError) as error:
        return VariantDiff(id=first.id, state="changed", figures=tuple(figures), unknown=(f"graph and weights: {error}",))
    counts = [count_operators(*path) for path in paths]
    unknown = () if None not in counts else ("operators: what reads them is not installed",)
    was, now = (count or {} for count in counts)
    return VariantDiff(
        id=first.id,
        state="changed",
        operators={name: (was.get(name, 0), now.get(name, 0)) for name in dict.fromkeys((*was, *now)) if was.get(name, 0) != now.get(name, 0)},
        weights=tuple(compare_weights(*weights)),
        constants=len({*weights[0], *weights[1]}),
        figures=tuple(figures),
        unknown=unknown,
    )


def _tell_figures(variant: Variant, reference: Metric | None = None) -> dict[str, str]:
    """What was measured of *variant*, in words; its metric with the change from *reference*, where that is the same one."""
    parity = variant.parity
    figures = {"size": format_bytes(variant.size), "precision": variant.precision_label, "largest deviation": format_deviation(parity.max_abs)}
    for name, share in (("top-1 agreement", parity.top1_agreement), ("box agreement", parity.box_agreement)):
        if share is not None:
            figures[name] = format_share(share)
    if variant.metric is not None:
        figures[variant.metric.name] = _tell_metric(variant.metric, reference)
    for one in variant.measured:
        figures[f"p50 on {one.target}, {one.machine}, {one.runtime}"] = format_ms(one.latency_ms.p50)
    return figures


def _tell_metric(metric: Metric, reference: Metric | None) -> str:
    told = f"{metric.value:.4f} on {metric.n}"
    if reference is None or reference.name != metric.name or reference.value == metric.value:
        return told
    return f"{told} ({format_change(metric.value - reference.value)})"
