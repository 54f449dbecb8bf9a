"""Files below one folder: listed in one order on every machine, and never a byte from outside of it."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from edgekit.datasets.base import BadSample
from edgekit.errors import InputError

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
SOUNDS = (".wav", ".flac", ".ogg")
#: The most files that one set may have, and the largest of them in bytes.
MAX_FILES = 5_000_000
MAX_FILE_BYTES = 256 << 20
#: Control characters, and what stands for bytes that are no UTF-8: a key goes into JSON and into tables.
_UNSAYABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_OUTSIDE = "Name files by their paths inside the folder, and put the files themselves there."


#: The longest path and the longest part of one that common file systems take, in bytes (PATH_MAX and NAME_MAX of Linux, less a root).
_LONGEST, _LONGEST_PART = 3000, 255


def is_too_long(name: str) -> bool:
    """Whether no file can be called *name*: to look for one would be an error of the system's."""
    parts = [len(part.encode(errors="surrogatepass")) for part in name.split("/")]
    return sum(parts) > _LONGEST or max(parts) > _LONGEST_PART


def check_path(name: str, subject: str | Path) -> str:
    """*name* as a relative POSIX path without detours, or InputError where it is absolute, climbs or cannot be said.

    Args:
        name: a path that a file of annotations gives; a leading ``./`` is taken off.
        subject: the file that gives it.
    """
    if not name or _UNSAYABLE.search(name):
        raise InputError(subject, f"it names the file {name!r}, which is no path", "Rename the file, in letters that can be printed.")
    if is_too_long(name):
        raise InputError(subject, f"it names the file {name[:40]!r}…, which is longer than a path can be", "Correct the name.")
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or re.match("[A-Za-z]:", name):
        raise InputError(subject, f"it names the file {name!r}, which leaves the folder", _OUTSIDE)
    return path.as_posix()


def find_inside(root: Path, key: str) -> Path:
    """The file *key* below *root*, every link on the way followed; BadSample where it is none, or lies elsewhere."""
    try:
        path = (root / key).resolve(strict=True)
        mode = path.stat().st_mode
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its links go in a circle"
        raise BadSample(key, f"it cannot be read: {reason}", "Put the file there, or take its entry away.") from error
    if not path.is_relative_to(root.resolve()):
        raise BadSample(key, "it is a link that leaves the folder", _OUTSIDE)
    if not stat.S_ISREG(mode):
        raise BadSample(key, "it is no file", "Remove it.")
    return path


def read_inside(root: Path, key: str, limit: int = MAX_FILE_BYTES, *, empty: bool = False) -> bytes:
    """The bytes of the file *key* below *root*, at most *limit*, and not none unless *empty*; BadSample where they cannot be had."""
    path = find_inside(root, key)
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise BadSample(key, f"it cannot be read: {error.strerror}", "Check who may read it.") from error
    if len(data) > limit:
        raise BadSample(key, f"it has more than {limit >> 20} MiB", "Cut it into pieces.")
    if not data and not empty:
        raise BadSample(key, "it is empty", "Write it again.")
    return data


def read_bounded(path: Path, limit: int) -> bytes:
    """The bytes of a file that says what is true of others, at most *limit*; InputError where they cannot be had."""
    try:
        if not path.is_file():
            raise InputError(path, "there is no such file", "Check the path.")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise InputError(path, f"it cannot be read: {error.strerror}", "Check the path.") from error
    if len(data) > limit:
        raise InputError(path, f"it has more than {limit / 1e6:g} MB", "Cut it into parts.")
    return data


def list_files(root: Path, suffixes: tuple[str, ...], *, deep: bool = True) -> list[str]:
    """The files below *root* that end in one of *suffixes*, as sorted relative POSIX paths; those directly in it where not *deep*.

    What begins with a dot is left out, as are macOS's ``__MACOSX``, and folders behind links are not entered.
    """
    found: list[str] = []
    for name in _walk(root, deep=deep):
        if name.lower().endswith(suffixes):
            found.append(check_path(name, root))
        if len(found) > MAX_FILES:
            raise InputError(root, f"it has more than {MAX_FILES} files", "Give a part of it.")
    return sorted(found)


def _walk(root: Path, *, deep: bool) -> Iterator[str]:
    for directory, folders, names in os.walk(root):
        folders[:] = [name for name in folders if deep and _is_shown(name)]
        prefix = os.path.relpath(directory, root)
        for name in names:
            if _is_shown(name):
                yield name if prefix == "." else f"{prefix}/{name}"


def list_folders(root: Path) -> list[str]:
    """The names of the folders directly in *root*, sorted; those behind links are left out."""
    with os.scandir(root) as entries:
        return sorted(check_path(entry.name, root) for entry in entries if entry.is_dir(follow_symlinks=False) and _is_shown(entry.name))


def _is_shown(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"
