"""Series: rows of figures, from CSV or an array, one column for each name that a contract gives."""

import csv
import io
import math
from array import array as compact
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from edgekit.arrays import Array
from edgekit.contract import Feature
from edgekit.errors import InputError
from edgekit.processing.base import Raw

#: The most bytes of a CSV file, and the most of its first line.
MAX_BYTES = 64 << 20
MAX_HEADER_BYTES = 1 << 20
#: The most figures of one item, 64 MiB as float32.
MAX_FIGURES = 1 << 24
_REMEDY = "Give CSV in UTF-8 whose first line names the columns, and a figure in each cell."


def prepare_table(feature: Feature) -> Callable[[Raw], Array]:
    """What reads a table for *feature*: (1, rows, columns) as float32, its columns in the feature's order.

    A feature that names no columns takes all that there are.

    Raises:
        InputError: the feature names a column twice.
    """
    subject, columns = f"input {feature.name!r}", feature.columns
    if len(set(columns)) < len(columns):
        raise InputError(subject, f"its columns are {', '.join(columns)}, and each is to be named once", "Correct field 'columns'.")

    def read(raw: Raw) -> Array:
        return read_table(raw, columns, subject)[None]

    return read


def read_table(raw: Raw, columns: Sequence[str], subject: str) -> Array:
    """The rows that a caller gave, (rows, columns) as float32: CSV as bytes or text, or an array with its columns in that order.

    Where *columns* is empty, all columns are taken.

    Raises:
        InputError: it is no table, lacks a column, is too large, or has a cell that is no finite number; the message names the cell.
    """
    if isinstance(raw, np.ndarray):
        return _check_array(raw, columns, subject)
    data = raw.encode(errors="surrogatepass") if isinstance(raw, str) else bytes(raw)
    if len(data) > MAX_BYTES:
        raise InputError(subject, f"it has {len(data) >> 20} MiB, and at most {MAX_BYTES >> 20} MiB are read", "Cut it into pieces.")
    return _as_floats(_parse(data, columns, subject), subject)


def _check_array(array: Array, columns: Sequence[str], subject: str) -> Array:
    if array.ndim != 2 or not array.shape[1] or array.dtype.kind not in "iuf" or (columns and array.shape[1] != len(columns)):
        problem = f"it is {array.dtype}{list(array.shape)}, and figures [rows, {len(columns) or 'columns'}] are expected"
        raise InputError(subject, problem, f"Its columns are {', '.join(columns)}." if columns else "Put the rows along the first axis.")
    if array.size > MAX_FIGURES:
        raise InputError(subject, f"it has {array.size} figures, and at most {MAX_FIGURES} are taken", "Cut it into pieces.")
    return _as_floats(array, subject)


def _as_floats(figures: Array, subject: str) -> Array:
    """*figures* as float32; InputError where there are none, or one is not finite or too large for that."""
    if not len(figures):
        raise InputError(subject, "it holds no rows", _REMEDY)
    with np.errstate(over="ignore"):
        floats: Array = figures.astype(np.float32)
    if not np.isfinite(floats).all():
        row, column = np.argwhere(~np.isfinite(floats))[0]
        raise InputError(subject, f"row {row + 1}, column {column + 1} is {figures[row, column]}, which is no finite float32", _REMEDY)
    return floats


def _parse(data: bytes, columns: Sequence[str], subject: str) -> Array:
    """The figures of the CSV in *data*: (rows, columns) as float64."""
    _check_header(data, subject)
    figures = compact("d")
    try:
        rows = csv.reader(io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline=""), skipinitialspace=True)
        places = _find_columns(next(rows, []), columns, subject)
        for number, row in enumerate(filter(None, rows), 1):
            figures.extend(_read_row(row, number, places, subject))
            if len(figures) > MAX_FIGURES:
                raise InputError(subject, f"it has more than {MAX_FIGURES} figures", "Cut it into pieces.")
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(subject, f"it is no CSV that can be read: {error}", _REMEDY) from error
    return np.frombuffer(figures, np.float64).reshape(-1, len(places))


def _check_header(data: bytes, subject: str) -> None:
    """Refuse a first line so long that it would become a million names."""
    end = data.find(b"\n", 0, MAX_HEADER_BYTES)
    if end < 0 and len(data) > MAX_HEADER_BYTES:
        raise InputError(subject, f"its first line has more than {MAX_HEADER_BYTES} bytes", _REMEDY)


def _find_columns(header: Sequence[str], columns: Sequence[str], subject: str) -> dict[str, int]:
    """Where each of *columns* lies, or each that there is."""
    names = [name.strip() for name in header]
    if not names:
        raise InputError(subject, "it is empty", _REMEDY)
    counts, places = Counter(names), {name: place for place, name in enumerate(names)}
    for column in columns or names:
        if counts[column] != 1:
            found = "more than once" if counts[column] else "not"
            some = ", ".join(names[:20])
            raise InputError(subject, f"column {column!r} is {found} among those that its first line names: {some}", _REMEDY)
    return {column: places[column] for column in columns or names}


def _read_row(row: Sequence[str], number: int, places: dict[str, int], subject: str) -> Iterator[float]:
    for column, place in places.items():
        cell = row[place] if place < len(row) else ""
        figure = _read_figure(cell)
        if not math.isfinite(figure):
            raise InputError(subject, f"row {number}, column {column!r} is {cell[:40]!r}, which is no finite number", _REMEDY)
        yield figure


def _read_figure(cell: str) -> float:
    """The number in *cell*; NaN where there is none."""
    try:
        return float(cell)
    except ValueError:
        return math.nan
