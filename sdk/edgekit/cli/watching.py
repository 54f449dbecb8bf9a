"""Watching a rollout: a table that lives on a terminal, and elsewhere a line for each thing that happens."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.console import say
from edgekit.errors import TransferError

if TYPE_CHECKING:
    from edgekit.fleet.client import FleetClient
    from edgekit.fleet.views import RolloutView
    from edgekit.rollout import Rollout

COLUMNS = ("device", "class", "state", "reason")
_PAUSE_S = 0.5
#: How long the server may be away before watching ends.
_PATIENCE_S = 60.0

Show = Callable[["RolloutView"], None]


def watch_rollout(client: "FleetClient", rollout_id: str, *, as_json: bool) -> "Rollout":
    """Show how *rollout_id* goes until it has ended; the rollout as it is then.

    A server that is away for less than a minute is waited for.
    """
    with _choose_display(as_json=as_json) as show:
        while True:
            view = _read_patiently(client, rollout_id)
            show(view)
            if not view.rollout.is_open:
                return view.rollout
            time.sleep(_PAUSE_S)


def _read_patiently(client: "FleetClient", rollout_id: str) -> "RolloutView":
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return client.find_rollout(rollout_id)
        except TransferError as error:
            if time.monotonic() > deadline:
                raise
            say(f"{error} Trying again.")
        time.sleep(4 * _PAUSE_S)


def describe_rollout(rollout: "Rollout") -> str:
    """One line: the rollout, its release, where it stands, and why."""
    state = rollout.state.value.replace("_", " ")
    return f"{rollout.id} ({rollout.release}): {state}" + (f", {rollout.reason}" if rollout.reason else "")


def make_rows(view: "RolloutView") -> list[tuple[str, ...]]:
    """A row for each device, as COLUMNS names them."""
    return [(one.device, one.device_class, _say_state(one.state), one.reason or "-") for one in view.standings]


def _say_state(state: Any) -> str:
    return "-" if state is None else str(state.value).replace("_", " ")


def _choose_display(*, as_json: bool) -> AbstractContextManager[Show]:
    if as_json:
        return _json_lines()
    return _live_table() if sys.stdout.isatty() else _plain_lines()


@contextmanager
def _json_lines() -> Iterator[Show]:
    """A line with the whole view whenever anything in it has changed."""
    import msgspec

    last: list[bytes] = [b""]

    def show(view: "RolloutView") -> None:
        line = msgspec.json.encode(view)
        if line != last[0]:
            click.echo(line)
            last[0] = line

    yield show


@contextmanager
def _plain_lines() -> Iterator[Show]:
    """A line for each new state, of the rollout and of each device."""
    known: dict[str, str] = {}

    def show(view: "RolloutView") -> None:
        lines = {one.device: f"{one.device}: {_say_state(one.state)}" for one in view.standings if one.state is not None}
        reasons = {one.device: one.reason for one in view.standings}
        for name, line in (lines | {"": describe_rollout(view.rollout)}).items():
            if known.get(name) != line:
                known[name] = line
                click.echo(f"{line} ({reasons[name]})" if reasons.get(name) else line)

    yield show


@contextmanager
def _live_table() -> Iterator[Show]:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    def draw(view: "RolloutView") -> Group:
        table = Table(box=None, pad_edge=False)
        for column in COLUMNS:
            table.add_column(column)
        for row in make_rows(view):
            table.add_row(*map(Text, row))
        return Group(Text(describe_rollout(view.rollout)), table)

    with Live(console=Console(), auto_refresh=False) as live:
        yield lambda view: live.update(draw(view), refresh=True)
