"""``edgekit preflight``: operator by operator, what runs natively, what falls back and what is refused."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.source_options import source_options

if TYPE_CHECKING:
    from edgekit.conversion import SourceOptions
    from edgekit.operator_support import Judgement
    from edgekit.preflight import OperatorRow, Preflight, RuntimeReport


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--target", metavar="TARGET", help="A class of devices: its runtimes in their oldest and newest versions, with its newest opset.")
@click.option("--runtime", "runtimes", multiple=True, metavar="RUNTIME", help="Only this runtime, as in litert. May be repeated.")
@source_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def preflight(model: Path, target: str | None, runtimes: tuple[str, ...], options: "SourceOptions", *, as_json: bool) -> None:
    """Show what each runtime does with each operator of MODEL, before anything is made of it.

    An operator is native where the runtime's own kernel runs it, fallback where something slower does, refused where nothing
    does, and unknown where it was not probed. Behind the stroke stands what becomes of it in int8. What is known was found
    by running one-node models; docs/reference/operators.md has all of it. The exit code is 2 where the target or a runtime
    that was asked for refuses the model, or every runtime does.

    Example: edgekit preflight detector.onnx --target raspberry-pi-5
    """
    from edgekit.cli.console import print_json
    from edgekit.preflight import check_model

    found = check_model(model, options, runtimes, target)
    if as_json:
        print_json(found)
    else:
        _print_preflight(found)
    _check(found, runtimes)


def _check(found: "Preflight", runtimes: tuple[str, ...]) -> None:
    """Refuse what cannot go where it was asked to go."""
    from edgekit.errors import ConversionError

    refusing = [report for report in found.runtimes if report.state == "refused"]
    asked = [report for report in refusing if report.runtime in runtimes]
    if asked or not found.holding:
        told = "; ".join(f"{report.name} refuses {_name_refused(report)}" for report in asked or refusing) or "no runtime is known for it"
        where = ", ".join(runtimes) or found.target or "any runtime"
        raise ConversionError(found.path, f"it cannot run in {where}: {told}", "Replace what is refused, or choose another runtime or target.")


def _name_refused(report: "RuntimeReport") -> str:
    names = dict.fromkeys(row.form.operator for row in report.operators if row.judgement.state == "refused")
    return ", ".join(names) or report.reason


def _print_preflight(found: "Preflight") -> None:
    from edgekit.cli.console import print_table, say

    for dialect in dict.fromkeys(report.dialect for report in found.runtimes):
        reports = [report for report in found.runtimes if report.dialect == dialect and report.operators]
        if reports:
            heads = (f"{dialect} operator", "version", "type", "constants", "count", *(report.name for report in reports))
            print_table(heads, [_describe_row(rows) for rows in zip(*(report.operators for report in reports), strict=True)])
    _print_reasons(found.runtimes)
    print_table(("runtime", "goes in as", "operators", "so"), [_summarise(report) for report in found.runtimes])
    for report in found.runtimes:
        if report.probed and report.version and not report.probed.startswith(report.version):
            say(f"{report.runtime} {report.version} was not probed itself: the nearest version below it is {report.probed}.")


def _describe_row(rows: "tuple[OperatorRow, ...]") -> tuple[str, ...]:
    form = rows[0].form
    return (form.operator, str(form.since), form.dtype, form.constants, str(rows[0].count), *(_describe_cell(row) for row in rows))


def _describe_cell(row: "OperatorRow") -> str:
    return row.judgement.state if row.int8 is None else f"{row.judgement.state} / {row.int8.state}"


def _print_reasons(reports: "Iterable[RuntimeReport]") -> None:
    for report in (one for one in reports if one.probed):
        judged = [(row.form.operator, judgement, which) for row in report.operators for judgement, which in _list_judgements(row)]
        told = dict.fromkeys((name, which, one.state, one.reason) for name, one, which in judged if one.reason)
        for name, which, state, reason in told:
            click.echo(f"{report.name}: {name}{which} is {state}: {reason}.")
    click.echo()


def _list_judgements(row: "OperatorRow") -> "list[tuple[Judgement, str]]":
    return [(row.judgement, "")] if row.int8 is None else [(row.judgement, ""), (row.int8, " in int8")]


def _summarise(report: "RuntimeReport") -> tuple[str, ...]:
    counts = ", ".join(f"{count} {state}" for state, count in report.counts.items()) or "-"
    verdicts = {
        "native": "runs it all natively",
        "fallback": "runs it, in part by something slower",
        "refused": "cannot hold it",
        "unknown": "not known for all of it",
    }
    return (report.name, report.dialect, counts, report.reason or verdicts[report.state])
