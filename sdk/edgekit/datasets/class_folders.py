"""A folder for each class, with pictures or sounds in it; and a folder of them without classes."""

from collections.abc import Sequence
from pathlib import Path

from edgekit.datasets.files import FileSamples
from edgekit.datasets.folders import list_files, list_folders
from edgekit.datasets.labels import find_class_names
from edgekit.errors import InputError


def open_class_folders(path: Path, feature: str, suffixes: tuple[str, ...], labels: Sequence[str] = ()) -> FileSamples:
    """The files below ``path/CLASS/``, however deep, for the feature *feature*.

    Classes are numbered by *labels*, the contract's, where there are any, and else in the order of the alphabet. Folders that are
    all numbers are the classes of these numbers, so that one that is missing does not move the others. An empty folder is
    a class without samples.
    """
    folders = list_folders(path)
    numbered = find_class_names(folders, labels, path)
    truths = {
        f"{folder}/{name}": number for folder, number in zip(folders, numbered.values, strict=True) for name in list_files(path / folder, suffixes)
    }
    if not truths:
        raise InputError(path, f"its {len(folders)} folders have no files of {' '.join(suffixes)}", "Point to a folder with a folder for each class.")
    return FileSamples("class-folders", path, path, feature, tuple(sorted(truths)), numbered.classes, truths)


def open_file_folder(path: Path, feature: str, suffixes: tuple[str, ...]) -> FileSamples:
    """The files below *path*, however deep, of which nothing is known to be true: enough to calibrate by."""
    keys = tuple(list_files(path, suffixes))
    if not keys:
        raise InputError(path, f"it has no files of {' '.join(suffixes)}", "Point to a folder with samples.")
    return FileSamples("files", path, path, feature, keys)
