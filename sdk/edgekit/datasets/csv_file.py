"""CSV files (RFC 4180) of any length: where each row lies is noted once, and rows are read when they are asked for."""

import csv
import io
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from edgekit.arrays import Array
from edgekit.errors import InputError

#: A line has at most so many bytes, a file so many columns and rows.
MAX_LINE = 1 << 20
MAX_COLUMNS = 4096
MAX_ROWS = 20_000_000
_UNREADABLE = (OSError, UnicodeDecodeError, csv.Error)
_DELIMITERS = ",;\t"
_REMEDY = "Write it as a CSV: a line with the names of the columns, and a line for each row, in UTF-8."


@dataclass(frozen=True)
class CsvFile:
    """A file whose row *i*, without the line of names, begins at the byte *offsets*[i] and ends at *offsets*[i + 1]."""

    path: Path
    columns: tuple[str, ...]
    delimiter: str
    offsets: Array

    @property
    def n(self) -> int:
        """The number of rows."""
        return len(self.offsets) - 1

    def read_rows(self, start: int, stop: int) -> list[list[str]]:
        """The cells of the rows from *start* to *stop*, which is not one of them."""
        try:
            with self.path.open("rb") as file:
                file.seek(int(self.offsets[start]))
                data = io.BytesIO(file.read(int(self.offsets[stop] - self.offsets[start])))
            lines = (line.decode("utf-8") for line in data)
            return [row for row in csv.reader(lines, delimiter=self.delimiter, strict=True) if row]
        except _UNREADABLE as error:
            raise _refuse(self.path, error) from error


def index_csv(path: Path, kept: Sequence[str] = ()) -> tuple[CsvFile, dict[str, list[str]]]:
    """The file at *path*, with all cells of the columns *kept* that it has.

    Raises:
        InputError: it is no CSV, it has more columns or rows than any set has, or a row has not as many cells as there are columns.
    """
    try:
        with path.open("rb") as file:
            return _index(path, file, kept)
    except _UNREADABLE as error:
        raise _refuse(path, error) from error


def read_columns(path: Path) -> tuple[str, ...]:
    """The names of the columns of the file at *path*; raises as index_csv does."""
    try:
        with path.open("rb") as file:
            return _read_header(path, _Lines(path, file))[0]
    except _UNREADABLE as error:
        raise _refuse(path, error) from error


def _index(path: Path, file: IO[bytes], kept: Sequence[str]) -> tuple[CsvFile, dict[str, list[str]]]:
    lines = _Lines(path, file)
    columns, delimiter = _read_header(path, lines)
    cells: dict[str, list[str]] = {name: [] for name in kept if name in columns}
    places = [(cells[name], columns.index(name)) for name in cells]
    seen: dict[str, str] = {}
    offsets = array("q", [lines.end])
    for row in csv.reader(lines, delimiter=delimiter, strict=True):
        if row:
            _check_row(path, row, columns, len(offsets))
            for column, place in places:
                # Labels come again and again: each is kept once.
                column.append(seen.setdefault(row[place], row[place]))
            offsets.append(lines.end)
        else:
            offsets[-1] = lines.end
    return CsvFile(path, columns, delimiter, np.asarray(offsets, np.int64)), cells


def _read_header(path: Path, lines: "_Lines") -> tuple[tuple[str, ...], str]:
    first = next(lines, "").lstrip("\N{ZERO WIDTH NO-BREAK SPACE}")
    delimiter = max(_DELIMITERS, key=first.count)
    columns = tuple(name.strip() for name in next(csv.reader([first], delimiter=delimiter, strict=True), []))
    if not columns or not all(columns):
        raise InputError(path, "its first line does not name each column", _REMEDY)
    if len(columns) > MAX_COLUMNS:
        raise InputError(path, f"it has {len(columns)} columns, and the limit is {MAX_COLUMNS}", "Keep those that the model takes.")
    if len(set(columns)) < len(columns):
        raise InputError(path, f"its columns {sorted({name for name in columns if columns.count(name) > 1})} are there more than once", _REMEDY)
    return columns, delimiter


def _check_row(path: Path, row: list[str], columns: tuple[str, ...], number: int) -> None:
    if len(row) != len(columns):
        raise InputError(path, f"row {number} has {len(row)} cells, and there are {len(columns)} columns", "Correct that row.")
    if number > MAX_ROWS:
        raise InputError(path, f"it has more than {MAX_ROWS} rows", "Cut it into files.")


class _Lines(Iterator[str]):
    """The lines of a file, with the byte at which the last of them *end*-ed. A quoted cell may have several lines."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path, self._file = path, file
        self.end = 0

    def __next__(self) -> str:
        line = self._file.readline(MAX_LINE + 1)
        if not line:
            raise StopIteration
        if len(line) > MAX_LINE:
            raise InputError(self._path, f"it has a line of more than {MAX_LINE} bytes", _REMEDY)
        self.end += len(line)
        return line.decode("utf-8")


def _refuse(path: Path, error: Exception) -> InputError:
    reason = error.strerror if isinstance(error, OSError) else error
    return InputError(path, f"it cannot be read as a CSV: {reason}", _REMEDY)
