"""Where the agent keeps what it installed, so that a power cut at any moment leaves the old release or the new one.

``blobs/sha256/<hex>`` holds each file once; ``releases/<hex of the manifest's digest>/`` is a bundle whose files are
links to them; ``models/<name>/slots.json`` points to releases. Only the last of these decides what is installed, and
it is written last, in one rename.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from edgekit.artifacts import FileEntry
from edgekit.bundles import MANIFEST, VerifiedBundle, open_bundle
from edgekit.errors import DeviceError, InputError
from edgekit.files import naming_disk_errors, replacing_directory, write_file
from edgekit.locks import holding_lock
from edgekit.manifest import Manifest, decode_manifest
from edgekit.records import Digest, Name, Record
from edgekit.releases.blobs import link_or_copy, store_blob
from edgekit.releases.layout import name_blob


class Installed(Record, frozen=True, kw_only=True):
    """One release as it is installed: its reference, the digest of its manifest, and the variant that was chosen."""

    release: str
    digest: Digest
    variant: Name

    @property
    def directory(self) -> str:
        """The name of its directory below ``releases``."""
        return name_blob(self.digest)


class ModelSlots(Record, frozen=True, kw_only=True):
    """The slots of one model. *trial* holds a release on probation; *previous* is what a rollback returns to."""

    active: Installed | None = None
    trial: Installed | None = None
    previous: Installed | None = None

    @property
    def held(self) -> tuple[Installed, ...]:
        """What some slot needs."""
        return tuple(one for one in (self.active, self.trial, self.previous) if one is not None)

    def activate(self, installed: Installed | None) -> "ModelSlots":
        """The slots once *installed*, or nothing, is active. What was active becomes the previous one, unless it is the same."""
        if installed == self.active:
            return self
        return msgspec.structs.replace(self, active=installed, previous=self.active)

    def commit(self) -> "ModelSlots":
        """The slots once what is on trial is active; the same where nothing is."""
        return self if self.trial is None else msgspec.structs.replace(self, trial=None).activate(self.trial)

    def drop(self) -> "ModelSlots":
        """The slots without a trial."""
        return self if self.trial is None else msgspec.structs.replace(self, trial=None)

    def find_held(self, digest: str, variant: str | None) -> Installed | None:
        """What is held of the release with *digest*, where it is *variant* or any will do."""
        return next((one for one in self.held if one.digest == digest and variant in (None, one.variant)), None)


class SlotStore:
    """The state directory of one agent."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = root / "blobs" / "sha256"
        self.trust = root / "trust"
        self._releases = root / "releases"
        self._models = root / "models"
        self._staging = root / "staging"

    def list_models(self) -> list[str]:
        """The names of all models that have slots, sorted."""
        return sorted(path.parent.name for path in self._models.glob("*/slots.json"))

    def read_slots(self, model: str) -> ModelSlots:
        """The slots of *model*, all empty where nothing was ever installed; DeviceError where they cannot be read."""
        path = self._slots_path(model)
        try:
            return ModelSlots.decode(path.read_bytes(), str(path))
        except FileNotFoundError:
            return ModelSlots()
        except InputError as error:
            raise DeviceError(path, error.problem, "The disk may be failing. Remove this file, and install the release again.") from error
        except OSError as error:
            raise DeviceError(path, f"it cannot be read: {error.strerror}", "Check who may read the state directory.") from error

    def open_release(self, installed: Installed) -> VerifiedBundle:
        """The installed release, every byte held against its digest; TrustError where one has changed."""
        return open_bundle(self._releases / installed.directory, (installed.variant,), installed.digest)

    @contextmanager
    def locking(self) -> Iterator[None]:
        """The right to change this directory, which one process has at a time; DeviceError where another has it."""
        with naming_disk_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
        with holding_lock(self.root / "lock"):
            yield

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """An empty directory on the same disk, which vanishes with the block. The caller holds the lock."""
        with naming_disk_errors(self._staging):
            self._staging.mkdir(parents=True, exist_ok=True)
            directory = Path(tempfile.mkdtemp(dir=self._staging))
            try:
                yield directory
            finally:
                shutil.rmtree(directory, ignore_errors=True)

    def adopt(self, bundle: VerifiedBundle, release: str) -> Installed:
        """Make the one variant of *bundle*, which lies in staging, the active release of its model.

        The caller holds the lock, and has proven it. Until the last step, nothing that a slot needs is touched.
        """
        installed = self._keep(bundle, release)
        self._write_slots(bundle.manifest.name, self.read_slots(bundle.manifest.name).activate(installed))
        return installed

    def adopt_trial(self, bundle: VerifiedBundle, release: str) -> Installed:
        """Put the one variant of *bundle*, which lies in staging, into the trial slot of its model. The caller holds the lock."""
        installed = self._keep(bundle, release)
        self.try_again(bundle.manifest.name, installed)
        return installed

    def try_again(self, model: str, installed: Installed) -> None:
        """Put *installed*, which some slot of *model* holds, into the trial slot too. The caller holds the lock."""
        self._write_slots(model, msgspec.structs.replace(self.read_slots(model), trial=installed))

    def commit_trial(self, model: str) -> None:
        """Make what is on trial the active release of *model*; nothing is done where nothing is. The caller holds the lock."""
        self._change(model, ModelSlots.commit)

    def drop_trial(self, model: str) -> None:
        """Clear the trial slot of *model*. The caller holds the lock."""
        self._change(model, ModelSlots.drop)

    def deactivate(self, model: str) -> None:
        """Have no release of *model* active, and keep the one that was for a return. The caller holds the lock."""
        self._change(model, lambda slots: slots.drop().activate(None))

    def _change(self, model: str, change: Callable[[ModelSlots], ModelSlots]) -> None:
        slots = self.read_slots(model)
        changed = change(slots)
        if changed != slots:
            self._write_slots(model, changed)

    def _keep(self, bundle: VerifiedBundle, release: str) -> Installed:
        """Store the files of *bundle* where its slots can point to them."""
        installed = Installed(release=release, digest=bundle.digest, variant=bundle.variants[0].id)
        for entry in _files_of(bundle.manifest, {installed.variant}):
            store_blob(bundle.root / entry.path, entry, self.blobs)
        self._link_release(bundle.root / MANIFEST, bundle.manifest, installed)
        return installed

    def roll_back(self, model: str) -> Installed:
        """Make the previous release of *model* the active one again. The caller holds the lock.

        Raises:
            InputError: there is none to return to.
            TrustError: its files have changed; nothing was done.
        """
        slots = self.read_slots(model)
        if slots.previous is None:
            raise InputError(f"model {model!r}", "it has no previous release here", "Install the one that you want with edgekit-agent install.")
        self.open_release(slots.previous)
        self._write_slots(model, slots.activate(slots.previous))
        return slots.previous

    def clean(self, *, keep_partial: bool = False) -> None:
        """Remove what a crash left in staging, and every release and blob that no slot needs. The caller holds the lock.

        *keep_partial* leaves downloads that broke off, so that the next attempt goes on from there.

        Raises:
            DeviceError: some slots cannot be read, so that nobody knows what they need; nothing was removed.
        """
        held = [one for model in self.list_models() for one in self.read_slots(model).held]
        needed = {name_blob(entry.digest) for one in held for entry in self._needed_files(one)}
        with naming_disk_errors(self.root):
            shutil.rmtree(self._staging, ignore_errors=True)
            _keep_only(self._releases, {one.directory for one in held})
            _keep_only(self.blobs, needed | ({path.name for path in self.blobs.glob(".*.partial")} if keep_partial else set()))

    def _needed_files(self, installed: Installed) -> list[FileEntry]:
        path = self._releases / installed.directory / MANIFEST
        return _files_of(decode_manifest(path.read_bytes(), str(path)), {installed.variant}) if path.is_file() else []

    def _slots_path(self, model: str) -> Path:
        return self._models / model / "slots.json"

    def _write_slots(self, model: str, slots: ModelSlots) -> None:
        write_file(self._slots_path(model), msgspec.json.format(slots.encode(), indent=2))

    def _link_release(self, manifest_path: Path, manifest: Manifest, installed: Installed) -> None:
        """Build the release's directory of links. It holds every variant that a slot needs, not the new one alone."""
        slots = self.read_slots(manifest.name)
        variants = {installed.variant, *(one.variant for one in slots.held if one.digest == installed.digest)}
        with replacing_directory(self._releases / installed.directory) as directory:
            shutil.copyfile(manifest_path, directory / MANIFEST)
            for entry in _files_of(manifest, variants):
                link_or_copy(self.blobs / name_blob(entry.digest), directory / entry.path)


def _files_of(manifest: Manifest, variants: Iterable[str]) -> list[FileEntry]:
    return [*manifest.shared_files, *(entry for variant in variants for entry in manifest.find_variant(variant).files)]


def _keep_only(directory: Path, names: set[str]) -> None:
    for path in directory.iterdir() if directory.is_dir() else ():
        if path.name not in names and path.is_dir():
            shutil.rmtree(path)
        elif path.name not in names:
            path.unlink()
