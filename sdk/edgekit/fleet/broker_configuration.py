"""What the fleet's own broker is told: settings under which it loses nothing that it need not lose."""

import os
import pwd
from pathlib import Path

from edgekit.addresses import Endpoint

#: What one client's queue may take while the client is away, in bytes.
QUEUE_BYTES = 256 << 20
#: Above the largest message that anybody sends: a batch of telemetry, 256 KiB.
PACKET_BYTES = 512 << 10


def encode_configuration(listen: Endpoint, directory: Path) -> str:
    """The configuration for Mosquitto 2 (mosquitto.conf(5))."""
    # fmt: off
    settings: tuple[tuple[str, object], ...] = (
        ("listener",                     f"{listen.port} {listen.host}"),
        # There are no accounts yet: only this machine can reach the listener.
        ("allow_anonymous",              "true"),
        # Started as root it would become the user mosquitto, which cannot write here.
        ("user",                         pwd.getpwuid(os.geteuid()).pw_name),
        ("set_tcp_nodelay",              "true"),
        ("max_packet_size",              PACKET_BYTES),
        # The default of 20 would hold up whoever acknowledges only what is committed.
        ("max_inflight_messages",        1000),
        # By default more than 1000 messages for one client are dropped while their sender sees success. Bytes are the bound.
        ("max_queued_messages",          0),
        ("max_queued_bytes",             QUEUE_BYTES),
        # Sessions of devices that never come back.
        ("persistent_client_expiration", "14d"),
        ("persistence",                  "true"),
        ("persistence_location",         f"{directory.absolute()}/"),
        # To save at each change rewrites the whole file, and buys nothing: acknowledgement is end to end.
        ("autosave_interval",            30),
        ("connection_messages",          "false"),
        ("log_dest",                     "stderr"),
        ("log_timestamp",                "false"),
        ("log_type",                     "error"),
        ("log_type",                     "warning"),
    )
    # fmt: on
    lines = [f"{name} {value}" for name, value in settings]
    return "\n".join(["# Written by edgekit at each start: what is changed here is lost.", *lines, ""])
