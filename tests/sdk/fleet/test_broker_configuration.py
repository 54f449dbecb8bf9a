"""What the fleet's own broker is told."""

from pathlib import Path

from edgekit.addresses import Endpoint
from edgekit.fleet.broker_configuration import PACKET_BYTES, encode_configuration
from edgekit.telemetry import MAX_WIRE_BYTES


def test_each_setting_without_which_messages_get_lost_is_there() -> None:
    """No count bounds a queue, bytes do; enough may be in flight; state is kept; and only this machine is listened to."""
    lines = encode_configuration(Endpoint(host="127.0.0.1", port=1884), Path("/srv/my fleet/broker")).splitlines()
    assert "listener 1884 127.0.0.1" in lines
    assert "max_queued_messages 0" in lines
    assert "max_inflight_messages 1000" in lines
    assert "persistence true" in lines
    assert "persistence_location /srv/my fleet/broker/" in lines
    assert [line for line in lines if line.startswith("max_queued_bytes ") and int(line.split()[1]) > 0]
    assert [line for line in lines if line.startswith("user ")]


def test_the_largest_batch_fits_into_a_packet() -> None:
    """The broker takes the largest message that a device may send, with its topic and header."""
    assert PACKET_BYTES > MAX_WIRE_BYTES + 1024
