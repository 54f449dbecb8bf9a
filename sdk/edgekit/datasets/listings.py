"""A CSV that names files, with what is true of each beside its path: WAVs with their words, pictures with their classes."""

from collections.abc import Sequence
from pathlib import Path

from edgekit.contract import Feature
from edgekit.datasets.base import Truth
from edgekit.datasets.csv_file import index_csv, read_columns
from edgekit.datasets.files import FileSamples
from edgekit.datasets.folders import check_path
from edgekit.datasets.labels import number_labels
from edgekit.datasets.splits import select_split
from edgekit.errors import InputError

PATHS = ("path", "file", "filename", "file_name", "wav", "audio", "image")
LABELS = ("label", "class", "category")
TEXTS = ("text", "transcript", "sentence")
SPLITS = ("split", "subset")
MARKS = (*LABELS, *TEXTS, *SPLITS)


def find_column(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """The first of *names* that is among *columns*, in whatever case it is written there; None where none is."""
    written = {column.lower(): column for column in reversed(columns)}
    return next((written[name] for name in names if name in written), None)


def open_listing(path: Path, feature: Feature, labels: Sequence[str] = (), split: str | None = None) -> FileSamples:
    """The files that the CSV at *path* names, relative to its folder, in its order.

    A column of LABELS has classes or figures, one of TEXTS what is said; where both are there, texts count for none. Of a
    column of SPLITS the rows of *split* alone are taken.

    Raises:
        InputError: it is no CSV, names no files, names one twice or one outside of its folder, or a label is none of *labels*.
    """
    file, cells = index_csv(path, _spell(path))
    names = find_column(file.columns, PATHS)
    if names is None:
        raise InputError(path, f"it names no files: its columns are {', '.join(file.columns[:20])}", f"Call the column with the files {PATHS[0]}.")
    rows = select_split(path, cells.get(find_column(file.columns, SPLITS) or "", ()), file.n, split)
    keys = tuple(check_path(cells[names][row].strip(), path) for row in rows)
    _check_once(path, keys)
    truths, classes = _read_truths(path, cells, rows, labels)
    truths_by_key = dict(zip(keys, truths, strict=False))
    return FileSamples("listing", path, path.parent, feature.name, keys, classes, truths_by_key, (path,))


def _spell(path: Path) -> list[str]:
    """The columns that say something, as the file writes them."""
    columns = read_columns(path)
    return [name for names in (PATHS, LABELS, TEXTS, SPLITS) if (name := find_column(columns, names)) is not None]


def _read_truths(path: Path, cells: dict[str, list[str]], rows: Sequence[int], labels: Sequence[str]) -> tuple[Sequence[Truth], tuple[str, ...]]:
    """What is true of *rows*, with the names of classes; nothing where no column says it."""
    label, text = find_column(list(cells), LABELS), find_column(list(cells), TEXTS)
    if label is not None:
        numbered = number_labels([cells[label][row].strip() for row in rows], labels, path)
        return numbered.values, numbered.classes
    return ([cells[text][row] for row in rows] if text is not None else ()), tuple(labels)


def _check_once(path: Path, keys: Sequence[str]) -> None:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            raise InputError(path, f"it names {key} more than once", "Keep one of the rows.")
        seen.add(key)
    if not keys:
        raise InputError(path, "it names no files", "Add a row for each.")
