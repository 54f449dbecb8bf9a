"""What each state of a deployment asks of this device: fetch, prove, try, and keep or take back. Which follows is the updater's to say."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from msgspec.structs import replace
from securesystemslib.signer import Key

from edgekit.bundles import MANIFEST
from edgekit.desired import DesiredModel
from edgekit.errors import DeviceError, DigestMismatch, InputError, TransferError, TrustError
from edgekit.fetching.base import Fetcher
from edgekit.fetching.locations import choose_fetcher
from edgekit.fetching.pace import Patience
from edgekit.files import digest_file
from edgekit.manifest import Manifest
from edgekit.releases.client import ReleaseClient
from edgekit.releases.versions import ReleaseReference, parse_reference, precedence
from edgekit_agent.installing import Source, establish_trust
from edgekit_agent.inventory import Machine
from edgekit_agent.proving import prove_samples
from edgekit_agent.selection import Selection, choose_variant
from edgekit_agent.serving import LiveModel, Serving, load_model
from edgekit_agent.slots import Installed, ModelSlots, SlotStore

log = logging.getLogger(__name__)

#: What hangs is given up soon, and tried again by the updater, which looks in between whether it is still wanted.
PATIENCE = Patience(connect=5.0, read=10.0, retries=0)

#: Called for each piece that is fetched; raises Interrupted where no more of it is wanted.
Check = Callable[[], None]


class Interrupted(TransferError):
    """A transfer was broken off from this side."""

    def __init__(self, subject: str) -> None:
        super().__init__(subject, "it was broken off, since something newer is desired or the agent ends")


class WatchedFetcher:
    """Fetches through *fetcher*, and asks *check* before each piece whether to go on."""

    def __init__(self, fetcher: Fetcher, check: Check) -> None:
        self._fetcher = fetcher
        self._check = check

    @contextmanager
    def fetch(self, url: str, start: int, max_length: int) -> Iterator[Iterator[bytes]]:
        """As the port says."""
        self._check()
        with self._fetcher.fetch(url, start, max_length) as pieces:
            yield map(self._pass, pieces)

    def _pass(self, piece: bytes) -> bytes:
        self._check()
        return piece


class Deployer:
    """Carries out on this device what the updater decides. The caller holds the lock of *slots*."""

    def __init__(self, slots: SlotStore, machine: Machine, serving: Serving, source: Source) -> None:
        self._slots = slots
        self._machine = machine
        self._serving = serving
        self._source = source

    def find_director_keys(self) -> list[Key]:
        """The director's public keys, as the release repository names them now; raises as ReleaseClient.read_director_keys does."""
        return self._open_client(choose_fetcher(self._source.location, PATIENCE)).read_director_keys()

    def find_active(self, model: str) -> Installed | None:
        """The active release of *model*."""
        return self._slots.read_slots(model).active

    def find_previous(self, model: str, digest: str | None) -> str | None:
        """The release that *model* returns to when the one with *digest*, which serves it, is taken back; None where there is none."""
        slots = self._read_slots(model)
        behind = slots.active if slots.trial and slots.trial.digest == digest else slots.previous
        return behind.release if behind else None

    def is_done(self, desired: DesiredModel) -> bool:
        """Whether what is *desired* is active here already, and answers."""
        active = self._slots.read_slots(desired.model).active
        if active is None or (active.release, active.digest) != (desired.release, desired.digest) or desired.variant not in (None, active.variant):
            return False
        return any((info.name, info.digest) == (desired.model, active.digest) for info in self._serving.list_models())

    def check_order(self, desired: DesiredModel) -> ReleaseReference:
        """The release that is *desired*.

        Raises:
            InputError: it names no release, or one of another model.
            TrustError: it is older than it may be.
        """
        reference = parse_reference(desired.release or "")
        if reference.name != desired.model:
            raise InputError(str(reference), f"it is no release of the model {desired.model!r}", "Start the rollout again with the right release.")
        if desired.floor is not None and precedence(reference.version) < precedence(desired.floor):
            raise TrustError(str(reference), f"it is older than {desired.floor}, the oldest that may be installed", "Nothing was done.")
        return reference

    def fetch(self, desired: DesiredModel, check: Check) -> tuple[Installed, str]:
        """Put what is *desired* into the trial slot, every byte verified; and why it is this variant.

        Only what is not here yet is fetched, and what breaks off is kept for the next attempt.

        Raises:
            Interrupted: *check* raised it.
            TransferError: the source cannot be reached; time may mend it.
            TrustError: nobody vouches for it, or it is not the release with the digest that is desired.
            InputError, DeviceError: there is no such release, no variant for this device, or no room.
        """
        reference = self.check_order(desired)
        held = self._find_intact(desired, str(reference))
        if held is not None:
            self._slots.try_again(desired.model, held)
            return held, f"{held.variant} was here already"
        client = self._open_client(WatchedFetcher(choose_fetcher(self._source.location, PATIENCE), check))
        with self._slots.staging() as staging:
            bundle = client.fetch_release(reference, staging, partial(self._choose, desired, staging))
            selection = self._select(desired, bundle.manifest)
            return self._slots.adopt_trial(bundle, str(reference)), f"{selection.variant.id}: {selection.reason}"

    def load_trial(self, model: str) -> LiveModel:
        """Load what is in the trial slot of *model*, and prove it with its golden samples; raises as load_model does."""
        trial = self._find_trial(model)
        bundle = self._slots.open_release(trial)
        return load_model(bundle, bundle.manifest.find_variant(trial.variant), self._machine, release=trial.release)

    def replay(self, live: LiveModel) -> int:
        """Hold *live*, which is on trial, against its golden samples once more; how many there were. GateRefused where it fails them."""
        trial = self._find_trial(live.info.name)
        bundle = self._slots.open_release(trial)
        variant = bundle.manifest.find_variant(trial.variant)
        return prove_samples(live, bundle, variant, live.contract).n

    def keep(self, model: str, digest: str) -> None:
        """Let the release with *digest*, which is on trial or active already, serve *model*, and drop any other trial."""
        trial = self._slots.read_slots(model).trial
        if trial is not None and trial.digest != digest:
            self.take_back(model)
        self._slots.commit_trial(model)
        self._serving.commit_trial(model)

    def take_back(self, model: str) -> None:
        """Let what was active before the trial serve *model* again, if something was."""
        self._serving.drop_trial(model)
        self._slots.drop_trial(model)

    def clear(self, model: str) -> None:
        """Serve no release of *model*."""
        self._serving.remove(model)
        self._slots.deactivate(model)

    def find_expected(self, desired: Sequence[DesiredModel]) -> frozenset[str]:
        """The models without which this device is not ready: what is desired, and what is installed and not to be removed."""
        unwanted = {one.model for one in desired if one.release is None}
        installed = {model for model in self._slots.list_models() if self._read_slots(model).active}
        return frozenset(installed - unwanted) | {one.model for one in desired if one.release is not None}

    def tidy(self, *, keep_partial: bool) -> None:
        """Remove what no slot needs; raises as SlotStore.clean does."""
        self._slots.clean(keep_partial=keep_partial)

    def _read_slots(self, model: str) -> ModelSlots:
        """The slots of *model*, to be told and not to be acted on; empty, and logged, where they cannot be read."""
        try:
            return self._slots.read_slots(model)
        except DeviceError as error:
            log.warning("%s", error)
            return ModelSlots()

    def _find_trial(self, model: str) -> Installed:
        trial = self._slots.read_slots(model).trial
        if trial is None:
            raise InputError(f"model {model!r}", "its trial slot is empty", "Deploy it again.")
        return trial

    def _find_intact(self, desired: DesiredModel, release: str) -> Installed | None:
        """What some slot holds of the release that is desired, where every byte is what it should be and a runtime here loads it."""
        held = self._slots.read_slots(desired.model).find_held(desired.digest or "", desired.variant)
        if held is None:
            return None
        try:
            bundle = self._slots.open_release(held)
        except (InputError, TrustError) as error:
            log.warning("%s is here, and is fetched again: %s", release, error)
            return None
        is_runnable = bundle.manifest.find_variant(held.variant).format in self._machine.formats
        return replace(held, release=release) if is_runnable else None

    def _choose(self, desired: DesiredModel, staging: Path, manifest: Manifest) -> list[str]:
        """The variant to fetch. Before any file of it, the manifest must be the one that the director has signed for."""
        found = digest_file(staging / MANIFEST)
        if found != desired.digest:
            raise DigestMismatch(f"manifest of {desired.release}", desired.digest or "none", found)
        return [self._select(desired, manifest).variant.id]

    def _select(self, desired: DesiredModel, manifest: Manifest) -> Selection:
        return choose_variant(manifest, self._machine.target, self._machine.formats, desired.variant)

    def _open_client(self, fetcher: Fetcher) -> ReleaseClient:
        client = ReleaseClient(self._source.location, self._slots.trust, fetcher, self._slots.blobs)
        establish_trust(client, self._source.trust_root)
        return client
