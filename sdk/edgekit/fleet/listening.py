"""Where the server listens: on this machine alone, and on ports that are free."""

import socket

from edgekit.addresses import Endpoint
from edgekit.errors import DeviceError, InputError


def check_loopback(endpoint: Endpoint, name: str) -> None:
    """Raise InputError where *endpoint* can be reached by other machines: this edgekit has no accounts yet to tell who may."""
    if not endpoint.is_loopback:
        problem = "it can be reached by other machines, and there are no accounts yet that say who may do what"
        raise InputError(f"{name} {endpoint}", problem, f"Use 127.0.0.1:{endpoint.port}, and lead others there by a tunnel that you trust.")


def bind_socket(endpoint: Endpoint, name: str) -> socket.socket:
    """A socket bound to *endpoint*; DeviceError names the port where it is taken, and *name* what wants it."""
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((endpoint.host, endpoint.port))
    except OSError as error:
        bound.close()
        problem = f"port {endpoint.port} cannot be used: {error.strerror}"
        raise DeviceError(f"{name} on {endpoint}", problem, f"End what uses it, or give another port with --{name} {endpoint.host}:PORT.") from error
    return bound
