"""``edgekit evaluate``: how good a bundle is on data, and whether another one is better."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.completing import complete_kinds, complete_metrics, complete_variants

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.comparison import Compared, Comparison
    from edgekit.contract import Processing
    from edgekit.evaluation import Evaluation, EvaluationRequest
    from edgekit.metrics.intervals import Interval

#: So many flipped samples stand in a table; --json has them all.
_SHOWN = 20


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--data", "path", type=click.Path(path_type=Path), required=True, help="Labelled samples, as edgekit data check takes them.")
@click.option(
    "--kind",
    metavar="KIND",
    shell_complete=complete_kinds,
    help="What the data are, where it is not seen: npz, class-folders, coco, yolo, masks, listing, csv-windows, csv-texts.",
)
@click.option(
    "--variant",
    "variants",
    multiple=True,
    metavar="ID|all",
    shell_complete=complete_variants,
    help="Which variants; by default the one that this machine would take.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_metrics,
    help="What is measured; by default what is usual for the task. May be repeated.",
)
@click.option("--samples", type=click.IntRange(min=1), metavar="N", help="Take N samples alone, of each class as many as its share.")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides which ones.")
@click.option("--compare", type=click.Path(path_type=Path), metavar="BUNDLE2", help="Hold another bundle, or this one again, against it.")
@click.option("--variant2", metavar="ID", help="Which variant of the other; by default the one that this machine would take.")
@click.option(
    "--flips", type=click.Path(path_type=Path), help="With --compare: copy the samples that changed into a new folder, or draw them (.png)."
)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Threads that a runtime may use.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evaluate(  # noqa: PLR0913 - one argument for each option
    bundle: Path,
    path: Path,
    *,
    kind: str | None,
    variants: tuple[str, ...],
    metrics: tuple[str, ...],
    samples: int | None,
    seed: int,
    compare: Path | None,
    variant2: str | None,
    flips: Path | None,
    threads: int,
    as_json: bool,
) -> None:
    """Measure how good variants of BUNDLE are on labelled data, each in its own runtime, with a 95 % confidence interval.

    Metrics are top1, top5, f1, map50, map50-95, iou, auc, cosine and wer, or a function of yours as package.module:function: that
    is code which runs here. With --compare both answer the same samples, BUNDLE first: what the other lost and won is told,
    and whether that is more than chance.

    \b
    Examples:
      edgekit evaluate digits-bundle --data photos/test --variant all
      edgekit evaluate digits-1 --data photos/test --compare digits-2 --flips flips.png
    """  # noqa: D301 - click wants the character itself
    from edgekit.evaluation import EvaluationRequest

    if compare is None and (variant2 is not None or flips is not None):
        raise click.UsageError("--variant2 and --flips need --compare BUNDLE2.", click.get_current_context())
    request = EvaluationRequest(path, variants, metrics, kind, samples, seed, threads)
    _tell_own(metrics)
    if compare is None:
        _evaluate(bundle, request, as_json=as_json)
    else:
        _compare(bundle, compare, () if variant2 is None else (variant2,), request, flips, as_json=as_json)


def _tell_own(metrics: tuple[str, ...]) -> None:
    from edgekit.cli.console import say
    from edgekit.metrics.own import is_own

    for name in filter(is_own, metrics):
        say(f"{name} is code of yours, and runs here.")


def _evaluate(bundle: Path, request: "EvaluationRequest", *, as_json: bool) -> None:
    from edgekit.bundles import open_bundle
    from edgekit.cli.console import print_json, progress
    from edgekit.evaluation import evaluate_bundle

    with progress() as show:
        found = evaluate_bundle(open_bundle(bundle), request, show)
    if as_json:
        print_json(found)
    else:
        _print_evaluation(found)


def _compare(first: Path, second: Path, other: tuple[str, ...], request: "EvaluationRequest", flips: Path | None, *, as_json: bool) -> None:
    from edgekit.bundles import open_bundle
    from edgekit.cli.console import print_json, progress
    from edgekit.comparison import compare_variants
    from edgekit.flips import check_place

    if flips is not None:
        check_place(flips)
    opened = open_bundle(first)
    with progress() as show:
        found = compare_variants(opened, open_bundle(second), other, request, show)
    if flips is not None:
        _write_flips(found, opened.manifest.processing, request, flips)
    if as_json:
        print_json(found)
    else:
        _print_comparison(found)


def _print_evaluation(found: "Evaluation") -> None:
    from edgekit.cli.console import print_table, say
    from edgekit.quantities import format_ms

    rows = [
        (one.id, each.metric, f"{each.value:.4f}", _format_interval(each.interval), str(each.n), format_ms(one.cost.latency_ms.p50), one.cost.runtime)
        for one in found.variants
        for each in one.metrics
    ]
    print_table(("variant", "metric", "value", "95 % interval", "n", "p50", "runtime"), rows)
    if found.missing:
        print_table(("left out", "why"), [(one.id, one.reason) for one in found.missing])
    if found.skipped:
        print_table(("not used", "why"), [(one.key, one.problem) for one in found.skipped[:_SHOWN]])
    for remark in (*_list_methods(found), *found.remarks):
        say(f"{remark}.")


def _list_methods(found: "Evaluation") -> "Iterator[str]":
    """How the intervals were found, a sentence for each metric."""
    for each in found.variants[0].metrics:
        yield f"{each.metric}: {each.better} is better; interval: {each.interval.method}"


def _print_comparison(found: "Comparison") -> None:
    from edgekit.cli.console import print_table, say

    sides = [(word, side.name, side.variant, side.manifest_digest) for word, side in (("first", found.first), ("second", found.second))]
    print_table(("", "bundle", "variant", "manifest"), sides)
    for each in found.metrics:
        bounds = _format_interval(each.difference.interval, signed=True)
        row = (each.metric, f"{each.before:.4f}", f"{each.after:.4f}", f"{each.difference.value:+.4f}", bounds, str(each.n))
        print_table(("metric", "first", "second", "difference", "95 % interval", "n"), [row])
        click.echo(f"{each.verdict[:1].upper()}{each.verdict[1:]}.")
        _print_flips(each)
    if found.left_out:
        say(f"{found.left_out} samples could not be used by both.")
    for remark in found.remarks:
        say(f"{remark}.")


def _print_flips(compared: "Compared") -> None:
    from edgekit.cli.console import print_table, say

    rows = [
        (one.key, one.truth, one.answer_before, one.answer_after, "lost" if one.change < 0 else "won", f"{one.change:+.2f}")
        for one in compared.flips[:_SHOWN]
    ]
    if rows:
        print_table(("sample", "truth", "first answered", "second answered", "", "change"), rows)
    if len(compared.flips) > _SHOWN:
        say(f"{len(compared.flips) - _SHOWN} more samples are in what --json prints.")


def _write_flips(found: "Comparison", contract: "Processing | None", request: "EvaluationRequest", path: Path) -> None:
    """Show the samples that changed by the first metric that tells them."""
    from edgekit.cli.console import say
    from edgekit.datasets.registry import open_dataset
    from edgekit.flips import write_flips

    flips = next((each.flips for each in found.metrics if each.lost is not None), ())
    if flips:
        write_flips(open_dataset(request.data, kind=request.kind, contract=contract), flips, path)
    say(f"{path} shows what changed: {len(flips)} of {found.metrics[0].n}." if flips else f"No sample changed, so there is no {path}.")


def _format_interval(interval: "Interval", *, signed: bool = False) -> str:
    from edgekit.quantities import UNKNOWN

    if interval.bounds is None:
        return UNKNOWN
    return " to ".join(f"{bound:+.4f}" if signed else f"{bound:.4f}" for bound in interval.bounds)
