"""What goes on beside serving: releases are installed, and what the slots say is swapped in."""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from edgekit.errors import DeviceError, EdgekitError, GateRefused, InputError, TransferError
from edgekit_agent.config import AgentConfig, ModelSettings
from edgekit_agent.installing import Installer, Order, Source
from edgekit_agent.inventory import Machine
from edgekit_agent.serving import ModelInfo, Serving, load_model
from edgekit_agent.slots import Installed, SlotStore

log = logging.getLogger(__name__)

#: Seconds between two looks at the slots, which another process may have changed.
TICK_S = 0.5


class SlotFollower:
    """Loads into *serving* what the slots say, whoever wrote them."""

    def __init__(self, slots: SlotStore, machine: Machine, config: AgentConfig, serving: Serving) -> None:
        self._slots = slots
        self._machine = machine
        self._config = config
        self._serving = serving
        self._seen: dict[str, Installed] = {}
        self._told: dict[str, str] = {}

    def follow(self) -> None:
        """Swap in each active release that was not looked at before. What stands in the way of one is logged, once."""
        for model in self._slots.list_models():
            try:
                self._follow(model)
            except EdgekitError as error:
                self._tell(model, str(error))

    def _follow(self, model: str) -> None:
        active = self._slots.read_slots(model).active
        if active is not None and active != self._seen.get(model):
            self._seen[model] = active
            self._load(model, active)

    def _tell(self, model: str, problem: str) -> None:
        if self._told.get(model) != problem:
            self._told[model] = problem
            log.warning("model %s is not brought up to date: %s", model, problem)

    def forget(self, model: str) -> None:
        """Look at *model* again, as after a new installation of the same release."""
        self._seen.pop(model, None)

    def _load(self, model: str, active: Installed) -> None:
        bundle = self._slots.open_release(active)
        variant = bundle.manifest.find_variant(active.variant)
        self._serving.swap(load_model(bundle, variant, self._machine, self._config.threads_of(model), active.release))
        log.info("%s is live: %s", active.release, variant.id)


class Pending:
    """A release that is yet to be installed, and when to try."""

    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings
        self.attempts = 0
        self.due = 0.0

    def postpone(self, delay: float | None) -> None:
        """Count an attempt; the next is due in *delay* seconds."""
        self.attempts += 1
        self.due = time.monotonic() + (delay or 0.0)


class Upkeep:
    """What goes on beside serving: installing what the configuration names, and following the slots."""

    def __init__(self, config: AgentConfig, slots: SlotStore, machine: Machine, follower: SlotFollower) -> None:
        self._config = config
        self._slots = slots
        self._machine = machine
        self._follower = follower

    def run(self, stop: threading.Event, served: Sequence[ModelInfo]) -> None:
        """Keep at it until *stop* is set. *served* is what needs no installing."""
        pending = [Pending(settings) for settings in self._config.models if not is_served(settings, served)]
        while not stop.is_set():
            try:
                self._turn(pending, stop)
            except Exception:
                # Serving must outlive a fault in here, and the next turn may be a better one.
                log.exception("upkeep failed; it goes on in %g s", self._poll_s)
                stop.wait(self._poll_s)
            stop.wait(TICK_S)

    def _turn(self, pending: list[Pending], stop: threading.Event) -> None:
        for one in [one for one in pending if one.due <= time.monotonic()]:
            if self._try(one, stop):
                pending.remove(one)
        self._follower.follow()

    def _try(self, pending: Pending, stop: threading.Event) -> bool:
        """Install one release; whether it is done with, for good or because another attempt could not help."""
        settings = pending.settings
        try:
            installation = self._find_installer().install(Order(settings.release, settings.variant, settings.threads), stopping(stop))
        except Stopped:
            return True
        except EdgekitError as error:
            log.warning("%s was not installed: %s", settings.release, error)
            delay = find_retry_delay(error, pending.attempts, self._poll_s, random.random())  # noqa: S311 - spreads devices, guards nothing
            pending.postpone(delay)
            return delay is None
        log.info("%s is installed: %s, %s", settings.release, installation.installed.variant, installation.reason)
        self._follower.forget(settings.name)
        return True

    @property
    def _poll_s(self) -> float:
        return self._config.releases.poll_s if self._config.releases else 60.0

    def _find_installer(self) -> Installer:
        releases = self._config.releases
        if releases is None:
            raise InputError("agent.toml", "it names a release that is not installed, and no place to fetch it from", "Add from under [releases].")
        root = Path(releases.trust_root) if releases.trust_root else None
        return Installer(self._slots, self._machine, Source(releases.location, root))


class Stopped(Exception):
    """The agent was asked to stop while it fetched."""


def stopping(stop: threading.Event) -> Callable[[str, int, int], None]:
    """A progress callback that breaks off once *stop* is set."""

    def check(_file: str, _done: int, _total: int) -> None:
        if stop.is_set():
            raise Stopped

    return check


def is_served(settings: ModelSettings, served: Sequence[ModelInfo]) -> bool:
    """Whether what *settings* ask for is live already."""
    return any(info.release == settings.release and settings.variant in (None, info.variant) for info in served)


def find_retry_delay(error: EdgekitError, attempts: int, poll_s: float, share: float) -> float | None:
    """Seconds until the next attempt after *error*, the one before it having been number *attempts*; None for never.

    What time may mend is tried soon and then ever less often, up to *poll_s*; *share*, from 0 to 1, spreads the devices
    of a fleet over half of each wait. What the publisher must mend is tried every *poll_s*. A release whose golden
    samples betray it here never changes, so it is not tried again before the next start.
    """
    if isinstance(error, GateRefused):
        return None
    if isinstance(error, TransferError | DeviceError):
        return min(poll_s, 2.0 ** min(attempts, 16)) * (1 + share) / 2
    return poll_s
