"""Where each file of a release repository lies. All of them are static, so that any HTTP server will do.

``metadata/``: TUF metadata, each version under its own name but the timestamp (TUF specification, section 6.2,
"Consistent snapshots"). ``targets/<name>/<version>/<sha256>.manifest.json``: a release's manifest, which is the TUF target
``<name>/<version>/manifest.json``. ``blobs/sha256/<hex>``: every file that a manifest lists, once, whichever releases share it.
``targets/director/<sha256>.keys.json``: the public keys of the fleet's director, the TUF target ``director/keys.json``.
"""

from pathlib import PurePosixPath

import msgspec

from edgekit.bundles import MANIFEST
from edgekit.releases.versions import ReleaseReference

METADATA = "metadata"
TARGETS = "targets"
BLOBS = "blobs/sha256"
TIMESTAMP = f"{METADATA}/timestamp.json"
#: The TUF target with the keys that sign what devices should have. A release's has three parts, so none can take its name.
DIRECTOR_KEYS = "director/keys.json"


def name_metadata(role: str, version: int) -> str:
    """Where *version* of the metadata of *role* lies."""
    return f"{METADATA}/{version}.{role}.json"


def name_blob(digest: str) -> str:
    """The file name of the bytes with *digest*: its hexadecimal digits."""
    return digest.removeprefix("sha256:")


def name_target(reference: ReleaseReference) -> str:
    """The TUF target of a release."""
    return f"{reference.name}/{reference.version}/{MANIFEST}"


def name_target_file(path: str, digest: str) -> str:
    """Where the bytes with *digest* of the TUF target *path* lie: the name that a consistent snapshot gives (specification, section 6.2)."""
    place = PurePosixPath(path)
    return f"{TARGETS}/{place.with_name(f'{name_blob(digest)}.{place.name}')}"


def read_target(path: str) -> ReleaseReference | None:
    """The release that the TUF target *path* is; None where it is a target of another kind."""
    parts = PurePosixPath(path).parts
    if len(parts) != 3 or parts[2] != MANIFEST:
        return None
    try:
        return msgspec.convert({"name": parts[0], "version": parts[1]}, ReleaseReference)
    except msgspec.ValidationError:
        return None
