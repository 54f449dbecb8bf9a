"""The fleet's server put together: each part is opened in order, and closed in reverse."""

import asyncio
import contextlib
import functools
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from importlib.metadata import version

from securesystemslib.signer import Signer

from edgekit.addresses import BrokerAddress, Endpoint, parse_broker
from edgekit.errors import DeviceError, MetadataExpired
from edgekit.files import write_file
from edgekit.fleet.api import create_app
from edgekit.fleet.background import wait_for_any, working
from edgekit.fleet.broker import Broker
from edgekit.fleet.coordinator import Coordinator
from edgekit.fleet.dashboard import list_pages
from edgekit.fleet.director import load_director
from edgekit.fleet.http_server import serving_http
from edgekit.fleet.ingest import Ingest
from edgekit.fleet.listening import bind_socket, check_loopback
from edgekit.fleet.probing import is_answering, probe_broker
from edgekit.fleet.pruner import Pruner
from edgekit.fleet.publishing import MqttPublisher
from edgekit.fleet.release_reader import ReleaseReader
from edgekit.fleet.rollouts import RolloutDesk
from edgekit.fleet.routes import Services
from edgekit.fleet.settings import FleetDirectory, FleetSettings, Running
from edgekit.fleet.store.database import Store, open_store
from edgekit.fleet.store.events import append_event
from edgekit.fleet.store.leases import end_leases
from edgekit.fleet.views import Health
from edgekit.locks import holding_lock

#: Under which name the coordinator holds its lease.
OWNER = "server"
#: How long to wait for the shards' sessions before devices are told that the server is up.
_CONNECT_SECONDS = 10.0
_HANDOVER_SECONDS = 10.0

log = logging.getLogger(__name__)


def read_clock() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


class FleetServer:
    """Everything that a fleet needs beside its devices, in *directory*, as *settings* say."""

    def __init__(self, directory: FleetDirectory, settings: FleetSettings) -> None:
        self.directory = directory
        self.settings = settings

    async def run(self, stop: asyncio.Event, announce: Callable[[Running], None]) -> None:
        """Work until *stop* is set; *announce* is called once everything is up.

        Raises:
            InputError: a setting cannot be used, or there is no release repository.
            DeviceError: a port is taken, there is no broker to be had, or another server is at work here.
            TransferError: the broker that is named cannot be reached.
            TrustError: the release repository does not hold what its root vouches for.
        """
        ended = asyncio.Event()
        async with contextlib.AsyncExitStack() as stack:
            announce(await self._open(stack, ended))
            await wait_for_any(stop, ended)

    async def _open(self, stack: contextlib.AsyncExitStack, ended: asyncio.Event) -> Running:
        check_loopback(self.settings.http, "http")
        stack.enter_context(holding_lock(self.directory.lock))
        signer = load_director(self.directory.root)
        bound = stack.enter_context(bind_socket(self.settings.http, "http"))
        store = stack.enter_context(open_store(self.directory.store))
        # The lock says that nobody else is at work here, so the leases of a server that was killed need not be waited for.
        await store.write(end_leases)
        await stack.enter_async_context(telling_of_itself(store))
        releases = await self._open_releases(store)
        broker = await self._open_broker(stack, store, ended)
        coordinator = await self._open_workers(stack, ended, store, broker, signer)
        running = self._describe(bound, broker)
        desk = RolloutDesk(store, releases, signer, read_clock, coordinator.wake)
        services = Services(store, releases, desk, read_clock, describe_health(running, broker, read_clock()))
        await stack.enter_async_context(serving_http(create_app(services, list_pages()), bound, ended))
        stack.enter_context(self._telling_addresses(running))
        return running

    async def _open_workers(
        self, stack: contextlib.AsyncExitStack, ended: asyncio.Event, store: Store, broker: BrokerAddress, signer: Signer
    ) -> Coordinator:
        """What receives from devices and what tells them; the coordinator is woken when a device has reported something new."""
        publisher = await stack.enter_async_context(MqttPublisher(broker))
        coordinator = Coordinator(store, publisher, signer, read_clock, OWNER, shards=self.settings.shards)
        ingest = Ingest(store, broker, self.settings.shards, lambda _: coordinator.wake())
        await stack.enter_async_context(working(coordinator.run(), "coordinator", ended))
        await stack.enter_async_context(working(ingest.run(), "ingest", ended))
        pruner = Pruner(store, self.settings.store, functools.partial(log_event, store, "store"), read_clock)
        await stack.enter_async_context(working(pruner.run(), "pruner", ended))
        await wait_connected(ingest, self.settings.shards, ended)
        return coordinator

    async def _open_releases(self, store: Store) -> ReleaseReader:
        """The repository, once it was verified. One that has expired offers nothing, and keeps nobody from reporting."""
        releases = ReleaseReader(self.settings.find_repository(self.directory), self.directory.trust)
        await releases.pin()
        try:
            await releases.list_releases()
        except MetadataExpired as error:
            await log_event(store, "releases", str(error))
        return releases

    async def _open_broker(self, stack: contextlib.AsyncExitStack, store: Store, ended: asyncio.Event) -> BrokerAddress:
        """The broker that is named, if it answers; else one of our own."""
        if self.settings.broker is not None:
            address = parse_broker(self.settings.broker, "broker")
            await probe_broker(address)
            return address

        # Where the server before us was killed, its broker may be about to end.
        patience_s = _HANDOVER_SECONDS if self.directory.running.exists() else 0.0
        report = functools.partial(log_event, store, "broker")
        broker = await stack.enter_async_context(Broker(self.directory.broker, self.settings.mqtt, report, patience_s=patience_s))
        await stack.enter_async_context(working(broker.watch(), "broker", ended))
        return broker.address

    def _describe(self, bound: socket.socket, broker: BrokerAddress) -> Running:
        http = f"http://{Endpoint(host=self.settings.http.host, port=bound.getsockname()[1])}"
        return Running(pid=os.getpid(), http=http, releases=f"{http}/releases/", mqtt=str(broker), shards=self.settings.shards)

    @contextlib.contextmanager
    def _telling_addresses(self, running: Running) -> Iterator[None]:
        write_file(self.directory.running, running.encode())
        try:
            yield
        finally:
            self.directory.running.unlink(missing_ok=True)


async def wait_connected(ingest: Ingest, shards: int, ended: asyncio.Event) -> None:
    """Wait until every shard's messages come in, or not much longer than that takes: before its first session a broker keeps nothing."""
    deadline = time.monotonic() + _CONNECT_SECONDS
    while len(ingest.shards_connected) < shards and not ended.is_set() and time.monotonic() < deadline:
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def telling_of_itself(store: Store) -> AsyncIterator[None]:
    """Write into the event log that the server starts, and that it is going."""
    await log_event(store, "server", "the server starts")
    try:
        yield
    finally:
        await log_event(store, "server", "the server stops")


async def log_event(store: Store, kind: str, text: str) -> None:
    """Write what happened to the server into its log and into the fleet's; a full disk keeps the latter from it, and no more."""
    log.info("%s", text)
    try:
        await store.write(append_event, kind, "server", text, read_clock())
    except DeviceError as error:
        log.warning("that could not be written down: %s", error)


def describe_health(running: Running, broker: BrokerAddress, started_ms: int) -> Callable[[], Awaitable[Health]]:
    """What says how the server is; the counts are for whoever can read the store."""

    async def describe() -> Health:
        return Health(
            version=version("edgekit"),
            started_ms=started_ms,
            now_ms=read_clock(),
            mqtt=running.mqtt,
            shards=running.shards,
            broker_up=await is_answering(broker),
        )

    return describe
