"""``edgekit keys``: the keys that sign releases."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgekit.signing import KeySet

_WHERE = "DIR is taken from the environment's EDGEKIT_KEYS, else it is a directory in your own configuration, where the other commands look too."


@click.group(short_help="Make and show the keys that sign releases.")
def keys() -> None:
    """Make and show the keys that sign releases.

    Keep the directory to yourself and keep a copy of it offline: whoever has the private keys can publish to your
    devices, and without the root key you can never again tell them whom to trust.
    """


@keys.command(epilog=_WHERE)
@click.argument("directory", metavar="[DIR]", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def new(directory: Path | None, *, as_json: bool) -> None:
    """Make four new keys in DIR, one for each role. Keys that are there are never overwritten.

    Example: edgekit keys new ~/release-keys
    """
    from edgekit.cli.console import say
    from edgekit.signing import find_default_keys, new_keys

    place = directory or find_default_keys()
    _show(place, new_keys(place), as_json=as_json)
    named = f" --keys {place}" if directory else ""
    say(f"Keep {place} to yourself, and a copy of it offline. Next: edgekit release publish BUNDLE --version 1.0.0 --to DIR{named}")


@keys.command(epilog=_WHERE)
@click.argument("directory", metavar="[DIR]", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(directory: Path | None, *, as_json: bool) -> None:
    """Show the public parts of the keys in DIR, and which private parts are there.

    Example: edgekit keys show ~/release-keys
    """
    from edgekit.signing import find_default_keys, read_keys

    place = directory or find_default_keys()
    _show(place, read_keys(place), as_json=as_json)


def _show(place: Path, found: "KeySet", *, as_json: bool) -> None:
    from edgekit.cli.console import print_json, print_table
    from edgekit.signing import OFFLINE, ROLES, has_signer

    if as_json:
        print_json({"directory": str(place), "keys": found, "private": [role for role in ROLES if has_signer(place, role)]})
        return
    rows = [
        (role, "offline" if role in OFFLINE else "online", "here" if has_signer(place, role) else "elsewhere", getattr(found, role).id)
        for role in ROLES
    ]
    print_table(("role", "belongs", "private part", "key id"), rows, title=str(place))
