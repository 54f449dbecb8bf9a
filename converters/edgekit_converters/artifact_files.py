"""The files of an artifact as its record names them."""

from pathlib import Path

from edgekit.artifacts import FileEntry
from edgekit.files import digest_file


def describe_files(directory: Path, *names: str) -> tuple[FileEntry, ...]:
    """An entry for each of *names* in *directory*, with paths relative to it."""
    return tuple(FileEntry(path=name, digest=digest_file(directory / name), length=(directory / name).stat().st_size) for name in names)
