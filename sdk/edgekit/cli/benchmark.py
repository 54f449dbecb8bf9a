"""``edgekit benchmark``: how long a bundle's variants take on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgekit.benchmark import Benchmark
    from edgekit.manifest import Measurement, Variant

#: The source's own format at full precision, against which the variants are held where it is there.
REFERENCE = "onnx-fp32"


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--variant", "variants", multiple=True, metavar="ID", help="Measure this variant only; may be repeated.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Threads that a runtime may use.")
@click.option("--rounds", type=click.IntRange(min=1), default=7, show_default=True, help="Interleaved rounds that are timed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def benchmark(bundle: Path, variants: tuple[str, ...], *, threads: int, rounds: int, as_json: bool) -> None:
    """Measure the variants of BUNDLE on this machine: latency at batch 1, and memory.

    Each variant runs in a process of its own, one at a time, in rounds whose order changes.

    Example: edgekit benchmark digits-bundle --variant tflite-int8 --variant onnx-fp32
    """
    from edgekit.benchmark import benchmark_bundle
    from edgekit.bundles import open_bundle
    from edgekit.cli.console import print_json, progress

    opened = open_bundle(bundle)
    with progress() as show:
        result = benchmark_bundle(
            opened,
            variants=variants or None,
            threads=threads,
            rounds=rounds,
            progress=lambda done, total: show("timing the variants", done, total),
        )
    if as_json:
        measured = [{"id": variant.id, "size": variant.size, "measured": measurement} for variant, measurement in result.measured]
        print_json({"variants": measured, "skipped": result.skipped})
    else:
        _print_benchmark(result)
    _check_measured(bundle, result)


def _check_measured(bundle: Path, result: "Benchmark") -> None:
    from edgekit.errors import DeviceError

    if not result.measured:
        raise DeviceError(bundle, "no variant could be measured here", "Run edgekit doctor to see which runtimes are missing.")


def _print_benchmark(result: "Benchmark") -> None:
    from edgekit.cli.console import print_table

    if result.measured:
        first = result.measured[0][1]
        click.echo(f"{first.machine} ({first.target}), threads: {first.threads}, rounds: {first.latency_ms.rounds}")
        columns = ("variant", "p50", "spread", "p95", "memory", "size", "to the fastest", f"to {REFERENCE}", "runtime")
        print_table(columns, list_rows(result.measured))
    if result.skipped:
        print_table(("skipped", "reason"), [(one.id, one.reason) for one in result.skipped])


def list_rows(measured: "tuple[tuple[Variant, Measurement], ...]") -> list[tuple[str, ...]]:
    """A row for each variant, the fastest first. Ratios say how many times as long a variant takes as the one it is held against."""
    from edgekit.quantities import format_bytes, format_mb, format_ms, format_ratio

    ordered = sorted(measured, key=lambda pair: pair[1].latency_ms.p50)
    fastest = ordered[0][1].latency_ms.p50
    reference = next((one.latency_ms.p50 for variant, one in ordered if variant.id == REFERENCE), None)
    return [
        (
            variant.id,
            format_ms(one.latency_ms.p50),
            format_ms(one.latency_ms.spread),
            format_ms(one.latency_ms.p95),
            format_mb(one.rss_mb),
            format_bytes(variant.size),
            format_ratio(one.latency_ms.p50 / fastest) if fastest else "-",
            format_ratio(one.latency_ms.p50 / reference) if reference else "-",
            f"{one.runtime} {one.runtime_version}",
        )
        for variant, one in ordered
    ]
