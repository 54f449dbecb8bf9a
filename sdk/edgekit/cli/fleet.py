"""``edgekit fleet``: make a fleet, run its server, and see that nothing it was told got lost."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.server_option import reaching_fleet, server_option

if TYPE_CHECKING:
    import asyncio

    from edgekit.fleet.client import FleetClient
    from edgekit.fleet.settings import Running
    from edgekit.fleet.views import AuditView

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_MISSING = 1
_AUDIT_PAUSE_S = 0.5


@click.group(short_help="Make a fleet, run its server, and audit it.")
def fleet() -> None:
    """Make a fleet, run its server, and see that nothing it was told got lost.

    A fleet is a directory on the server: its settings, its director's key, and everything that its devices have reported.
    """


@fleet.command(short_help="Make a fleet and its director.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--releases", type=click.Path(path_type=Path), required=True, help="The release repository; a new or empty directory becomes one.")
@click.option("--keys", type=click.Path(path_type=Path, file_okay=False), help="The keys of the repository. By default EDGEKIT_KEYS, else your own.")
@click.option("--shards", type=click.IntRange(1, 1024), default=16, show_default=True, help="Parts of the fleet that servers share; fixed for ever.")
@click.option("--replace-director", is_flag=True, help="Take the place of another fleet's director in the repository.")
@_JSON
def init(directory: Path, releases: Path, keys: Path | None, shards: int, *, replace_director: bool, as_json: bool) -> None:
    """Make a fleet in DIR: its settings and its director's key, which is signed into the release repository.

    Devices obey whom the repository names, so this needs the repository's keys, once.

    Example: edgekit fleet init my-fleet --releases releases
    """
    from datetime import datetime, timezone

    from edgekit.cli.console import print_json, say
    from edgekit.fleet.founding import found_fleet
    from edgekit.fleet.settings import FleetDirectory, FleetSettings
    from edgekit.signing import find_default_keys

    place, settings = FleetDirectory(root=directory), FleetSettings(releases=str(releases.absolute()), shards=shards)
    done = found_fleet(place, settings, keys or find_default_keys(), datetime.now(timezone.utc), replacing=replace_director)
    if as_json:
        print_json({"directory": str(directory), "releases": settings.releases, "shards": shards, "root": done.root, "expires": done.expires})
        return
    click.echo(f"{directory} is a fleet. Its devices trust the releases in {releases}, and obey its director.\nroot      {done.root}")
    say(f"Next: edgekit fleet up {directory}")


@fleet.command(short_help="Run a fleet's server.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--http", metavar="HOST:PORT", help="Where to listen for people and agents; port 0 takes any free one. By default what fleet.toml says."
)
@click.option("--mqtt", metavar="HOST:PORT", help="Where the broker listens; port 0 takes any free one. By default as in fleet.toml.")
@click.option("--broker", metavar="URL", help="An MQTT broker that you run, instead of our own: mqtt://host:1883.")
@_JSON
def up(directory: Path, http: str | None, mqtt: str | None, broker: str | None, *, as_json: bool) -> None:
    """Run the fleet in DIR until a signal says to stop: broker, store, API, dashboard, and the releases over HTTP.

    Example: edgekit fleet up my-fleet
    """
    import asyncio

    from edgekit.addresses import parse_broker, parse_endpoint
    from edgekit.fleet.server import FleetServer
    from edgekit.fleet.settings import FleetDirectory, read_settings

    place = FleetDirectory(root=directory)
    settings = read_settings(place)
    settings = settings.change(
        http=parse_endpoint(http, "--http") if http else None,
        mqtt=parse_endpoint(mqtt, "--mqtt") if mqtt else None,
        broker=broker if broker and parse_broker(broker, "--broker") else None,
    )

    async def run() -> None:
        with _stopping_on_signals() as stop:
            await FleetServer(place, settings).run(stop, lambda running: _announce(running, as_json=as_json))

    with _logging():
        asyncio.run(run())


@fleet.command(short_help="Show how the server is.")
@server_option
@_JSON
def status(server: str, *, as_json: bool) -> None:
    """Show how the server and its fleet are.

    Example: edgekit fleet status
    """
    from edgekit.cli.console import print_json, print_table

    with reaching_fleet(server) as client:
        health = client.read_health()
    if as_json:
        print_json(health)
        return
    up_s = (health.now_ms - health.started_ms) // 1000
    rows = [
        ("edgekit", health.version),
        ("up for", f"{up_s // 3600} h {up_s // 60 % 60} min {up_s % 60} s"),
        ("broker", f"{health.mqtt}, {'answers' if health.broker_up else 'does not answer'}"),
        ("shards", str(health.shards)),
        ("devices", f"{health.devices}, {health.online} of them connected"),
        ("open rollouts", str(health.open_rollouts)),
    ]
    print_table(("server", server), rows)


@fleet.command(short_help="Prove that no record got lost.")
@click.option("--device", default="", help="Only the records of this device.")
@click.option("--wait", type=click.FloatRange(0, 3600), default=0.0, metavar="SECONDS", help="How long to wait for what is still on its way.")
@server_option
@_JSON
def audit(device: str, wait: float, server: str, *, as_json: bool) -> None:
    """Prove that every record that a device made is stored, or known to be lost.

    Exits with 0 when it is so for all, and with 1 while something is missing: it may be on its way, so give --wait.

    Example: edgekit fleet audit --wait 60
    """
    from edgekit.cli.console import print_json

    with reaching_fleet(server) as client:
        lines = _wait_until_settled(client, device, wait)
    missing = sum(line.missing for line in lines)
    if as_json:
        totals = {name: sum(getattr(line, name) for line in lines) for name in ("made", "stored", "pruned", "lost", "missing")}
        print_json({**totals, "settled": missing == 0, "streams": lines})
    else:
        _print_audit(lines, missing)
    if missing:
        click.get_current_context().exit(_MISSING)


def _wait_until_settled(client: "FleetClient", device: str, seconds: float) -> "list[AuditView]":
    import time

    deadline = time.monotonic() + seconds
    lines = client.audit(device)
    while any(line.missing for line in lines) and time.monotonic() < deadline:
        time.sleep(_AUDIT_PAUSE_S)
        lines = client.audit(device)
    return lines


def _print_audit(lines: "list[AuditView]", missing: int) -> None:
    from edgekit.cli.console import print_table

    print_table(
        ("device", "epoch", "made", "stored", "past retention", "known lost", "missing"),
        [(one.device, one.epoch, *map(str, (one.made, one.stored, one.pruned, one.lost, one.missing))) for one in lines],
    )
    made, stored, pruned, lost = (sum(getattr(line, name) for line in lines) for name in ("made", "stored", "pruned", "lost"))
    if missing:
        click.echo(f"{missing} of {made} records are neither stored nor known to be lost: they are on their way, or wait in an outbox.")
    else:
        click.echo(f"{made} records made = {stored} stored + {lost} known to be lost.")
    if pruned:
        click.echo(f"Of the {stored} stored, {pruned} are past retention: they were removed, as [store] in fleet.toml says.")


def _announce(running: "Running", *, as_json: bool) -> None:
    """Say where the fleet is reached: on stderr for people, and as one line of JSON for programs."""
    from edgekit.cli.console import say

    say(f"The fleet is up: {running.http}, broker {running.mqtt}, releases {running.releases}. Stop it with Ctrl-C.")
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(running))


@contextmanager
def _stopping_on_signals() -> "Iterator[asyncio.Event]":
    """An event that SIGTERM and SIGINT set while the block runs in an event loop."""
    import asyncio
    import signal

    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@contextmanager
def _logging() -> Iterator[None]:
    """The log, on stderr, while the block runs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("edgekit")
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
