"""What a machine trusts, and what it has seen: the memory that makes a rollback detectable."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Signed, Targets

from edgekit.errors import TrustError
from edgekit.files import digest_bytes, write_file
from edgekit.releases.metadata import decode_root, list_targets
from edgekit.releases.versions import Release

#: The root that this machine was given. It alone is where trust begins: all else in the directory is remembered so that
#: nothing older is ever accepted.
_PINNED = "pinned.root.json"


class TrustStore:
    """The directory with the pinned root and with the metadata that python-tuf has verified, each under its role's name."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def is_pinned(self) -> bool:
        """Whether this machine was ever told whom to trust."""
        return (self.directory / _PINNED).is_file()

    def read_root(self) -> bytes:
        """The pinned root, or TrustError that says how to get one."""
        if not self.is_pinned:
            raise TrustError(
                self.directory,
                "this machine has not been told whose releases to trust",
                "Give it the publisher's first root, metadata/1.root.json, with --trust-root FILE; carry it by a way that you trust.",
            )
        return (self.directory / _PINNED).read_bytes()

    def pin(self, root: bytes, subject: str) -> str:
        """Make *root* the beginning of all trust, and give its digest.

        Raises:
            TrustError: it is not a root that signs itself, or another one is trusted already.
        """
        _check_root(root, subject)
        if self._is_successor(root):
            return digest_bytes(root)
        if self.is_pinned and self.read_root() != root:
            raise TrustError(
                self.directory,
                f"this machine trusts the root {digest_bytes(self.read_root())}, and {digest_bytes(root)} was given",
                "A newer root of the same publisher comes by itself. To trust another publisher, remove this directory first.",
            )
        write_file(self.directory / _PINNED, root)
        return digest_bytes(root)

    def _is_successor(self, root: bytes) -> bool:
        """Whether *root* is one to which the pinned root has led already; python-tuf keeps each that it verified."""
        return self.is_pinned and any(path.read_bytes() == root for path in self.directory.glob("root_history/*.root.json"))

    def list_releases(self) -> tuple[Release, ...]:
        """The releases in the newest targets metadata that was verified."""
        return list_targets(Metadata[Targets].from_file(str(self.directory / "targets.json")).signed)

    def find_expiry(self, last: bytes | None, now: datetime) -> str:
        """Which metadata has expired, in words: that of the root, else the *last* that came, else what is remembered."""
        remembered = [self.directory / f"{role}.json" for role in ("root", "timestamp", "snapshot", "targets")]
        root, *others = [path.read_bytes() for path in remembered if path.is_file()]
        expired = [signed for signed in _decode_all(filter(None, (root, last, *others))) if signed.is_expired(now)]
        return f"its {expired[0].type} metadata expired on {expired[0].expires:%Y-%m-%d %H:%M} UTC" if expired else "its metadata has expired"


def _decode_all(files: Iterator[bytes]) -> Iterator[Signed]:
    for data in files:
        metadata: Metadata[Any] = Metadata.from_bytes(data)
        yield metadata.signed


def _check_root(data: bytes, subject: str) -> None:
    try:
        decode_root(data)
    except RepositoryError as error:
        raise TrustError(subject, f"it is not a root that signs itself: {error}", "Get metadata/1.root.json from the publisher again.") from error
