"""``edgekit rollout``: bring a release to a fleet step by step, watch it, and stop it or take it back."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgekit.cli.server_option import reaching_fleet, server_option

if TYPE_CHECKING:
    from edgekit.fleet.client import FleetClient
    from edgekit.fleet.views import Act, RolloutPlan, RolloutRequest, RolloutView

F = TypeVar("F", bound=Callable[..., Any])

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_ID = click.argument("rollout_id", metavar="ROLLOUT")


def _parse_share(_context: click.Context, _parameter: click.Parameter, text: str) -> float:
    """``5%`` or ``0.05``."""
    try:
        share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise click.BadParameter(f"{text!r} is no share. Write it as 5% or 0.05.")
    return share


_REQUEST = (
    click.argument("release", metavar="NAME@VERSION"),
    click.option("--phases", help="Numbers of devices, percentages, or canary (one of each class): 1,10%,100%. By default canary,5%,25%,100%."),
    click.option("--select", default="", metavar="SELECTION", help="Which devices: class=raspberry-pi-4,site=roof. By default every device."),
    click.option("--error-threshold", callback=_parse_share, default="5%", show_default=True, help="The most on which it may go wrong."),
    click.option("--min-requests", type=click.IntRange(0, 10_000_000), help="Requests that a trial must have seen.  [default: 100]"),
    click.option("--min-s", type=click.FloatRange(0, 31_536_000), help="Seconds that a trial lasts at least.  [default: 60]"),
    click.option("--max-s", type=click.FloatRange(0, 31_536_000), help="Seconds after which it ends, proven or not.  [default: 3600]"),
    click.option("--max-error-rate", callback=_parse_share, default="1%", show_default=True, help="The share of requests that may fail on trial."),
)


def _request_options(function: F) -> F:
    for option in reversed(_REQUEST):
        function = option(function)
    return function


@click.group(short_help="Bring a release to a fleet, and watch, stop or take it back.")
def rollout() -> None:
    """Bring a release to a fleet step by step, watch it, and stop it or take it back.

    Each phase begins when the one before it has done well on the devices. When too much goes wrong the rollout aborts by
    itself, and the devices go back to what they had.
    """


@rollout.command(short_help="Show which devices would get a release, and when.")
@_request_options
@server_option
@_JSON
def plan(*, server: str, as_json: bool, **asked: Any) -> None:
    """Show which devices would get a release, and when; nothing is changed.

    Example: edgekit rollout plan digits@1.1.0 --phases 1,100%
    """
    from edgekit.cli.console import print_json

    request = _make_request(**asked)
    with reaching_fleet(server) as client:
        planned = client.plan_rollout(request)
    if as_json:
        print_json(planned)
    else:
        _print_plan(planned)


@rollout.command(short_help="Start a rollout.")
@_request_options
@click.option("--yes", is_flag=True, help="Do not ask whether every device is meant.")
@click.option("--watch", "watching", is_flag=True, help="Watch it until it has ended.")
@server_option
@_JSON
def start(*, yes: bool, watching: bool, server: str, as_json: bool, **asked: Any) -> None:
    """Start a rollout. Without --select it goes to every device, and asks first.

    Example: edgekit rollout start digits@1.1.0 --phases 1,100% --watch
    """
    from edgekit.cli.console import say

    request = _make_request(**asked)
    with reaching_fleet(server) as client:
        if not request.select and not yes:
            _confirm_everybody(client.plan_rollout(request))
        begun = client.start_rollout(request)
        if watching:
            say(f"Rollout {begun.rollout.id} has begun.")
            _watch(client, begun.rollout.id, as_json=as_json)
            return
    _print_view(begun, as_json=as_json)
    say(f"Next: edgekit rollout watch {begun.rollout.id}")


@rollout.command(short_help="Show a rollout and its devices, or list all rollouts.")
@click.argument("rollout_id", metavar="[ROLLOUT]", required=False)
@server_option
@_JSON
def status(rollout_id: str | None, server: str, *, as_json: bool) -> None:
    """Show a rollout and how its devices stand with it, or without ROLLOUT list them all.

    Example: edgekit rollout status
    """
    with reaching_fleet(server) as client:
        if rollout_id is None:
            _print_list(client, as_json=as_json)
        else:
            _print_view(client.find_rollout(rollout_id), as_json=as_json)


@rollout.command(short_help="Watch a rollout until it has ended.")
@_ID
@server_option
@_JSON
def watch(rollout_id: str, server: str, *, as_json: bool) -> None:
    """Watch a rollout until it has ended: exits with 0 when it is finished, and with 3 when it was aborted or taken back.

    Example: edgekit rollout watch digits-1-1-0-3f9a2c
    """
    with reaching_fleet(server) as client:
        _watch(client, rollout_id, as_json=as_json)


@rollout.command(short_help="Give the release to no further device for now.")
@_ID
@server_option
@_JSON
def pause(rollout_id: str, server: str, *, as_json: bool) -> None:
    """Give the release to no further device until the rollout is resumed.

    Example: edgekit rollout pause digits-1-1-0-3f9a2c
    """
    _control(rollout_id, "pause", server, as_json=as_json)


@rollout.command(short_help="Go on with a paused rollout.")
@_ID
@server_option
@_JSON
def resume(rollout_id: str, server: str, *, as_json: bool) -> None:
    """Go on with a paused rollout.

    Example: edgekit rollout resume digits-1-1-0-3f9a2c
    """
    _control(rollout_id, "resume", server, as_json=as_json)


@rollout.command(short_help="Stop a rollout and take the release back.")
@_ID
@server_option
@_JSON
def abort(rollout_id: str, server: str, *, as_json: bool) -> None:
    """Stop a rollout, and take the release back from all that were given it.

    Example: edgekit rollout abort digits-1-1-0-3f9a2c
    """
    _control(rollout_id, "abort", server, as_json=as_json)


@rollout.command(short_help="Take a release back, also a finished one.")
@_ID
@server_option
@_JSON
def rollback(rollout_id: str, server: str, *, as_json: bool) -> None:
    """Take the release back from all that were given it, also after the rollout has finished.

    Example: edgekit rollout rollback digits-1-1-0-3f9a2c
    """
    _control(rollout_id, "rollback", server, as_json=as_json)


@rollout.command(short_help="Say why a device is where it is.")
@click.argument("device")
@server_option
@_JSON
def explain(device: str, server: str, *, as_json: bool) -> None:
    """Say why a device is where it is: one sentence for each model.

    Example: edgekit rollout explain roof-1
    """
    from edgekit.cli.console import print_json

    with reaching_fleet(server) as client:
        found = client.explain_device(device)
    if as_json:
        print_json(found)
    else:
        click.echo("\n".join(found.sentences))


def _make_request(**asked: Any) -> "RolloutRequest":
    from edgekit.deployment import TrialTerms
    from edgekit.fleet.views import RolloutRequest
    from edgekit.rollout import DEFAULT_PHASES, parse_phases

    terms = {name: asked[name] for name in ("min_requests", "min_s", "max_s", "max_error_rate") if asked[name] is not None}
    try:
        trial = TrialTerms(**terms)
    except ValueError as error:
        raise click.UsageError(f"--min-s and --max-s: {error}; --max-s is {TrialTerms().max_s:g} by default") from error
    phases = parse_phases(asked["phases"]) if asked["phases"] else DEFAULT_PHASES
    return RolloutRequest(release=asked["release"], select=asked["select"], phases=phases, error_threshold=asked["error_threshold"], trial=trial)


def _confirm_everybody(planned: "RolloutPlan") -> None:
    count = sum(len(phase.devices) for phase in planned.phases) + len(planned.absent)
    question = f"{planned.release} goes to every device of the fleet, {count} in all"
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question}. Say --yes if that is meant, or choose some: --select class=raspberry-pi-4")
    click.confirm(f"{question}. Start?", abort=True, err=True)


def _control(rollout_id: str, act: "Act", server: str, *, as_json: bool) -> None:
    with reaching_fleet(server) as client:
        _print_view(client.control_rollout(rollout_id, act), as_json=as_json)


def _watch(client: "FleetClient", rollout_id: str, *, as_json: bool) -> None:
    from edgekit.cli.watching import watch_rollout
    from edgekit.errors import GateRefused
    from edgekit.rollout import RolloutState

    ended = watch_rollout(client, rollout_id, as_json=as_json)
    if ended.state is not RolloutState.FINISHED:
        problem = f"it is {ended.state.value.replace('_', ' ')}: {ended.reason}"
        raise GateRefused(f"rollout {ended.id} of {ended.release}", problem, f"See edgekit rollout status {ended.id}.")


def _print_view(view: "RolloutView", *, as_json: bool) -> None:
    from edgekit.cli.console import print_json, print_table
    from edgekit.cli.watching import COLUMNS, describe_rollout, make_rows

    if as_json:
        print_json(view)
        return
    print_table(COLUMNS, make_rows(view))
    click.echo(describe_rollout(view.rollout))


def _print_list(client: "FleetClient", *, as_json: bool) -> None:
    from edgekit.cli.console import print_json, print_table

    found = client.list_rollouts()
    if as_json:
        print_json(found)
        return
    rows = [(one.id, one.release, one.select or "every device", one.state.value.replace("_", " "), one.reason) for one in found]
    print_table(("rollout", "release", "devices", "state", "reason"), rows)
    if not found:
        click.echo("There was no rollout yet. Start one: edgekit rollout start NAME@VERSION")


def _print_plan(planned: "RolloutPlan") -> None:
    from edgekit.cli.console import print_table
    from edgekit.quantities import format_bytes

    rows = [(str(index), one.phase, str(len(one.devices)), _name_some(one.devices)) for index, one in enumerate(planned.phases, 1)]
    print_table(("phase", "reaches", "adds", "devices"), rows)
    print_table(("variant", "download"), [(name, format_bytes(length)) for name, length in planned.downloads.items()])
    if planned.absent:
        click.echo(f"Absent for a day or longer, and given it when they return: {_name_some(planned.absent)}.")
    for other in planned.conflicts:
        click.echo(f"Rollout {other} is on its way to some of them: it must end, or be aborted, first.")


def _name_some(devices: tuple[str, ...]) -> str:
    return ", ".join(devices[:8]) + (f" and {len(devices) - 8} more" if len(devices) > 8 else "") or "-"
