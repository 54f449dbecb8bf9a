"""Files that are either whole or absent: written beside their place, flushed, and renamed into it."""

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgekit.errors import DeviceError, InputError

CHUNK = 1 << 20


def digest_bytes(data: bytes) -> str:
    """The digest of *data*: ``sha256:…``."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """The digest of the bytes in *path*, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return "sha256:" + digest.hexdigest()


def digest_files(files: Sequence[Path]) -> str:
    """The digest of the one file; of several that of their names and digests, a line each, as sha256sum(1) writes them."""
    if len(files) == 1:
        return digest_file(files[0])
    return digest_bytes("".join(f"{digest_file(file).removeprefix('sha256:')}  {file.name}\n" for file in sorted(files)).encode())


def read_limited(path: Path, limit: int, remedy: str) -> bytes:
    """The bytes of the file at *path*; InputError where it cannot be read, or, with *remedy*, where it has more than *limit*."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise InputError(path, f"it cannot be read: {error.strerror}", "Check the path.") from error
    if len(data) > limit:
        raise InputError(path, f"it is larger than {limit >> 20} MiB", remedy)
    return data


def write_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Put *data* at *path*, so that a reader or a power cut finds the old bytes or the new, never a mixture."""
    with naming_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in the directory *path* survive a power cut (fsync(2))."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def replacing_directory(destination: Path) -> Iterator[Path]:
    """A new directory that takes the place of *destination* when the block ends well, and vanishes when it does not.

    The two swap by rename, so at no time is a half-written directory at *destination*.
    """
    with naming_disk_errors(destination):
        staging = _make_beside(destination)
        try:
            yield staging
            sync_tree(staging)
            staging.chmod(0o755)
            _swap(staging, destination)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _make_beside(destination: Path) -> Path:
    destination.parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=destination.parent, prefix=f".{destination.name}."))


def _swap(staging: Path, destination: Path) -> None:
    if not destination.exists():
        staging.rename(destination)
    else:
        retired = _make_beside(destination) / "old"
        destination.rename(retired)
        try:
            staging.rename(destination)
        except BaseException:
            retired.rename(destination)
            raise
        finally:
            shutil.rmtree(retired.parent, ignore_errors=True)
    sync_directory(destination.parent)


def sync_tree(root: Path) -> None:
    """Make every file below *root*, and its name, survive a power cut."""
    for directory, _, names in os.walk(root):
        for name in names:
            with open(os.path.join(directory, name), "rb") as file:
                os.fsync(file.fileno())
        sync_directory(Path(directory))


# fmt: off
_DISK_ERRORS: dict[int, tuple[str, str]] = {
    errno.ENOSPC:       ("the disk is full, and nothing was written",  "Free some room and run the same command again."),
    errno.EDQUOT:       ("the quota is used up, and nothing was written", "Free some room and run the same command again."),
    errno.EROFS:        ("the file system is read-only",               "Choose a place that can be written."),
    errno.EACCES:       ("this user may not write there",              "Choose a place that this user may write to."),
    errno.EPERM:        ("this user may not write there",              "Choose a place that this user may write to."),
    errno.ENOENT:       ("nothing can be made there",                  "Choose another place."),
    errno.ENOTDIR:      ("a part of the path is not a directory",      "Choose another place."),
    errno.EISDIR:       ("it is a directory",                          "Choose another place."),
    errno.EEXIST:       ("something else is there",                    "Choose another place."),
    errno.ENAMETOOLONG: ("the name is too long",                       "Choose a shorter one."),
}
# fmt: on


@contextlib.contextmanager
def naming_disk_errors(path: Path) -> Iterator[None]:
    """Turn the system's word for a disk that is full, read-only or forbidden into a DeviceError.

    It names *path*, or the file that the system names where that lies elsewhere: it may be the temporary directory that is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        problem, remedy = _DISK_ERRORS[error.errno]
        raise DeviceError(_find_place(error, path), problem, remedy) from error


def _find_place(error: OSError, path: Path) -> Path:
    named = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else path
    beside = Path(os.path.abspath(named)).is_relative_to(os.path.abspath(path.parent))  # noqa: PTH100 - it takes .. out, and follows no link
    return path if beside else named
