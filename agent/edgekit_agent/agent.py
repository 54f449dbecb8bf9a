"""The agent's composition root: what serves given bundles, and what serves and installs releases for years."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edgekit.bundles import VerifiedBundle, open_bundle
from edgekit.errors import DeviceError, InputError
from edgekit_agent.config import Address, AgentConfig, ApiSettings, parse_address
from edgekit_agent.inventory import Machine
from edgekit_agent.local_api.connection import Limits
from edgekit_agent.local_api.routes import Routes
from edgekit_agent.local_api.server import LocalApi
from edgekit_agent.observing import Observer
from edgekit_agent.selection import choose_variant
from edgekit_agent.serving import ModelInfo, Serving, load_model
from edgekit_agent.slots import SlotStore
from edgekit_agent.upkeep import SlotFollower, Upkeep

log = logging.getLogger(__name__)

#: Seconds that an installation under way gets to reach a place to stop at. After that it dies with the process, which it survives.
STOP_S = 5.0

#: Called once all is up: with where the API listens, and what it serves.
Announce = Callable[[Address, list[ModelInfo]], None]


@contextlib.contextmanager
def opening_api(settings: ApiSettings, expected: set[str], observer: Observer | None = None) -> Iterator[tuple[LocalApi, Serving]]:
    """The local API with nothing in it yet: it says that it is not ready until all *expected* models are. *observer* hears of each request."""
    limits = Limits(max_body=settings.max_body_mb << 20)
    address = parse_address(settings.http, "--http")
    with Serving(expected, observer) as serving, LocalApi(address, Routes(serving).answer, limits, settings.max_connections) as api:
        yield api, serving


class BundleServer:
    """Serves bundles as they lie on the disk: no releases, no state, no fleet."""

    def __init__(self, paths: Sequence[Path], settings: ApiSettings, machine: Machine, variant: str | None = None, threads: int = 1) -> None:
        self._paths = paths
        self._settings = settings
        self._machine = machine
        self._variant = variant
        self._threads = threads

    def run(self, stop: threading.Event, announce: Announce) -> None:
        """Serve until *stop* is set.

        Raises:
            InputError: a path is no bundle, or two hold models of the same name.
            TrustError: a byte of a bundle is not what its manifest says.
            GateRefused: a bundle's golden samples betray its variant.
            DeviceError: no runtime here loads a bundle, or the port is in use.
        """
        bundles = [open_bundle(path) for path in self._paths]
        _check_names(bundles)
        with opening_api(self._settings, {bundle.manifest.name for bundle in bundles}) as (api, serving):
            for bundle in bundles:
                self._load(bundle, serving)
            announce(api.address, serving.list_models())
            stop.wait()

    def _load(self, bundle: VerifiedBundle, serving: Serving) -> None:
        selection = choose_variant(bundle.manifest, self._machine.target, self._machine.formats, self._variant)
        log.info("%s: %s, %s", bundle.manifest.name, selection.variant.id, selection.reason)
        serving.swap(load_model(bundle, selection.variant, self._machine, self._threads))


def _check_names(bundles: Sequence[VerifiedBundle]) -> None:
    names = [bundle.manifest.name for bundle in bundles]
    for bundle, name in zip(bundles, names, strict=True):
        if names.count(name) > 1:
            raise InputError(bundle.root, f"another of the bundles has a model {name!r} too", "Serve one of them, or make one with another --name.")


class Agent:
    """Serves what is installed, installs what the configuration names, and swaps it in without a request noticing."""

    def __init__(self, config: AgentConfig, slots: SlotStore, machine: Machine) -> None:
        self._config = config
        self._slots = slots
        self._machine = machine

    def run(self, stop: threading.Event, announce: Announce) -> None:
        """Serve until *stop* is set. A release that is refused is logged, and what was served goes on."""
        self._recover()
        with opening_api(self._config.api, self._find_expected()) as (api, serving):
            follower = SlotFollower(self._slots, self._machine, self._config, serving)
            follower.follow()
            announce(api.address, serving.list_models())
            with self._upkeep(follower, serving, stop):
                stop.wait()

    @contextlib.contextmanager
    def _upkeep(self, follower: SlotFollower, serving: Serving, stop: threading.Event) -> Iterator[None]:
        """Installing and swapping, on a thread of its own while the block runs, so that *stop* is obeyed at once."""
        upkeep = Upkeep(self._config, self._slots, self._machine, follower)
        thread = threading.Thread(target=upkeep.run, args=(stop, serving.list_models()), name="upkeep", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(STOP_S)

    def _find_expected(self) -> set[str]:
        return {*self._slots.list_models(), *(model.name for model in self._config.models)}

    def _recover(self) -> None:
        try:
            with self._slots.locking():
                self._slots.clean(keep_partial=True)
        except DeviceError as error:
            # Nothing there is in the way of serving, and an installation under way cleans up itself.
            log.warning("leftovers were not removed: %s", error)
