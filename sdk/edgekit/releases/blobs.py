"""Files by their digest: stored once, and never believed without it."""

import hashlib
import os
import shutil
from pathlib import Path

from edgekit.artifacts import FileEntry
from edgekit.errors import DigestMismatch
from edgekit.files import CHUNK, digest_file, naming_disk_errors, sync_directory
from edgekit.releases.layout import name_blob


def is_intact(path: Path, entry: FileEntry) -> bool:
    """Whether the bytes of *entry* are at *path*."""
    return path.is_file() and path.stat().st_size == entry.length and digest_file(path) == entry.digest


def store_blob(source: Path, entry: FileEntry, blobs: Path) -> bool:
    """Put the bytes of *entry*, which lie at *source*, into the directory *blobs*; False where they are there already.

    Raises:
        DigestMismatch: *source* has other bytes; nothing was stored.
        DeviceError: it cannot be written.
    """
    place = blobs / name_blob(entry.digest)
    if is_intact(place, entry):
        return False
    with naming_disk_errors(place):
        blobs.mkdir(parents=True, exist_ok=True)
        _copy_verified(source, entry, place)
    return True


def _copy_verified(source: Path, entry: FileEntry, place: Path) -> None:
    temporary = place.with_name(f".{place.name}.partial")
    try:
        found = _copy(source, temporary)
        if found != entry.digest:
            raise DigestMismatch(source, entry.digest, found)
        settle(temporary, place)
    finally:
        # Half a file would only keep a full disk full.
        temporary.unlink(missing_ok=True)


def settle(temporary: Path, place: Path) -> None:
    """Give the whole and flushed file *temporary* its name, for good."""
    os.replace(temporary, place)
    sync_directory(place.parent)


def link_or_copy(blob: Path, place: Path) -> None:
    """Put the file *blob* at *place* too: as a hard link, or as a copy where the file system has none between the two."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    try:
        os.link(blob, place)
    except OSError:
        # EXDEV between file systems, EPERM on vfat, EMLINK after many: a copy does in each case, and a full disk fails here again.
        shutil.copyfile(blob, place)


def _copy(source: Path, destination: Path) -> str:
    """Copy *source* to *destination*, flushed; the digest of what was copied."""
    digest = hashlib.sha256()
    with source.open("rb") as reader, destination.open("wb") as writer:
        while piece := reader.read(CHUNK):
            digest.update(piece)
            writer.write(piece)
        writer.flush()
        os.fsync(writer.fileno())
    return "sha256:" + digest.hexdigest()
