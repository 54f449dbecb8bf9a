"""Tables of figures in CSVs: a file for each recording, or all in one; cut into the windows that the contract asks for."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.arrays import Array
from edgekit.contract import Cast, Feature, Normalize, Quantize, Scale, Windows
from edgekit.datasets.base import BadSample, Sample
from edgekit.datasets.csv_file import CsvFile, index_csv, read_columns
from edgekit.datasets.folders import list_files
from edgekit.datasets.labels import Labelled, number_labels
from edgekit.datasets.listings import LABELS, SPLITS, find_column
from edgekit.datasets.splits import select_split
from edgekit.errors import InputError

RECORDINGS = ("recording", "session")
#: Columns that say when a row was taken, and are no figures for a model unless a contract names them.
TIMES = ("time", "timestamp")
_MARKS = (*LABELS, *RECORDINGS, *SPLITS)


@dataclass(frozen=True)
class Piece:
    """The rows from *start* to *stop* of *table*, with the text of their label; *fault* says why they cannot be used."""

    table: CsvFile | None
    start: int
    stop: int
    label: str | None = None
    fault: str = ""


@dataclass(frozen=True)
class CsvWindows:
    """Pieces of recordings, each rows by the columns that the feature *feature* names. *pieces* has them by key."""

    path: Path
    feature: str
    columns: tuple[str, ...]
    pieces: dict[str, Piece]
    truths: dict[str, int | float]
    classes: tuple[str, ...]
    files: tuple[Path, ...]
    kind: str = "csv-windows"

    @property
    def keys(self) -> tuple[str, ...]:
        """The number of the first row, behind the file's path where there are several files."""
        return tuple(self.pieces)

    def read(self, key: str) -> Sample:
        """The rows of *key* as float32 (rows, columns); BadSample where a cell is no figure, or there are too few rows."""
        piece = self.pieces[key]
        if piece.table is None or piece.fault:
            raise BadSample(key, piece.fault, "Correct the file, or take it away.")
        places = [piece.table.columns.index(name) for name in self.columns]
        rows = piece.table.read_rows(piece.start, piece.stop)
        return Sample(key, {self.feature: _read_figures(key, rows, places, self.columns)}, self.truths.get(key))

    def find_file(self, key: str) -> Path | None:
        """The file of the recording, where it is the only one in it."""
        table = self.pieces[key].table
        return table.path if table is not None and key.find("#") < 0 and len(self.files) > 1 else None

    def find_class(self, key: str) -> int | None:
        """The number of its class; None where it has none."""
        truth = self.truths.get(key)
        return truth if isinstance(truth, int) else None


def open_windows(path: Path, feature: Feature, labels: Sequence[str] = (), split: str | None = None) -> CsvWindows:
    """The recordings in the CSV at *path*, or in the CSVs of that folder, as samples of *feature*.

    Where the contract cuts rows into Windows, each window is a sample: of one recording, from its first row on, and with
    the label that most of its rows have, the earlier of two as frequent. Else a recording is one, or a row where one file
    has no column of RECORDINGS.

    Raises:
        InputError: there is no CSV, a column that the contract names is not there, or a label is none of *labels*.
    """
    files = [(name, path / name) for name in list_files(path, (".csv",))] if path.is_dir() else [("", path)]
    if not files:
        raise InputError(path, "it has no CSV files", "Point to a CSV, or to a folder with one for each recording.")
    pieces, columns = _read_pieces(files, feature, split)
    if not columns:
        raise InputError(
            path, f"there is nothing to read: {next(iter(pieces.values())).fault}", "Write CSVs with a line of names and rows of figures."
        )
    if not pieces:
        raise InputError(path, "it has no rows", "Write a line of names and rows of figures.")
    numbered = _number(path, pieces, labels)
    truths = dict(zip((key for key, piece in pieces.items() if piece.label is not None), numbered.values, strict=True))
    return CsvWindows(path, feature.name, columns, pieces, truths, numbered.classes, tuple(file for _, file in files))


def _read_pieces(files: Sequence[tuple[str, Path]], feature: Feature, split: str | None) -> tuple[dict[str, Piece], tuple[str, ...]]:
    """The pieces of all *files*, by key, and the columns that they have; a file among others that cannot be used is a piece with a fault."""
    window = find_window(feature)
    pieces: dict[str, Piece] = {}
    columns: tuple[str, ...] = ()
    for name, file in files:
        try:
            table, cells = index_csv(file, _spell_marks(file))
            columns = _check_same(file, columns, _find_columns(file, table.columns, feature))
        except InputError as error:
            if not name:
                raise
            pieces[name] = Piece(None, 0, 0, fault=error.problem)
        else:
            pieces.update(_cut(name, table, cells, window, split))
    return pieces, columns


def find_window(feature: Feature) -> Windows | None:
    """The step that cuts *feature* into windows, where no step before it changes the number of rows."""
    for step in feature.steps:
        if isinstance(step, Windows):
            return step
        if not isinstance(step, Scale | Normalize | Cast | Quantize):
            return None
    return None


def _spell_marks(path: Path) -> list[str]:
    columns = read_columns(path)
    return [name for names in (LABELS, RECORDINGS, SPLITS) if (name := find_column(columns, names)) is not None]


def _find_columns(path: Path, columns: Sequence[str], feature: Feature) -> tuple[str, ...]:
    missing = [name for name in feature.columns if name not in columns]
    if missing:
        raise InputError(path, f"it has no columns {', '.join(missing)}; it has {', '.join(columns[:20])}", "Name them as the contract does.")
    return feature.columns or tuple(name for name in columns if name.lower() not in (*_MARKS, *TIMES))


def _check_same(path: Path, before: tuple[str, ...], found: tuple[str, ...]) -> tuple[str, ...]:
    if before and before != found:
        raise InputError(
            path, f"its columns are {', '.join(found[:20])}, and those of the files before it {', '.join(before[:20])}", "Give all the same."
        )
    if not found:
        raise InputError(path, "it has no columns of figures", "Add them, or name them in the contract.")
    return found


def _cut(name: str, table: CsvFile, cells: dict[str, list[str]], window: Windows | None, split: str | None) -> Iterator[tuple[str, Piece]]:
    """The pieces of one file, by key."""
    recordings = cells.get(find_column(list(cells), RECORDINGS) or "")
    labels = cells.get(find_column(list(cells), LABELS) or "")
    parts = cells.get(find_column(list(cells), SPLITS) or "", ())
    chosen = select_split(table.path, parts, table.n, split)
    alone = not name and recordings is None
    for start, stop in _find_runs(chosen, recordings):
        for first, last in _cut_run(start, stop, window, alone=alone):
            key = _name_piece(name, first, only=window is None and recordings is None)
            if window is not None and last - first < window.length:
                yield key, Piece(table, first, last, None, f"it has {last - first} rows, and a window has {window.length}")
            else:
                yield key, Piece(table, first, last, None if labels is None else _find_label(labels[first:last]))


def _name_piece(name: str, first: int, *, only: bool) -> str:
    return str(first) if not name else name if only else f"{name}#{first}"


def _find_runs(rows: Sequence[int], recordings: Sequence[str] | None) -> Iterator[tuple[int, int]]:
    """Neighbouring rows of one recording, as the first and one beyond the last."""
    begin = 0
    for index in range(1, len(rows) + 1):
        ends = index == len(rows) or rows[index] != rows[index - 1] + 1
        if ends or (recordings is not None and recordings[rows[index]] != recordings[rows[index - 1]]):
            yield rows[begin], rows[index - 1] + 1
            begin = index


def _cut_run(start: int, stop: int, window: Windows | None, *, alone: bool) -> Iterator[tuple[int, int]]:
    """The samples of one run of rows; one that is too short for a window comes whole, so that it can be told."""
    if window is None:
        yield from ((row, row + 1) for row in range(start, stop)) if alone else [(start, stop)]
    elif stop - start < window.length:
        yield start, stop
    else:
        yield from ((first, first + window.length) for first in range(start, stop - window.length + 1, window.hop))


def _find_label(labels: Sequence[str]) -> str:
    return Counter(labels).most_common(1)[0][0].strip()


def _number(path: Path, pieces: dict[str, Piece], labels: Sequence[str]) -> Labelled:
    texts = [piece.label for piece in pieces.values() if piece.label is not None]
    return number_labels(texts, labels, path) if texts else Labelled((), tuple(labels))


def _read_figures(key: str, rows: Sequence[Sequence[str]], places: Sequence[int], columns: Sequence[str]) -> Array:
    """The cells of *places* as float32 (rows, columns); BadSample where one is no finite figure."""
    try:
        # What overflows is found below: a warning would only be printed.
        with np.errstate(over="ignore"):
            figures = np.array([[float(row[place]) for place in places] for row in rows], np.float32)
    except ValueError as error:
        raise BadSample(key, f"a cell is no figure: {error}", f"Write figures in {', '.join(columns[:20])}.") from error
    if not np.isfinite(figures).all():
        row, column = np.argwhere(~np.isfinite(figures))[0]
        raise BadSample(key, f"row {row} of it has no finite figure in {columns[column]!r}", "Fill it in, or take the row away.")
    return figures
