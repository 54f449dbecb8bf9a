"""``edgekit-agent``, which is also ``edgekit agent``: serve a bundle, install a release, run for years.

Nothing but click is imported at the top, since these commands are listed by ``edgekit --help`` too.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgekit.deployment import Deployment
    from edgekit_agent.agent import Agent, Announce
    from edgekit_agent.config import Address, AgentConfig
    from edgekit_agent.fleet_agent import FleetAgent
    from edgekit_agent.installing import Installation, Installer, Order, Source
    from edgekit_agent.inventory import Machine
    from edgekit_agent.serving import ModelInfo
    from edgekit_agent.slots import Installed, ModelSlots, SlotStore

_PATH = click.Path(path_type=Path)
_STATE_HELP = (
    "Where installed releases are kept. By default what agent.toml says, else $EDGEKIT_STATE, "
    "else /var/lib/edgekit for root and ~/.local/state/edgekit for others."
)
_state = click.option("--state", type=_PATH, help=_STATE_HELP)
_config = click.option("--config", "config_path", type=_PATH, help="The agent's configuration, agent.toml.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="edgekit", message="%(prog)s %(version)s")
def agent() -> None:
    """Serves models on this device, and installs releases."""


@agent.command(epilog="Example: edgekit-agent serve digits.bundle --http 127.0.0.1:8080")
@click.argument("bundles", nargs=-1, required=True, type=_PATH, metavar="BUNDLE...")
@click.option("--http", default="127.0.0.1:8080", show_default=True, metavar="HOST:PORT", help="Where to listen; port 0 takes any free one.")
@click.option("--variant", metavar="ID", help="Serve this variant and no other.")
@click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="Threads for one inference.")
@_json
def serve(*, bundles: tuple[Path, ...], http: str, variant: str | None, threads: int, as_json: bool) -> None:
    """Serve bundles from the disk, with no fleet and no releases.

    Each is verified, its best variant for this device is proven with the golden samples, and served until a signal
    says to stop.
    """
    from edgekit_agent.agent import BundleServer
    from edgekit_agent.config import ApiSettings
    from edgekit_agent.inventory import find_machine

    with _logging(), _stop_on_signals() as stop:
        BundleServer(bundles, ApiSettings(http=http), find_machine(), variant, threads).run(stop, _announcer(as_json=as_json))


@agent.command(epilog="Example: edgekit-agent install --from releases digits@1.0.0")
@click.argument("release", metavar="NAME@VERSION")
@click.option("--from", "location", metavar="DIR-OR-URL", help="The release repository. By default what agent.toml says.")
@_state
@_config
@click.option("--trust-root", type=_PATH, metavar="FILE", help="The publisher's first root.json; a URL needs it once.")
@click.option("--variant", metavar="ID", help="Install this variant instead of the best one for this device.")
@_json
def install(  # noqa: PLR0913 - one argument for each option
    *,
    release: str,
    location: str | None,
    state: Path | None,
    config_path: Path | None,
    trust_root: Path | None,
    variant: str | None,
    as_json: bool,
) -> None:
    """Fetch, verify and prove a release, and make it the active one.

    A release that is unsigned, damaged, or betrayed by its golden samples changes nothing.
    """
    from edgekit_agent.config import find_state
    from edgekit_agent.installing import Installer, Order
    from edgekit_agent.slots import SlotStore

    config = _read_config(config_path)
    source = _find_source(config, location, trust_root)
    with _logging():
        installer = Installer(SlotStore(find_state(state, config)), _find_machine(config), source)
        installation = _install(installer, Order(release, variant or _find_variant(config, release)))
    _report_installation(installation, as_json=as_json)


@agent.command(epilog="Example: edgekit-agent run --config /etc/edgekit/agent.toml")
@click.option("--config", "config_path", type=_PATH, required=True, help="The agent's configuration, agent.toml.")
@_state
@_json
def run(*, config_path: Path, state: Path | None, as_json: bool) -> None:
    """Serve what is installed, and install what agent.toml names or what its fleet desires, until a signal says to stop."""
    from edgekit_agent.config import find_state, load_config
    from edgekit_agent.slots import SlotStore

    config = load_config(config_path)
    with _logging(), _stop_on_signals() as stop:
        _make_agent(config, SlotStore(find_state(state, config))).run(stop, _announcer(as_json=as_json))


@agent.command(epilog="Example: edgekit-agent status --json")
@_state
@_config
@_json
def status(*, state: Path | None, config_path: Path | None, as_json: bool) -> None:
    """Show what is installed, what the fleet desires and why it stands where it does, and what this device is."""
    from edgekit.cli.console import print_json
    from edgekit_agent.config import find_state
    from edgekit_agent.ledger import Ledger
    from edgekit_agent.slots import SlotStore

    config = _read_config(config_path)
    slots = SlotStore(find_state(state, config))
    models = {model: slots.read_slots(model) for model in slots.list_models()}
    deployments = {deployment.model: deployment for deployment in Ledger(slots.root).list_deployments()}
    inventory = _find_machine(config).describe()
    if as_json:
        print_json({"state": str(slots.root), "models": models, "deployments": deployments, "inventory": inventory})
        return
    runtimes = ", ".join(f"{runtime.name} {runtime.version}" for runtime in inventory.runtimes) or "none"
    machine = inventory.hardware.machine + (" (simulated)" if inventory.simulated else "")
    click.echo(f"{machine}, target {inventory.target}; runtimes: {runtimes}; state: {slots.root}")
    _print_slots(models)
    _print_deployments(deployments)


@agent.command(epilog="Example: edgekit-agent rollback digits")
@click.argument("model")
@_state
@_config
@_json
def rollback(*, model: str, state: Path | None, config_path: Path | None, as_json: bool) -> None:
    """Make the previous release of MODEL the active one again.

    A running agent swaps it in. Where agent.toml names the newer release, change that too: the agent's next start
    installs what is written there.
    """
    from edgekit.cli.console import print_json
    from edgekit_agent.config import find_state
    from edgekit_agent.slots import SlotStore

    slots = SlotStore(find_state(state, _read_config(config_path)))
    with slots.locking():
        active = slots.roll_back(model)
    if as_json:
        print_json(active)
    else:
        click.echo(f"{active.release} is active again: {active.variant}")


def _make_agent(config: AgentConfig, slots: SlotStore) -> Agent | FleetAgent:
    from edgekit_agent.device import describe_device, find_device_machine

    machine = find_device_machine(config.device)
    if config.fleet is not None:
        from edgekit_agent.fleet_agent import FleetAgent

        return FleetAgent(config, slots, machine, describe_device(config.device, machine))
    from edgekit_agent.agent import Agent

    return Agent(config, slots, machine)


def _install(installer: Installer, order: Order) -> Installation:
    from edgekit.cli.console import progress

    with progress() as show:
        return installer.install(order, lambda file, done, total: show(f"fetching {file}", done, total))


def _report_installation(installation: Installation, *, as_json: bool) -> None:
    from edgekit.cli.console import print_json

    installed = installation.installed
    if as_json:
        told = {name: getattr(installed, name) for name in installed.__struct_fields__}
        how = {"reason": installation.reason, "parity": installation.parity, "raw_proof": installation.raw_proof or None}
        print_json(told | how | {"changed": installation.changed})
        return
    done = "is installed" if installation.changed else "was installed already"
    proof = f"its answers to {installation.parity.n} golden samples are the source model's"
    raw = f"; {installation.raw_proof}" if installation.raw_proof else ""
    click.echo(f"{installed.release} {done}: {installed.variant}, {installation.reason}; {proof}{raw}")


def _read_config(path: Path | None) -> AgentConfig | None:
    from edgekit_agent.config import load_config

    return load_config(path) if path else None


def _find_machine(config: AgentConfig | None) -> Machine:
    from edgekit_agent.config import DeviceSettings
    from edgekit_agent.device import find_device_machine

    return find_device_machine(config.device if config else DeviceSettings())


def _find_source(config: AgentConfig | None, location: str | None, trust_root: Path | None) -> Source:
    """Where to install from: what the command line says, else the configuration."""
    from edgekit_agent.installing import Source

    releases = config.releases if config else None
    configured = Path(releases.trust_root) if releases and releases.trust_root else None
    place = location or (releases.location if releases else None)
    if place is None:
        raise click.UsageError("No release repository is named. Give --from DIR-OR-URL, or --config with one under [releases].")
    return Source(place, trust_root or configured)


def _find_variant(config: AgentConfig | None, release: str) -> str | None:
    models = config.models if config else ()
    return next((model.variant for model in models if model.release == release), None)


def _print_slots(models: Mapping[str, ModelSlots]) -> None:
    from edgekit.cli.console import print_table

    rows = [(model, *map(_name_slot, (slots.active, slots.trial, slots.previous))) for model, slots in models.items() if slots.held]
    if rows:
        print_table(("model", "active", "on trial", "previous"), rows)
    else:
        click.echo("nothing is installed")


def _print_deployments(deployments: Mapping[str, Deployment]) -> None:
    """One sentence for each model of which the fleet has ever asked for something."""
    from edgekit.deployment import explain_deployment

    for model, deployment in deployments.items():
        click.echo(f"{model}: {explain_deployment(deployment)} (deployment {deployment.id})")


def _name_slot(slot: Installed | None) -> str:
    return f"{slot.release} ({slot.variant})" if slot else "-"


def _announcer(*, as_json: bool) -> Announce:
    """Says on stdout where the API is and what it serves: a line for each model, or one line of JSON for all."""

    def announce(address: Address, models: list[ModelInfo]) -> None:
        if as_json:
            import msgspec

            click.echo(msgspec.json.encode({"address": f"http://{address}", "models": models}))
            return
        for info in models:
            click.echo(f"http://{address} serves {info.name} {info.version}: {info.variant} on {info.runtime} {info.runtime_version}")
        if not models:
            click.echo(f"http://{address} serves nothing yet")

    return announce


@contextlib.contextmanager
def _logging() -> Iterator[None]:
    """The log, on stderr, while the block runs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("edgekit_agent")
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            # What Pillow remarks of a damaged picture is for who sent it, and would fill the log at a stranger's will.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            yield
    finally:
        root.removeHandler(handler)


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set while the block runs."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
