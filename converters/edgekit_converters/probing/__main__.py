"""``python -m edgekit_converters.probing``: run every operator in the runtimes that are here, and write what they did."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import click
import platformdirs

from edgekit.cli.console import progress, say
from edgekit.cli.main import run_command
from edgekit.operator_support import SupportTable
from edgekit_converters.probing.cases import Case, collect_cases
from edgekit_converters.probing.documenting import write_reference
from edgekit_converters.probing.litert_prober import PACKAGES, LiteRTProber
from edgekit_converters.probing.onnx_runtime_prober import OnnxRuntimeProber
from edgekit_converters.probing.openvino_prober import OpenVINOProber
from edgekit_converters.probing.prober import Prober
from edgekit_converters.probing.quantised_cases import quantise_cases
from edgekit_converters.probing.running import probe_trials
from edgekit_converters.probing.tables import FOLDER, read_tables, write_table
from edgekit_converters.probing.tflite_cases import collect_tflite_cases
from edgekit_converters.probing.tflite_prober import TFLiteProber
from edgekit_converters.probing.trials import Trial

T = TypeVar("T", bound=Trial)

#: The runtimes that the extra ``convert`` has; another is probed where it is named.
USUAL = ("onnxruntime", "openvino", "litert")
RUNTIMES = (*USUAL, "tflite-runtime")


@click.command()
@click.argument("runtimes", nargs=-1, type=click.Choice(RUNTIMES))
@click.option("--python", type=click.Path(path_type=Path), default=sys.executable, help="The Python that has the runtime; by default this one.")
@click.option("--operator", "operators", multiple=True, help="Only this operator, as in Conv or ai.onnx.ml.Scaler; by default all.")
@click.option("--output", type=click.Path(path_type=Path), default=FOLDER, help="The directory of the tables; by default that of the package.")
@click.option("--document", "reference", type=click.Path(path_type=Path), help="Write the page of all tables here as well.")
def probe(runtimes: tuple[str, ...], python: Path, operators: tuple[str, ...], output: Path, reference: Path | None) -> None:
    """Run one-node models of every operator in RUNTIMES, and write a table of each; by default all that convert needs.

    A whole run takes minutes for ONNX Runtime and OpenVINO and half an hour for LiteRT. One that was interrupted goes on
    where it was.

    Example: python -m edgekit_converters.probing onnxruntime --document docs/reference/operators.md
    """
    floats = collect_cases(operators or None)
    missing = set(operators) - {case.form.operator for case in floats}
    if missing:
        raise click.UsageError(f"onnx has no one-node test of {', '.join(sorted(missing))}.")
    cases = [*floats, *quantise_cases(floats)]
    output.mkdir(parents=True, exist_ok=True)
    for runtime in runtimes or USUAL:
        for table in _probe_runtime(runtime, python, cases):
            say(f"{write_table(table, output)}: {len(table.operators)} operators")
    if reference is not None:
        write_reference(read_tables(output), reference)
        say(str(reference))


def _probe_runtime(runtime: str, python: Path, cases: Sequence[Case]) -> Iterator[SupportTable]:
    """The table of each set of operators in which models get to *runtime*."""
    if runtime in PACKAGES:
        yield _probe(LiteRTProber(python, runtime), cases)
        say("taking TFLite files apart")
        yield _probe(TFLiteProber(python, runtime), collect_tflite_cases(cases))
    else:
        yield _probe(OnnxRuntimeProber(python) if runtime == "onnxruntime" else OpenVINOProber(python), cases)


def _probe(prober: Prober[T], trials: Sequence[T]) -> SupportTable:
    journal = Path(platformdirs.user_cache_dir("edgekit", appauthor=False)) / "probing"
    with progress() as show:
        return probe_trials(prober, trials, journal, functools.partial(show, f"probing {prober.runtime} ({prober.dialect})"))


if __name__ == "__main__":
    run_command(probe, program="python -m edgekit_converters.probing")
