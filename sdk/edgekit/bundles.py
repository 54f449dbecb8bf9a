"""A bundle on disk: opened only when every byte is what its manifest says."""

from dataclasses import dataclass
from pathlib import Path

from edgekit.artifacts import FileEntry
from edgekit.errors import DigestMismatch, InputError
from edgekit.files import digest_bytes, digest_file
from edgekit.golden import GoldenSamples
from edgekit.manifest import Manifest, Variant, decode_manifest

MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 4 << 20


@dataclass(frozen=True)
class VerifiedBundle:
    """A bundle, or one variant of it, whose files were held against their digests. Only open_bundle makes one.

    *variants* are those whose files are here; *digest* is the manifest's.
    """

    root: Path
    manifest: Manifest
    digest: str
    variants: tuple[Variant, ...]

    def read_golden(self) -> GoldenSamples:
        """The golden samples, held against their digest once more as they are read."""
        path = self.root / self.manifest.golden.path
        return GoldenSamples.decode(_read_verified(path, self.manifest.golden), path)

    def read_file(self, entry: FileEntry) -> bytes:
        """The bytes of the file that *entry* names, held against its digest once more as they are read."""
        return _read_verified(self.root / entry.path, entry)

    def path_of(self, variant: Variant) -> Path:
        """The file of *variant* that its runtime opens."""
        return self.root / variant.files[0].path


def open_bundle(root: Path, variants: tuple[str, ...] | None = None, digest: str | None = None) -> VerifiedBundle:
    """Read and verify the bundle in the directory *root*.

    Args:
        root: the directory with ``manifest.json``.
        variants: ids of the variants that must be here, as on a device that fetched only one; None means all.
        digest: what the manifest's own digest must be, where a signature says so.

    Raises:
        InputError: no bundle, a file is missing, or the manifest is not one.
        SchemaTooNew: a newer edgekit made it.
        TrustError: a byte is not what the manifest, or the manifest not what *digest* says.
    """
    root = Path(root)
    data = _read_manifest(root)
    found = digest_bytes(data)
    if digest is not None and found != digest:
        raise DigestMismatch(root / MANIFEST, digest, found)
    manifest = decode_manifest(data, str(root / MANIFEST))
    chosen = manifest.variants if variants is None else tuple(map(manifest.find_variant, variants))
    for entry in (*manifest.shared_files, *(entry for variant in chosen for entry in variant.files)):
        check_file(root / entry.path, entry)
    return VerifiedBundle(root, manifest, found, chosen)


def check_file(path: Path, entry: FileEntry) -> None:
    """Hold the file at *path* against *entry*: its length first, which costs nothing, then its digest."""
    try:
        length = path.stat().st_size
        found = digest_file(path) if length == entry.length else f"that of {length} bytes instead of {entry.length}"
    except OSError as error:
        raise InputError(path, f"the manifest names it, and it cannot be read: {error.strerror}", "Fetch or build the bundle again.") from error
    if found != entry.digest:
        raise DigestMismatch(path, entry.digest, found)


def _read_manifest(root: Path) -> bytes:
    path = root / MANIFEST
    try:
        if path.is_fifo():
            raise InputError(path, "it is a pipe, and no bundle has one", "Make a bundle with edgekit convert.")
        with path.open("rb") as file:
            data = file.read(MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise InputError(root, f"it is not a bundle: {MANIFEST} cannot be read ({error.strerror})", "Make one with edgekit convert.") from error
    if len(data) > MAX_MANIFEST_BYTES:
        raise InputError(path, f"it is larger than {MAX_MANIFEST_BYTES} bytes", "Point to a bundle made by edgekit convert.")
    return data


def _read_verified(path: Path, entry: FileEntry) -> bytes:
    data = path.read_bytes()
    found = digest_bytes(data)
    if found != entry.digest:
        raise DigestMismatch(path, entry.digest, found)
    return data
