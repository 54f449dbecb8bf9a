"""A release comes onto this device: fetched, verified, proven, and only then given a slot.

The release client is imported when it is needed: it brings 15 MB, which a device that only serves keeps for its models.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.bundles import VerifiedBundle
from edgekit.errors import DeviceError, InputError, TransferError, TrustError
from edgekit.manifest import Manifest, Parity
from edgekit.releases.versions import parse_reference
from edgekit_agent.inventory import Machine
from edgekit_agent.proving import ProvenSession, open_proven
from edgekit_agent.selection import Selection, choose_variant
from edgekit_agent.slots import Installed, SlotStore

if TYPE_CHECKING:
    from edgekit.releases.client import Progress, ReleaseClient

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """Where releases come from, and the file with the publisher's first root where one was carried here."""

    location: str
    trust_root: Path | None = None


@dataclass(frozen=True)
class Order:
    """What to install: a reference as ``digits@1.0.0``, a variant where the agent shall not choose, and threads to prove it with."""

    release: str
    variant: str | None = None
    threads: int = 1


@dataclass(frozen=True)
class Installation:
    """What was installed, why this variant, how near it is to the source model, and whether anything changed.

    *raw_proof* says what its golden raw items have shown here, or why they could not; empty where it has none.
    """

    installed: Installed
    reason: str
    parity: Parity
    changed: bool
    raw_proof: str = ""


class Installer:
    """Installs releases from *source* into *slots* on *machine*."""

    def __init__(self, slots: SlotStore, machine: Machine, source: Source) -> None:
        self._slots = slots
        self._machine = machine
        self._source = source

    def install(self, order: Order, progress: Progress | None = None) -> Installation:
        """Make the release of *order* the active one of its model.

        Whatever is refused, and wherever this breaks off, the slots stay as they were.

        Raises:
            TrustError: nobody vouches for it, or a byte is not what was signed.
            TransferError: the source cannot be reached; what came of it is kept for the next attempt.
            GateRefused: its answers to the golden samples, or what its contract makes of the golden raw items, betray it.
            InputError: there is no such release, variant or repository.
            DeviceError: no runtime here loads it, the disk is full, or another installation is under way.
        """
        with self._slots.locking():
            try:
                installation = self._install(order, progress)
            except TransferError:
                raise
            except BaseException:
                self._tidy()
                raise
            self._tidy()
            return installation

    def _tidy(self) -> None:
        """Remove what no slot needs. Whether that can be done decides nothing about the installation."""
        try:
            self._slots.clean()
        except DeviceError as error:
            log.warning("leftovers were not removed: %s", error)

    def _install(self, order: Order, progress: Progress | None) -> Installation:
        from edgekit.releases.client import ReleaseClient

        reference = parse_reference(order.release)
        client = ReleaseClient(self._source.location, self._slots.trust, blobs=self._slots.blobs)
        establish_trust(client, self._source.trust_root)
        with self._slots.staging() as staging:
            bundle = client.fetch_release(reference, staging, self._chooser(order), progress)
            selection = self._select(bundle.manifest, order)
            proven = self._prove(bundle, selection, order.threads)
            before = self._slots.read_slots(reference.name).active
            installed = self._slots.adopt(bundle, str(reference))
        return Installation(installed, selection.reason, proven.parity, changed=installed != before, raw_proof=proven.raw_proof)

    def _chooser(self, order: Order) -> Callable[[Manifest], list[str]]:
        return lambda manifest: [self._select(manifest, order).variant.id]

    def _select(self, manifest: Manifest, order: Order) -> Selection:
        return choose_variant(manifest, self._machine.target, self._machine.formats, order.variant)

    def _prove(self, bundle: VerifiedBundle, selection: Selection, threads: int) -> ProvenSession:
        """What was proven, its session closed again."""
        proven = open_proven(bundle, selection.variant, self._machine.runtime_for(selection.variant.format), threads)
        proven.session.close()
        return proven


def establish_trust(client: ReleaseClient, trust_root: Path | None) -> None:
    """See to it that *client* knows whose releases to trust.

    A directory of this machine is believed the first time, since whoever can write there can do as much here; a server
    is not, since anybody between it and this device could be answering.

    Raises:
        TrustError: it is a server, and no root was ever given; or another root is trusted already.
    """
    if trust_root is not None:
        client.trust_root(_read_root(trust_root))
    elif not client.is_pinned and client.is_local:
        digest = client.pin_first_root()
        log.warning("%s is trusted from now on: its first root is %s", client.location, digest)
    elif not client.is_pinned:
        raise TrustError(
            client.location,
            "this device has not been told whose releases to trust",
            "Carry the publisher's metadata/1.root.json here by a way that you trust, and give it with --trust-root FILE, "
            "or as trust_root under [releases] in agent.toml.",
        )


def _read_root(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(path, f"the root cannot be read: {error.strerror}", "Check --trust-root, or trust_root in agent.toml.") from error
