"""Where the fleet's machines listen, and how brokers are reached."""

import re
from typing import Annotated
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Meta

from edgekit.errors import InputError
from edgekit.records import Record

Port = Annotated[int, Meta(ge=0, le=65_535)]
Host = Annotated[str, Meta(pattern=r"^[A-Za-z0-9.:_-]{1,253}\Z")]

#: The ports that IANA registered for MQTT, plain and over TLS.
MQTT_PORT, MQTTS_PORT = 1883, 8883
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Endpoint(Record, frozen=True, kw_only=True):
    """A host and a port to listen on; port 0 lets the system choose one."""

    host: Host = "127.0.0.1"
    port: Port = 0

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine can reach it."""
        return self.host in LOOPBACK


class BrokerAddress(Record, frozen=True, kw_only=True):
    """An MQTT broker, written ``mqtt://user:password@host:port``; *tls* is what ``mqtts:`` asks for."""

    host: Host
    port: Annotated[int, Meta(ge=1, le=65_535)] = MQTT_PORT
    user: str | None = None
    password: str | None = None
    tls: bool = False

    def __str__(self) -> str:
        """The address without its password, so that it can be shown."""
        scheme = "mqtts" if self.tls else "mqtt"
        user = f"{self.user}@" if self.user else ""
        return f"{scheme}://{user}{Endpoint(host=self.host, port=self.port)}"


def parse_endpoint(text: str, subject: str) -> Endpoint:
    """The endpoint in ``host:port`` or ``[::1]:port``; InputError names *subject*."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})", text)
    if match is None or int(match[3]) > 65_535:
        raise InputError(f"{subject} {text[:80]!r}", "it is no host and port", "Write it as 127.0.0.1:8420; port 0 takes any that is free.")
    return Endpoint(host=match[1] or match[2], port=int(match[3]))


def parse_broker(text: str, subject: str) -> BrokerAddress:
    """The broker in ``mqtt://[user[:password]@]host[:port]``; InputError names *subject*, and never shows a password."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise _refuse_broker(subject, str(error)) from error
    if parts.scheme not in ("mqtt", "mqtts") or not _is_bare(parts):
        raise _refuse_broker(subject, "it is no address of an MQTT broker")
    host, tls = parts.hostname or "", parts.scheme == "mqtts"
    if re.fullmatch(r"[a-z0-9.:_-]{1,253}", host) is None or port == 0:
        raise _refuse_broker(subject, "its host or port is none")
    return BrokerAddress(
        host=host,
        port=port or (MQTTS_PORT if tls else MQTT_PORT),
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
        tls=tls,
    )


def _is_bare(parts: SplitResult) -> bool:
    return parts.path in ("", "/") and not parts.query and not parts.fragment


def _refuse_broker(subject: str, problem: str) -> InputError:
    return InputError(subject, problem, "Write it as mqtt://host:1883, or mqtt://user:password@host:1883.")
