"""The publishing side: a release goes into a repository step by step, so that a reader always sees the old or the new.

The order makes it so: blobs, the manifest, targets metadata and the snapshot get names that nobody knows yet, and the
timestamp, which leads to them, is replaced last and at once. A step that broke off leaves files that nothing leads to; to
publish again writes them again.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from securesystemslib.signer import Key
from tuf.api.metadata import Root, TargetFile, Targets, Timestamp

from edgekit.bundles import MANIFEST, VerifiedBundle
from edgekit.errors import DigestMismatch, InputError, TrustError
from edgekit.files import digest_bytes, digest_file, naming_disk_errors, write_file
from edgekit.locks import holding_lock
from edgekit.records import Digest, Record
from edgekit.releases.blobs import store_blob
from edgekit.releases.director_keys import encode_keys
from edgekit.releases.layout import BLOBS, DIRECTOR_KEYS, TIMESTAMP, name_metadata, name_target, name_target_file
from edgekit.releases.metadata import (
    S,
    add_release,
    add_target,
    first_root,
    is_due,
    list_targets,
    next_snapshot,
    next_timestamp,
    renew,
    sign,
)
from edgekit.releases.repository import LOCK, State, is_fresh, is_repository, read_state
from edgekit.releases.versions import Release, check_version, make_reference
from edgekit.signing import ROLES, KeySet, has_signer, load_signer, read_keys


class Publication(Record, frozen=True, kw_only=True):
    """What publishing did.

    *is_new* is False where the same release was there already. *root* is the digest of the first root, which devices are
    given. *expires* says for each role until when devices accept what was signed (RFC 3339, UTC).
    """

    release: Release
    is_new: bool
    root: Digest
    expires: dict[str, str]


class Appointment(Record, frozen=True, kw_only=True):
    """What naming a director did: *is_new* is False where the same keys were named already; the rest as in a publication."""

    is_new: bool
    root: Digest
    expires: dict[str, str]


class Renewal(Record, frozen=True, kw_only=True):
    """What a refresh did: the roles that were signed anew, and those that need it and whose keys are not here."""

    renewed: tuple[str, ...]
    waiting: tuple[str, ...]
    expires: dict[str, str]


def publish_release(bundle: VerifiedBundle, version: str, repository: Path, keys: Path, now: datetime) -> Publication:
    """Publish *bundle* as *version* into the directory *repository*, which is made when it is not there.

    Args:
        bundle: a bundle of which all variants are here.
        version: a semantic version; the name is the bundle's.
        repository: a release repository, or a directory that is empty or absent.
        keys: the directory with the private keys.
        now: the time, with its zone, from which lifetimes count.

    Raises:
        InputError: the version is not one, the release exists with other bytes, *repository* holds something else, or a
            key is missing.
        TrustError: the repository is damaged, or was made with other keys.
        DeviceError: it cannot be written, or another publisher is at work.
    """
    release, manifest = _describe_release(bundle, version)
    publisher = Publisher(repository, keys)
    with publisher.working():
        state = publisher.renew_root(publisher.open_state(now), now)
        is_new = _is_new(release, state)
        _store_files(bundle, release, manifest, repository)
        if is_new:
            targets = add_release(state.targets, release, now)
            state = publisher.sign_online(publisher.sign_targets(state, targets), targets, now)
        return Publication(release=release, is_new=is_new, root=_digest_root(repository), expires=_list_expiries(state))


def publish_director(director: Sequence[Key], repository: Path, keys: Path, now: datetime, *, replacing: bool = False) -> Appointment:
    """Make *director* the keys that devices obey: the TUF target ``director/keys.json`` of *repository*, made when it is not there.

    Args:
        director: the public keys; whichever of them signs a desired state, devices do as it says.
        repository: a release repository, or a directory that is empty or absent.
        keys: the directory with the private keys of the repository.
        now: the time, with its zone, from which lifetimes count.
        replacing: whether other keys that are named already may be replaced.

    Raises:
        InputError: another director is named already, *repository* holds something else, or a key is missing.
        TrustError: the repository is damaged, or was made with other keys.
        DeviceError: it cannot be written, or another publisher is at work.
    """
    data = encode_keys(director)
    publisher = Publisher(repository, keys)
    with publisher.working():
        state = publisher.renew_root(publisher.open_state(now), now)
        named = _find_director(state)
        if named not in (None, digest_bytes(data)) and not replacing:
            problem = "it names another director already, and the devices of that fleet would obey it no more"
            raise InputError(repository, problem, "Use the fleet that it belongs to, or give --replace-director to change over to this one.")
        if named != digest_bytes(data):
            write_file(repository / name_target_file(DIRECTOR_KEYS, digest_bytes(data)), data)
            targets = add_target(state.targets, TargetFile.from_data(DIRECTOR_KEYS, data, ["sha256"]), now)
            state = publisher.sign_online(publisher.sign_targets(state, targets), targets, now)
        return Appointment(is_new=named != digest_bytes(data), root=_digest_root(repository), expires=_list_expiries(state))


def refresh_repository(repository: Path, keys: Path, now: datetime) -> Renewal:
    """Sign anew what has less than half of its lifetime left, as far as the keys for it are in *keys*.

    Raises:
        InputError: *repository* is not one, or nothing was published there.
        TrustError: the repository is damaged, or was made with other keys.
        DeviceError: it cannot be written, or another publisher is at work.
    """
    if not is_repository(repository):
        raise InputError(repository, "it is not a release repository", "Check the path, or make one with edgekit release publish.")
    publisher = Publisher(repository, keys)
    with publisher.working():
        before = publisher.open_state(now)
        state = publisher.renew_online(publisher.renew_targets(publisher.renew_root(before, now), now), now)
    was, found = before.signed, state.signed
    return Renewal(
        renewed=tuple(role for role in found if found[role] is not was[role]),
        waiting=tuple(role for role in found if is_due(found[role], now)),
        expires=_list_expiries(state),
    )


@dataclass(frozen=True)
class Publisher:
    """One who writes into *repository* with what *keys* has. Each step gives the state after it.

    Targets are signed in one step and snapshot and timestamp in another, since their keys may lie on two machines.
    """

    repository: Path
    keys: Path

    @contextmanager
    def working(self) -> Iterator[None]:
        """Nobody else publishes here while the block runs."""
        if not is_repository(self.repository):
            self._check_fresh()
        with naming_disk_errors(self.repository):
            self.repository.mkdir(parents=True, exist_ok=True)
        with holding_lock(self.repository / LOCK):
            yield

    def open_state(self, now: datetime) -> State:
        """The state that the repository is in; a new one gets its root."""
        keys = read_keys(self.keys)
        if is_repository(self.repository):
            state = read_state(self.repository)
            _check_keys(state.root, keys, self.repository)
            return state
        root = first_root(keys, now)
        self._write(root)
        return State(root)

    def sign_targets(self, state: State, targets: Targets) -> State:
        """The offline step: *targets* lie in the repository, and no reader knows it yet."""
        return replace(state, targets=targets, targets_bytes=self._write(targets))

    def sign_online(self, state: State, targets: Targets, now: datetime) -> State:
        """The online step: the snapshot names *targets*, and the timestamp, last of all, the snapshot."""
        snapshot = next_snapshot(state.snapshot, targets.version, state.targets_bytes, now)
        timestamp = next_timestamp(state.timestamp, snapshot.version, self._write(snapshot), now)
        self._write(timestamp)
        return replace(state, snapshot=snapshot, timestamp=timestamp)

    def renew_root(self, state: State, now: datetime) -> State:
        """A root for the next lifetime, where it is due and its key is here."""
        if not is_due(state.root, now) or not has_signer(self.keys, "root"):
            return state
        root = renew(state.root, now)
        self._write(root)
        return replace(state, root=root)

    def renew_targets(self, state: State, now: datetime) -> State:
        """The same targets for the next lifetime, where that is due and their key is here."""
        if state.targets is None or not is_due(state.targets, now) or not has_signer(self.keys, "targets"):
            return state
        return self.sign_targets(state, renew(state.targets, now))

    def renew_online(self, state: State, now: datetime) -> State:
        """Snapshot and timestamp for the next lifetime, where that is due or the targets were renewed."""
        if state.targets is None or state.snapshot is None or state.timestamp is None:
            raise InputError(self.repository, "nothing was published in it", "Publish a release first.")
        is_named = state.snapshot.meta["targets.json"].version == state.targets.version
        if is_named and not is_due(state.snapshot, now) and not is_due(state.timestamp, now):
            return state
        return self.sign_online(state, state.targets, now)

    def _check_fresh(self) -> None:
        if self.repository.exists() and not self.repository.is_dir():
            raise InputError(self.repository, "it is a file, and a repository is a directory", "Name a directory that is new or empty.")
        if not is_fresh(self.repository):
            raise InputError(self.repository, "it holds other things, and is no release repository", "Name a directory that is new or empty.")
        # A repository that was begun and lacks a key half-way would have to be mended by hand.
        for role in ROLES:
            load_signer(self.keys, role)

    def _write(self, signed: S) -> bytes:
        """Sign *signed* and put it into the repository under the name of its role and version."""
        data = sign(signed, load_signer(self.keys, signed.type))
        name = TIMESTAMP if signed.type == Timestamp.type else name_metadata(signed.type, signed.version)
        write_file(self.repository / name, data)
        return data


def _describe_release(bundle: VerifiedBundle, version: str) -> tuple[Release, bytes]:
    """The release that *bundle* makes, and the bytes of its manifest."""
    reference = make_reference(bundle.manifest.name, check_version(version), bundle.manifest.name)
    if bundle.variants != bundle.manifest.variants:
        raise InputError(bundle.root, "it has only some of its variants, and a release has all", "Publish the bundle that edgekit convert made.")
    path = bundle.root / MANIFEST
    manifest = path.read_bytes()
    if digest_bytes(manifest) != bundle.digest:
        raise DigestMismatch(path, bundle.digest, digest_bytes(manifest))
    return Release(name=reference.name, version=reference.version, digest=bundle.digest, length=len(manifest)), manifest


def _is_new(release: Release, state: State) -> bool:
    """Whether *release* is yet to be published; InputError where its name and version mean other bytes already."""
    known = {other.reference: other.digest for other in list_targets(state.targets)}
    if known.get(release.reference, release.digest) != release.digest:
        raise InputError(
            str(release.reference),
            f"it is published with the manifest {known[release.reference]}, and this bundle's is {release.digest}: a release never changes",
            "Publish it under a higher version.",
        )
    return release.reference not in known


def _find_director(state: State) -> str | None:
    """The digest of the director's keys that the repository names."""
    entry = state.targets.targets.get(DIRECTOR_KEYS) if state.targets else None
    return f"sha256:{entry.hashes['sha256']}" if entry else None


def _digest_root(repository: Path) -> str:
    return digest_file(repository / name_metadata("root", 1))


def _store_files(bundle: VerifiedBundle, release: Release, manifest: bytes, repository: Path) -> None:
    for entry in bundle.manifest.files:
        store_blob(bundle.root / entry.path, entry, repository / BLOBS)
    write_file(repository / name_target_file(name_target(release.reference), release.digest), manifest)


def _check_keys(root: Root, keys: KeySet, repository: Path) -> None:
    foreign = [role for role in ROLES if keys.find_key(role).keyid not in root.roles[role].keyids]
    if foreign:
        raise TrustError(repository, f"its root names other keys for {', '.join(foreign)}", "Give with --keys the keys that it was made with.")


def _list_expiries(state: State) -> dict[str, str]:
    return {role: f"{signed.expires:%Y-%m-%dT%H:%M:%SZ}" for role, signed in state.signed.items()}
