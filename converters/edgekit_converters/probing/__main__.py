"""``python -m edgekit_converters.probing``: run every operator in the runtimes that are here, and write what they did."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import click
import platformdirs

from edgekit.cli.console import progress, say
from edgekit.cli.main import run_command
from edgekit_converters.probing.cases import collect_cases
from edgekit_converters.probing.documenting import write_reference
from edgekit_converters.probing.litert_prober import LiteRTProber
from edgekit_converters.probing.onnx_runtime_prober import OnnxRuntimeProber
from edgekit_converters.probing.openvino_prober import OpenVINOProber
from edgekit_converters.probing.quantised_cases import quantise_cases
from edgekit_converters.probing.running import probe_cases
from edgekit_converters.probing.tables import FOLDER, read_tables, write_table

PROBERS = {prober.runtime: prober for prober in (OnnxRuntimeProber, OpenVINOProber, LiteRTProber)}


@click.command()
@click.argument("runtimes", nargs=-1, type=click.Choice(list(PROBERS)))
@click.option("--python", type=click.Path(path_type=Path), default=sys.executable, help="The Python that has the runtime; by default this one.")
@click.option("--operator", "operators", multiple=True, help="Only this operator, as in Conv or ai.onnx.ml.Scaler; by default all.")
@click.option("--output", type=click.Path(path_type=Path), default=FOLDER, help="The directory of the tables; by default that of the package.")
@click.option("--reference", type=click.Path(path_type=Path), help="Write the page of all tables here as well.")
def probe(runtimes: tuple[str, ...], python: Path, operators: tuple[str, ...], output: Path, reference: Path | None) -> None:
    """Run one-node models of every operator in RUNTIMES, by default in all, and write a table of each.

    A whole run takes minutes for ONNX Runtime and OpenVINO and half an hour for LiteRT. One that was interrupted goes on where it was.

    Example: python -m edgekit_converters.probing onnxruntime --reference docs/reference/operators.md
    """
    floats = collect_cases(operators or None)
    cases = [*floats, *quantise_cases(floats)]
    journal = Path(platformdirs.user_cache_dir("edgekit", appauthor=False)) / "probing"
    output.mkdir(parents=True, exist_ok=True)
    for name in runtimes or PROBERS:
        with progress() as show:
            table = probe_cases(PROBERS[name](python), cases, journal, functools.partial(show, f"probing {name}"))
        say(f"{write_table(table, output)}: {len(table.operators)} operators")
    if reference is not None:
        write_reference(read_tables(output), reference)
        say(str(reference))


if __name__ == "__main__":
    run_command(probe, program="python -m edgekit_converters.probing")
