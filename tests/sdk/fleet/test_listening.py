"""Where the server listens."""

import socket

import pytest

from edgekit.addresses import Endpoint
from edgekit.errors import DeviceError, InputError
from edgekit.fleet.listening import bind_socket, check_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_is_listened_on(host: str) -> None:
    """Each name of loopback is taken."""
    check_loopback(Endpoint(host=host, port=8420), "http")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "edge.example", "127.0.0.1.evil.example"])
def test_what_others_can_reach_is_refused(host: str) -> None:
    """Whatever is not loopback needs accounts, which there are not yet."""
    with pytest.raises(InputError, match="no accounts"):
        check_loopback(Endpoint(host=host, port=8420), "http")


def test_a_free_port_is_chosen_and_a_taken_one_named() -> None:
    """Port 0 becomes a free one, and to bind it again names the port and the option."""
    with bind_socket(Endpoint(), "http") as bound:
        bound.listen()
        port = bound.getsockname()[1]
        assert port > 0
        with pytest.raises(DeviceError, match=rf"port {port} cannot be used.*--http 127\.0\.0\.1:PORT"):
            bind_socket(Endpoint(port=port), "http")


def test_a_port_can_be_taken_again_at_once() -> None:
    """A server that is started again need not wait for the connections of the one before to be forgotten."""
    with bind_socket(Endpoint(), "http") as bound:
        bound.listen()
        port = bound.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port), 5)
        accepted, _ = bound.accept()
        accepted.close()
        client.close()
    bind_socket(Endpoint(port=port), "http").close()
