"""TUF metadata made and changed: pure steps from one state to the next, with the time as an argument.

Nothing here is changed in place: each step gives new metadata, one version on, which is nothing until it is signed.
"""

import copy
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TypeVar

from securesystemslib.signer import Signer
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from edgekit.releases.layout import name_target, read_target
from edgekit.releases.versions import Release, precedence
from edgekit.signing import ROLES, KeySet

Signable = Root | Targets | Snapshot | Timestamp
S = TypeVar("S", Root, Targets, Snapshot, Timestamp)

#: How long each role's word is good for. Offline roles need a person, who should not be needed more than once a year.
#: Snapshot and timestamp bound how long a mirror can hide a newer release from a device (a freeze attack), and how long a
#: publisher may be away before devices refuse what they are offered.
LIFETIMES = {
    "root": timedelta(days=365),
    "targets": timedelta(days=365),
    "snapshot": timedelta(days=30),
    "timestamp": timedelta(days=30),
}


def first_root(keys: KeySet, now: datetime) -> Root:
    """The root that trusts *keys*, one for each role."""
    root = Root(version=1, expires=now + LIFETIMES["root"], consistent_snapshot=True)
    for role in ROLES:
        root.add_key(keys.find_key(role), role)
    return root


def renew(signed: S, now: datetime) -> S:
    """The same statement, one version on and good for a whole lifetime again."""
    renewed = copy.deepcopy(signed)
    renewed.version += 1
    renewed.expires = now + LIFETIMES[signed.type]
    return renewed


def is_due(signed: Signable, now: datetime) -> bool:
    """Whether less than half of its lifetime is left, so that there is as much time again for a renewal that fails."""
    return signed.expires - now < LIFETIMES[signed.type] / 2


def add_release(targets: Targets | None, release: Release, now: datetime) -> Targets:
    """*targets* with *release* among them; None is the state before the first release."""
    entry = TargetFile(release.length, {"sha256": release.digest.removeprefix("sha256:")}, name_target(release.reference))
    entry.unrecognized_fields["custom"] = {"name": release.name, "version": release.version}
    return add_target(targets, entry, now)


def add_target(targets: Targets | None, entry: TargetFile, now: datetime) -> Targets:
    """*targets* with *entry* in the place of whatever had its path."""
    renewed = renew(targets, now) if targets else Targets(version=1, expires=now + LIFETIMES["targets"])
    renewed.targets[entry.path] = entry
    return renewed


def list_targets(targets: Targets | None) -> tuple[Release, ...]:
    """The releases among *targets*, by name and from old to new. Targets of other kinds are passed over."""
    return sort_releases(filter(None, map(read_release, targets.targets.values()))) if targets else ()


def read_release(entry: TargetFile) -> Release | None:
    """The release that *entry* is; None where it is a target of another kind."""
    reference, digest = read_target(entry.path), entry.hashes.get("sha256")
    if reference is None or digest is None:
        return None
    return Release(name=reference.name, version=reference.version, digest=f"sha256:{digest}", length=entry.length)


def sort_releases(releases: Iterable[Release]) -> tuple[Release, ...]:
    """*releases* by name, and each name's from old to new."""
    return tuple(sorted(releases, key=lambda release: (release.name, precedence(release.version))))


def next_snapshot(snapshot: Snapshot | None, version: int, targets: bytes, now: datetime) -> Snapshot:
    """The snapshot that names *targets*, the bytes of that version of the targets metadata."""
    renewed = renew(snapshot, now) if snapshot else Snapshot(version=1, expires=now + LIFETIMES["snapshot"])
    renewed.meta["targets.json"] = MetaFile.from_data(version, targets, ["sha256"])
    return renewed


def next_timestamp(timestamp: Timestamp | None, version: int, snapshot: bytes, now: datetime) -> Timestamp:
    """The timestamp that names *snapshot*, the bytes of that version of the snapshot metadata."""
    renewed = renew(timestamp, now) if timestamp else Timestamp(version=1, expires=now + LIFETIMES["timestamp"])
    renewed.snapshot_meta = MetaFile.from_data(version, snapshot, ["sha256"])
    return renewed


def sign(signed: S, signer: Signer) -> bytes:
    """*signed* with one signature, as the bytes of its file."""
    metadata = Metadata[S](signed)
    metadata.sign(signer)
    return metadata.to_bytes()


def decode_root(data: bytes) -> Root:
    """The root in *data*, which must sign itself; RepositoryError of python-tuf where it does not."""
    return decode_signed(Root, data, _decode(Root, data).signed)


def decode_signed(kind: type[S], data: bytes, root: Root) -> S:
    """The signed part of *data*, once *root* has vouched for it; RepositoryError of python-tuf where it does not."""
    metadata = _decode(kind, data)
    root.verify_delegate(kind.type, metadata.signed_bytes, metadata.signatures)
    return metadata.signed


def _decode(kind: type[S], data: bytes) -> Metadata[S]:
    metadata = Metadata[S].from_bytes(data)
    if not isinstance(metadata.signed, kind):
        raise RepositoryError(f"it is {metadata.signed.type} metadata where that of {kind.type} belongs")
    return metadata
