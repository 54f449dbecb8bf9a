"""``edgekit target``: the classes of devices that variants are made for, and what is known of each."""

from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from edgekit.target_profiles import TargetProfile

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from edgekit.target_profiles import PROFILES

    return [CompletionItem(name, help=profile.summary) for name, profile in PROFILES.items() if name.startswith(incomplete)]


@click.group(short_help="List and show the classes of devices that variants are made for.")
def target() -> None:
    """List and show the classes of devices that variants are made for.

    edgekit convert --target NAME makes what loads and pays there.
    """


@target.command("list")
@_JSON
def list_all(*, as_json: bool) -> None:
    """List the targets. What is unverified has a compiler or runtime that no test of edgekit has run.

    Example: edgekit target list
    """
    from edgekit.cli.console import print_json, print_table, say
    from edgekit.hardware import describe_hardware
    from edgekit.target_profiles import PROFILES
    from edgekit.targets import find_target

    if as_json:
        print_json(list(PROFILES.values()))
        return
    print_table(("target", "arch", "memory", "accelerator", "variants", "verified", "what it is"), map(_summarize, PROFILES.values()))
    say(f"This machine is of {find_target(describe_hardware())}.")


@target.command()
@click.argument("name", shell_complete=_complete)
@_JSON
def show(name: str, *, as_json: bool) -> None:
    """Show what is known of the target NAME, and what convert --target makes for it.

    Example: edgekit target show raspberry-pi-zero-2w
    """
    from edgekit.cli.console import print_json, print_table
    from edgekit.target_profiles import find_profile

    profile = find_profile(name)
    if as_json:
        print_json(profile)
    else:
        print_table(("target", profile.name), _list_facts(profile))


def _summarize(profile: "TargetProfile") -> tuple[str, ...]:
    return (
        profile.name,
        profile.arch,
        _say_memory(profile),
        profile.accelerator or "-",
        " ".join(profile.precisions),
        _say_verified(profile),
        profile.summary,
    )


def _list_facts(profile: "TargetProfile") -> list[tuple[str, str]]:
    facts = [
        ("what it is", profile.summary),
        ("arch", profile.arch),
        ("CPU features", " ".join(profile.cpu_features) or "-"),
        ("memory", _say_memory(profile)),
        ("accelerator", profile.accelerator or "none"),
        *((f"made for it: {name}", ", ".join(precisions)) for name, precisions in profile.precisions.items()),
        ("runtimes", ", ".join(f"{name} {versions}" for name, versions in profile.runtimes.items()) or "-"),
        ("newest ONNX", f"opset {profile.opset}, IR version {profile.ir_version}"),
        ("shapes", "all fixed, the batch too" if profile.fixed_shapes else "any"),
        ("borders", "int8" if profile.integer_borders else "the source model's"),
        ("verified", _say_verified(profile)),
    ]
    return [*facts, ("note", profile.note)] if profile.note else facts


def _say_memory(profile: "TargetProfile") -> str:
    from edgekit.quantities import format_mb

    return "differs" if profile.memory_mb is None else f"from {format_mb(profile.memory_mb)}"


def _say_verified(profile: "TargetProfile") -> str:
    return "yes" if profile.verified else "unverified"
