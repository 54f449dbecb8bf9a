"""Files of a release on their way to this machine: resumed where they broke off, and held against their digests."""

import os
from dataclasses import dataclass
from pathlib import Path

from edgekit.artifacts import FileEntry
from edgekit.errors import DigestMismatch
from edgekit.fetching.base import Fetcher
from edgekit.files import digest_file, naming_disk_errors
from edgekit.releases.blobs import is_intact, link_or_copy, settle
from edgekit.releases.layout import BLOBS, name_blob


@dataclass(frozen=True)
class Downloads:
    """Brings the blobs of the repository at *base_url*.

    Where there is a directory *blobs*, each file is kept there by its digest and linked from there, so that what two
    releases share is fetched once.
    """

    base_url: str
    fetcher: Fetcher
    blobs: Path | None = None

    def provide(self, entry: FileEntry, directory: Path) -> None:
        """Put the file of *entry* where it belongs below *directory*, unless it is there.

        Raises:
            TransferError: it cannot be had now. What came is kept, and the next call goes on from there.
            TrustError: what is offered is not what the manifest names; nothing is kept of it.
        """
        place = directory / entry.path
        if is_intact(place, entry):
            return
        with naming_disk_errors(place):
            if self.blobs is None:
                self._download(entry, place)
            else:
                blob = self.blobs / name_blob(entry.digest)
                if not is_intact(blob, entry):
                    self._download(entry, blob)
                link_or_copy(blob, place)

    def _download(self, entry: FileEntry, place: Path) -> None:
        url = f"{self.base_url}{BLOBS}/{name_blob(entry.digest)}"
        partial = place.with_name(f".{place.name}.partial")
        place.parent.mkdir(parents=True, exist_ok=True)
        resumed = self._append(url, entry, partial)
        if resumed and not is_intact(partial, entry):
            # It may be the older part that is damaged, as after a power cut: that is no fault of the source.
            partial.unlink()
            self._append(url, entry, partial)
        _check(partial, entry, url)
        settle(partial, place)

    def _append(self, url: str, entry: FileEntry, partial: Path) -> bool:
        """Bring what *partial* lacks; whether there was something to go on from."""
        with partial.open("ab") as file:
            start = file.tell()
            if start > entry.length:
                # Longer than the whole: nothing to go on from.
                start = file.truncate(0)
            if start < entry.length:
                with self.fetcher.fetch(url, start, entry.length - start) as pieces:
                    file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        return start > 0


def _check(partial: Path, entry: FileEntry, url: str) -> None:
    if is_intact(partial, entry):
        return
    found = digest_file(partial)
    partial.unlink()
    raise DigestMismatch(url, entry.digest, found)
