"""The composition root of an agent that belongs to a fleet: it serves what the fleet desires, and tells it how that goes."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from edgekit.status import DeviceInventory
from edgekit_agent.agent import Announce, opening_api
from edgekit_agent.clock import Clock
from edgekit_agent.config import AgentConfig, FleetSettings, ReleaseSettings
from edgekit_agent.conversation import Party
from edgekit_agent.deploying import Deployer
from edgekit_agent.installing import Source
from edgekit_agent.inventory import Machine
from edgekit_agent.ledger import Ledger
from edgekit_agent.orders import Orders
from edgekit_agent.outbox import Outbox
from edgekit_agent.recorder import Recorder
from edgekit_agent.serving import Serving
from edgekit_agent.slots import SlotStore
from edgekit_agent.updater import Updater
from edgekit_agent.upkeep import SlotFollower
from edgekit_agent.uplink import Uplink
from edgekit_agent.vitals import Vitals

#: Seconds that a thread gets to end what it is at. After that it dies with the process, which its files survive.
STOP_S = 5.0
OUTBOX = "outbox.db"


class FleetAgent:
    """The device that *inventory* describes, in the fleet that *config* names. What it serves is the fleet's to say."""

    def __init__(self, config: AgentConfig, slots: SlotStore, machine: Machine, inventory: DeviceInventory) -> None:
        self._config = config
        self._slots = slots
        self._machine = machine
        self._inventory = inventory
        self._clock = Clock()

    def run(self, stop: threading.Event, announce: Announce) -> None:
        """Serve until *stop* is set. The state directory is this process's own for as long.

        Raises:
            DeviceError: another process works in the state directory, or the port is in use.
        """
        fleet, releases, telemetry = self._config.fleet, self._config.releases, self._config.telemetry
        assert fleet is not None  # AgentConfig has both or none
        assert releases is not None
        with self._slots.locking(), Outbox(self._slots.root / OUTBOX, telemetry.max_mb << 20) as outbox:
            recorder = Recorder(outbox, telemetry.interval_s, Vitals(), self._clock)
            recorder.on_event("started", "", f"edgekit {self._inventory.agent_version} on {self._inventory.hardware.machine}")
            with opening_api(self._config.api, set(), recorder) as (api, serving):
                updater = self._make_updater(releases, outbox, recorder, serving)
                uplink = self._make_uplink(fleet, outbox, recorder, updater)
                updater.recover()
                SlotFollower(self._slots, self._machine, self._config, serving).follow()
                announce(api.address, serving.list_models())
                with (
                    _on_thread("uplink", uplink.run, uplink.notify),
                    _on_thread("recorder", partial(recorder.run, list_live=serving.list_models)),
                    updater.running(),
                ):
                    stop.wait()

    def _make_updater(self, releases: ReleaseSettings, outbox: Outbox, recorder: Recorder, serving: Serving) -> Updater:
        ledger = Ledger(self._slots.root)
        root = Path(releases.trust_root) if releases.trust_root else None
        deployer = Deployer(self._slots, self._machine, serving, Source(releases.location, root))
        return Updater(
            device=self._inventory.device,
            epoch=outbox.epoch,
            orders=Orders(self._inventory.device, ledger, deployer.find_director_keys, self._clock),
            ledger=ledger,
            deployer=deployer,
            serving=serving,
            journal=recorder,
            clock=self._clock,
        )

    def _make_uplink(self, fleet: FleetSettings, outbox: Outbox, recorder: Recorder, updater: Updater) -> Uplink:
        """What connects the two ends: the director's messages go to *updater*, and each change of its status wakes the uplink."""
        party = Party(self._inventory, outbox, recorder, updater.describe_status, updater.offer, fleet.shards)
        uplink = Uplink(fleet, party)
        outbox.watch(uplink.notify)
        updater.watch(uplink.notify)
        return uplink


@contextlib.contextmanager
def _on_thread(name: str, run: Callable[[threading.Event], None], wake: Callable[[], None] = lambda: None) -> Iterator[None]:
    """*run* on a thread of its own while the block runs; afterwards its event is set, and *wake* called so that it is seen."""
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(stop,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        wake()
        thread.join(STOP_S)
