"""A release repository on this machine, as its publisher sees it: read whole, and verified against its own root."""

from dataclasses import dataclass
from pathlib import Path

from tuf.api.exceptions import BadVersionNumberError
from tuf.api.metadata import MetaFile, Root, Snapshot, Targets, Timestamp

from edgekit.errors import InputError
from edgekit.releases.layout import METADATA, TIMESTAMP, name_metadata
from edgekit.releases.metadata import Signable, decode_root, decode_signed
from edgekit.releases.refusals import naming_refusals

#: Held while somebody publishes.
LOCK = ".lock"


@dataclass(frozen=True)
class State:
    """What a repository says now. All but *root* are None until something was published.

    *targets_bytes* are those of the file, over which the snapshot has a digest.
    """

    root: Root
    targets: Targets | None = None
    targets_bytes: bytes = b""
    snapshot: Snapshot | None = None
    timestamp: Timestamp | None = None

    @property
    def signed(self) -> dict[str, Signable]:
        """What there is, by role."""
        parts = (self.root, self.targets, self.snapshot, self.timestamp)
        return {part.type: part for part in parts if part is not None}


def is_fresh(directory: Path) -> bool:
    """Whether a repository may be made in *directory*: there is nothing in it but what a publisher left who broke off at once."""
    if not directory.exists():
        return True
    names = {path.name for path in directory.iterdir()}
    return names <= {LOCK, METADATA} and not list((directory / METADATA).glob("[!.]*"))


def is_repository(directory: Path) -> bool:
    """Whether *directory* holds a release repository."""
    return (directory / name_metadata("root", 1)).is_file()


def read_state(directory: Path) -> State:
    """The state of the repository in *directory*. Whether it has expired is not looked at: a publisher is here to mend that.

    Raises:
        InputError: a file is missing.
        TrustError: a file is damaged, or not signed by the keys that the root names.
    """
    with naming_refusals(str(directory), lambda: "its metadata has expired"):
        root = _read_root(directory)
        if not (directory / TIMESTAMP).is_file():
            return State(root)
        timestamp = decode_signed(Timestamp, _read(directory, TIMESTAMP), root)
        snapshot = decode_signed(Snapshot, _read_listed(directory, "snapshot", timestamp.snapshot_meta), root)
        data = _read_listed(directory, "targets", snapshot.meta["targets.json"])
        return State(root, decode_signed(Targets, data, root), data, snapshot, timestamp)


def _read_root(directory: Path) -> Root:
    """The newest root, each signed by the one before it (TUF specification, section 5.3)."""
    root = decode_root(_read(directory, name_metadata("root", 1)))
    while (directory / name_metadata("root", root.version + 1)).is_file():
        data = _read(directory, name_metadata("root", root.version + 1))
        successor = decode_signed(Root, data, root)
        if successor.version != root.version + 1:
            raise BadVersionNumberError(f"the root after version {root.version} says that it is version {successor.version}")
        root = decode_root(data)
    return root


def _read_listed(directory: Path, role: str, entry: MetaFile) -> bytes:
    data = _read(directory, name_metadata(role, entry.version))
    entry.verify_length_and_hashes(data)
    return data


def _read(directory: Path, name: str) -> bytes:
    try:
        return (directory / name).read_bytes()
    except OSError as error:
        raise InputError(directory / name, f"the repository needs it, and it cannot be read: {error.strerror}", "Restore it from a copy.") from error
