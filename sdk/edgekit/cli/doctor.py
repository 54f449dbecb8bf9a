"""``edgekit doctor``: what is here, what is missing for which format, and the command that mends it."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgekit.diagnosis import Diagnosis


@click.command()
@click.option("--fix", is_flag=True, help="Make the managed environments that are missing. Nothing else is installed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(*, fix: bool, as_json: bool) -> None:
    """Show what this machine has for each format, what it lacks, and the command that mends it.

    The exit code is 0 when at least one format can be run here.

    Example: edgekit doctor --fix
    """
    from edgekit.cli.console import print_json
    from edgekit.diagnosis import diagnose
    from edgekit.errors import DeviceError

    if fix:
        _make_environments()
    diagnosis = diagnose()
    if as_json:
        print_json(diagnosis)
    else:
        _print_diagnosis(diagnosis)
    if not diagnosis.runnable:
        raise DeviceError("this machine", "it can run no format", "Install a runtime: pip install 'edgekit[onnx]'.")


def _make_environments() -> None:
    from edgekit.cli.console import say
    from edgekit.environments import ensure_environment, find_environments

    for environment in find_environments().values():
        if environment.is_ready:
            say(f"environment {environment.name}: ready")
        else:
            python = ensure_environment(environment, say=say)
            say(f"environment {environment.name}: made, {python}")


def _print_diagnosis(diagnosis: "Diagnosis") -> None:
    from edgekit.cli.console import print_table

    print_table(("this machine", ""), _list_facts(diagnosis))
    print_table(("format", "runs with"), [(state.format, _join(state.runtimes)) for state in diagnosis.formats])
    made = [(state.name, state.format, ", ".join(state.precisions) or "-") for state in diagnosis.targets]
    print_table(("--to", "makes", "in the precisions"), made)
    if diagnosis.environments:
        places = [(one.name, "ready" if one.is_ready else "not made yet", f"{one.size_mb} MB", one.path) for one in diagnosis.environments]
        print_table(("environment", "state", "size", "place"), places)
    for problem in diagnosis.problems:
        click.echo(f"{problem.subject}: {problem.text}")
    if not diagnosis.problems:
        click.echo("Nothing is missing.")


def _list_facts(diagnosis: "Diagnosis") -> list[tuple[str, str]]:
    from edgekit.quantities import UNKNOWN, format_bytes, format_mb

    hardware = diagnosis.hardware
    accelerators = ", ".join(f"{one.kind} {one.model}" for one in hardware.accelerators)
    return [
        ("target", diagnosis.target),
        ("machine", hardware.machine),
        ("cores", UNKNOWN if hardware.cores is None else str(hardware.cores)),
        ("memory", format_mb(hardware.memory_mb)),
        ("free disk", format_bytes(diagnosis.free_bytes)),
        ("CPU features", " ".join(hardware.cpu_features) or UNKNOWN),
        ("accelerators", accelerators or "none found"),
        ("Python", diagnosis.python),
        ("edgekit", diagnosis.edgekit),
    ]


def _join(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items()) or "-"
