"""The option that names the fleet's server, and how commands reach it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from edgekit.fleet.client import FleetClient

F = TypeVar("F", bound=Callable[..., Any])

#: As `edgekit.fleet.client` has it; named here so that --help need not import a client.
_VARIABLE, _DEFAULT = "EDGEKIT_FLEET", "http://127.0.0.1:8420"


def server_option(function: F) -> F:
    """Give a command the option ``--server``, as its argument *server*."""
    option = click.option(
        "--server", envvar=_VARIABLE, default=_DEFAULT, show_default=True, show_envvar=True, metavar="URL", help="The fleet's server."
    )
    return option(function)


@contextmanager
def reaching_fleet(server: str) -> "Iterator[FleetClient]":
    """A client of the server at *server* while the block runs."""
    from edgekit.fleet.client import FleetClient

    with FleetClient(server) as client:
        yield client
