"""``edgekit device``: see the devices of a fleet, and label them."""

from typing import TYPE_CHECKING

import click

from edgekit.cli.server_option import reaching_fleet, server_option

if TYPE_CHECKING:
    from edgekit.fleet.views import DeviceDetail, DeviceSummary

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(short_help="See the devices of a fleet, and label them.")
def device() -> None:
    """See the devices of a fleet, and label them.

    A device is known once its agent has reported for the first time.
    """


@device.command("list", short_help="List devices.")
@click.option("--select", default="", metavar="SELECTION", help="Which devices: class=raspberry-pi-4,site=roof. A comma means and.")
@server_option
@_JSON
def list_all(select: str, server: str, *, as_json: bool) -> None:
    """List the devices of the fleet, or those that a selection names.

    Example: edgekit device list --select site=roof
    """
    from edgekit.cli.console import print_json, print_table

    with reaching_fleet(server) as client:
        found, now_ms = client.list_devices(select), client.read_health().now_ms
    if as_json:
        print_json(found)
        return
    print_table(("device", "class", "seen", "serves", "labels"), [_make_row(one, now_ms) for one in found])
    if not found:
        click.echo(f"No device is selected by {select}." if select else "No device has reported yet.")


@device.command(short_help="Show one device.")
@click.argument("name", metavar="DEVICE")
@server_option
@_JSON
def show(name: str, server: str, *, as_json: bool) -> None:
    """Show what one device is, serves, and should have.

    Example: edgekit device show roof-1
    """
    from edgekit.cli.console import print_json

    with reaching_fleet(server) as client:
        found, now_ms = client.find_device(name), client.read_health().now_ms
    if as_json:
        print_json(found)
    else:
        _print_device(found, now_ms)


@device.command(short_help="Set and take away labels.")
@click.argument("name", metavar="DEVICE")
@click.argument("labels", metavar="NAME=VALUE...", nargs=-1, required=True)
@server_option
@_JSON
def label(name: str, labels: tuple[str, ...], server: str, *, as_json: bool) -> None:
    """Set labels of a device. NAME= takes a label away.

    Example: edgekit device label roof-1 site=roof floor=
    """
    from edgekit.cli.console import print_json

    changes = dict(map(_parse_label, labels))
    with reaching_fleet(server) as client:
        found = client.set_labels(name, changes)
    if as_json:
        print_json(found)
    else:
        click.echo(f"{found.id}: {_join(found.labels)}")


def _parse_label(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise click.BadParameter(f"{text!r} is no label: write NAME=VALUE, or NAME= to take it away.")
    return name, value


def _make_row(one: "DeviceSummary", now_ms: int) -> tuple[str, ...]:
    known, status = one.device, one.status
    serves = ", ".join(f"{model.release} {model.variant}" for model in status.models if model.release) if status else ""
    kind = f"{known.device_class} (simulated)" if known.simulated else known.device_class
    return known.id, kind, _tell_seen(known.online, known.last_seen_ms, now_ms), serves or "-", _join(known.labels)


def _print_device(found: "DeviceDetail", now_ms: int) -> None:
    from edgekit.cli.console import print_table

    print_table(("device", found.device.id), _list_facts(found, now_ms))
    models = found.status.models if found.status else ()
    if models:
        rows = [(one.model, one.release or "-", one.variant or "-", one.runtime or "-", one.previous or "-") for one in models]
        print_table(("model", "serves", "variant", "runtime", "goes back to"), rows)
    if found.history:
        given = [(one.desired.release or "nothing", one.state.value if one.state else "-", one.rollout or "-", one.reason) for one in found.history]
        print_table(("was given", "state", "rollout", "reason"), given)


def _list_facts(found: "DeviceDetail", now_ms: int) -> list[tuple[str, str]]:
    from edgekit.quantities import UNKNOWN, format_mb

    known, inventory = found.device, found.inventory
    runtimes = ", ".join(f"{one.name} {one.version}" for one in inventory.runtimes) if inventory else ""
    return [
        ("class", f"{known.device_class} (simulated)" if known.simulated else known.device_class),
        ("seen", _tell_seen(known.online, known.last_seen_ms, now_ms)),
        ("labels", _join(known.labels)),
        ("machine", inventory.hardware.machine if inventory else UNKNOWN),
        ("memory", format_mb(inventory.hardware.memory_mb if inventory else None)),
        ("accelerators", ", ".join(known.accelerators) or "none found"),
        ("runtimes", runtimes or UNKNOWN),
        ("agent", (inventory.agent_version if inventory else "") or UNKNOWN),
        ("refused", (found.status.refused if found.status else "") or "-"),
    ]


def _tell_seen(online: bool, seen_ms: int, now_ms: int) -> str:  # noqa: FBT001 - a field of a record
    ago_s = max(0, now_ms - seen_ms) // 1000
    steps = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    size, unit = next(((size, unit) for size, unit in steps if ago_s >= size), (1, "s"))
    return f"{ago_s // size} {unit} ago" + (", connected" if online else ", gone")


def _join(labels: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in labels.items()) or "-"
