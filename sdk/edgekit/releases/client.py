"""The fetching side: a release comes to this machine only through metadata that its trusted root vouches for."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timezone
from pathlib import Path

from securesystemslib.signer import Key
from tuf.api.metadata import TargetFile
from tuf.ngclient import Updater

from edgekit.bundles import MANIFEST, VerifiedBundle, open_bundle
from edgekit.errors import InputError, TrustError, UnknownName
from edgekit.fetching.base import Fetcher
from edgekit.fetching.locations import choose_fetcher, find_base_url, find_directory
from edgekit.files import naming_disk_errors, sync_tree
from edgekit.manifest import Manifest, decode_manifest
from edgekit.releases.director_keys import MAX_BYTES, decode_keys
from edgekit.releases.downloads import Downloads
from edgekit.releases.layout import DIRECTOR_KEYS, METADATA, TARGETS, TIMESTAMP, name_metadata, name_target
from edgekit.releases.metadata import read_release
from edgekit.releases.refusals import naming_refusals
from edgekit.releases.trust import TrustStore
from edgekit.releases.tuf_fetcher import TufFetcher
from edgekit.releases.versions import Release, ReleaseReference

#: Given the manifest, says which variants are to be fetched, by their ids.
Choose = Callable[[Manifest], Sequence[str]]
#: Called with the file that comes next, how many files are there, and how many there will be.
Progress = Callable[[str, int, int], None]

_MAX_ROOT_BYTES = 512_000


class ReleaseClient:
    """Reads the release repository at *location*: a directory, or a ``file:``, ``http:`` or ``https:`` address.

    *trust* is the directory with what this machine trusts and has seen; two clients must not use it at the same time.
    *fetcher* follows from *location* where none is given. *blobs* is a directory in which files are kept by digest, so that
    what two releases share is fetched once.
    """

    def __init__(self, location: str | Path, trust: Path, fetcher: Fetcher | None = None, blobs: Path | None = None) -> None:
        self.location = str(location)
        self.blobs = blobs
        self._store = TrustStore(trust)
        self._fetcher = fetcher or choose_fetcher(self.location)
        self._tuf_fetcher = TufFetcher(self._fetcher)

    @property
    def is_local(self) -> bool:
        """Whether the repository is a directory of this machine."""
        return find_directory(self.location) is not None

    @property
    def is_pinned(self) -> bool:
        """Whether this machine was ever told whom to trust."""
        return self._store.is_pinned

    def trust_root(self, root: bytes) -> str:
        """Make *root*, the bytes of the publisher's ``1.root.json``, the beginning of all trust; its digest.

        Raises:
            TrustError: it is not a root that signs itself, or this machine trusts another one.
        """
        return self._store.pin(root, "trusted root")

    def pin_first_root(self) -> str:
        """Trust the first root that the repository itself offers; its digest, so that it can be said to the user.

        This believes whoever answers, once: it is for a repository that is trusted for another reason, as a directory
        of this machine. Where a root is trusted already, that one stays and nothing is fetched.
        """
        if self._store.is_pinned:
            return self._store.pin(self._store.read_root(), self.location)
        url = self._find_base() + name_metadata("root", 1)
        with self._fetcher.fetch(url, 0, _MAX_ROOT_BYTES) as pieces:
            return self._store.pin(b"".join(pieces), url)

    def refresh(self) -> None:
        """Bring what is known of the repository up to date (TUF specification, section 5, "Detailed client workflow").

        Raises:
            TrustError: no root is trusted yet, or what is offered is unsigned, older than what was seen, expired, or
                damaged. What was known stays.
            TransferError: the repository cannot be reached.
            InputError: there is no repository at the location.
        """
        self._update()

    def list_releases(self) -> tuple[Release, ...]:
        """All releases as of now, by name and from old to new; raises as refresh does."""
        self._update()
        return self._store.list_releases()

    def find_release(self, reference: ReleaseReference) -> Release:
        """The release of that name and version as of now; UnknownName, with those that exist, where there is none."""
        return _describe(self._find_target(self._update(), reference))

    def read_manifest(self, reference: ReleaseReference) -> Manifest:
        """The manifest of a release, verified; raises as fetch_release does."""
        with tempfile.TemporaryDirectory() as scratch:
            return self._fetch_manifest(reference, Path(scratch))[0]

    def read_director_keys(self) -> list[Key]:
        """The public keys of the director whose desired states devices obey, as of now; raises as refresh does.

        Raises:
            InputError: the repository names no director.
        """
        updater = self._update()
        target = updater.get_targetinfo(DIRECTOR_KEYS)
        if target is None:
            raise InputError(self.location, "it names no director, so there is no fleet behind it", "Make one with edgekit fleet init.")
        if target.length > MAX_BYTES:
            raise TrustError(DIRECTOR_KEYS, f"it has {target.length} bytes, and {MAX_BYTES} is the most", "Ask its publisher.")
        with tempfile.TemporaryDirectory() as scratch, self._refusing(DIRECTOR_KEYS):
            path = updater.download_target(target, str(Path(scratch) / "keys.json"))
            return decode_keys(Path(path).read_bytes(), f"{DIRECTOR_KEYS} of {self.location}")

    def fetch_release(self, reference: ReleaseReference, directory: Path, choose: Choose, progress: Progress | None = None) -> VerifiedBundle:
        """Fetch a release into *directory*: its manifest, its golden samples, and the variants that *choose* names.

        What is there already and intact is not fetched again, so a fetch that broke off is ended by another.

        Raises:
            InputError: there is no such release or variant.
            TrustError: anything is not what the publisher signed.
            TransferError: the source cannot be reached, or lacks a file.
            DeviceError: *directory* cannot be written.
        """
        manifest, digest = self._fetch_manifest(reference, directory)
        chosen = tuple(choose(manifest))
        entries = (*manifest.shared_files, *(entry for variant in map(manifest.find_variant, chosen) for entry in variant.files))
        downloads = Downloads(self._find_base(), self._fetcher, self.blobs)
        for done, entry in enumerate(entries):
            if progress:
                progress(entry.path, done, len(entries))
            downloads.provide(entry, directory)
        return open_bundle(directory, variants=chosen, digest=digest)

    def _fetch_manifest(self, reference: ReleaseReference, directory: Path) -> tuple[Manifest, str]:
        """The manifest of a release, put into *directory*, and the digest that was signed."""
        updater = self._update()
        target = self._find_target(updater, reference)
        release = _describe(target)
        path = directory / MANIFEST
        with self._refusing(str(reference)), naming_disk_errors(path):
            if updater.find_cached_target(target, str(path)) is None:
                updater.download_target(target, str(path))
        manifest = decode_manifest(path.read_bytes(), f"manifest of {reference}")
        if manifest.name != reference.name:
            raise TrustError(str(reference), f"its manifest is that of {manifest.name!r}", "Nothing was used of it; ask its publisher.")
        return manifest, release.digest

    def _update(self) -> Updater:
        root = self._store.read_root()
        base = self._find_base()
        trust = self._store.directory
        with self._refusing(self.location), naming_disk_errors(trust):
            updater = Updater(str(trust), base + METADATA, target_base_url=base + TARGETS, fetcher=self._tuf_fetcher, bootstrap=root)
            updater.refresh()
        # python-tuf renames without flushing: after a power cut this machine could forget how new the newest was.
        sync_tree(trust)
        return updater

    def _refusing(self, subject: str) -> AbstractContextManager[None]:
        return naming_refusals(subject, lambda: self._store.find_expiry(self._tuf_fetcher.last, datetime.now(timezone.utc)))

    def _find_target(self, updater: Updater, reference: ReleaseReference) -> TargetFile:
        target = updater.get_targetinfo(name_target(reference))
        if target is None:
            raise UnknownName("release", str(reference), (str(release.reference) for release in self._store.list_releases()))
        return target

    def _find_base(self) -> str:
        base = find_base_url(self.location)
        directory = find_directory(self.location)
        if directory is not None and not (directory / TIMESTAMP).is_file():
            raise InputError(self.location, "there is no release repository in it", "Check the path, or make one with edgekit release publish.")
        return base


@contextmanager
def visiting(location: str, root: bytes | None = None) -> Iterator[tuple[ReleaseClient, str]]:
    """A client that remembers nothing after the block, with the digest of the root that it trusts.

    That is *root*, or the first one that the repository offers: then what is read fits together, and who signed it is open.
    """
    with tempfile.TemporaryDirectory() as trust:
        client = ReleaseClient(location, Path(trust))
        yield client, client.pin_first_root() if root is None else client.trust_root(root)


def _describe(target: TargetFile) -> Release:
    release = read_release(target)
    if release is None:
        raise TrustError(target.path, "it is signed without a SHA-256", "Ask its publisher to publish it again.")
    return release
