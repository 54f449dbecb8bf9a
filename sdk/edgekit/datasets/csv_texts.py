"""Texts in a CSV: a column for each feature, and one for the class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.contract import Feature
from edgekit.datasets.base import BadSample, Sample
from edgekit.datasets.csv_file import CsvFile, index_csv, read_columns
from edgekit.datasets.labels import number_labels
from edgekit.datasets.listings import LABELS, SPLITS, TEXTS, find_column
from edgekit.datasets.splits import select_split
from edgekit.errors import InputError


@dataclass(frozen=True)
class CsvTexts:
    """Rows of *table*, by their numbers, from 0 on: *places* has for each feature its column."""

    path: Path
    table: CsvFile
    places: Mapping[str, int]
    keys: tuple[str, ...]
    truths: Mapping[str, int | float]
    classes: tuple[str, ...]
    kind: str = "csv-texts"

    @property
    def files(self) -> tuple[Path, ...]:
        """The one file."""
        return (self.path,)

    def read(self, key: str) -> Sample:
        """The texts of the row *key*; BadSample where a text is empty."""
        cells = self.table.read_rows(int(key), int(key) + 1)[0]
        raws = {name: cells[place] for name, place in self.places.items()}
        if not all(text.strip() for text in raws.values()):
            raise BadSample(f"row {key}", "a text is empty", "Fill it in, or take the row away.")
        return Sample(key, dict(raws), self.truths.get(key))

    def find_file(self, key: str) -> Path | None:  # noqa: ARG002 - one file holds all
        """None: one file holds all rows."""
        return None

    def find_class(self, key: str) -> int | None:
        """The number of its class; None where it has none."""
        truth = self.truths.get(key)
        return truth if isinstance(truth, int) else None


def open_texts(path: Path, features: Sequence[Feature], labels: Sequence[str] = (), split: str | None = None) -> CsvTexts:
    """The texts of the CSV at *path*: a column named as each feature, or ``text`` where there is one feature alone.

    Raises:
        InputError: it is no CSV, a feature has no column, or a label is none of *labels*.
    """
    columns = read_columns(path)
    label, part = find_column(columns, LABELS), find_column(columns, SPLITS)
    table, cells = index_csv(path, [name for name in (label, part) if name is not None])
    places = {feature.name: columns.index(_find_place(path, feature, columns, alone=len(features) == 1)) for feature in features}
    rows = select_split(path, cells.get(part or "", ()), table.n, split)
    if not rows:
        raise InputError(path, "it has no rows", "Add a row for each sample.")
    keys = tuple(map(str, rows))
    if label is None:
        return CsvTexts(path, table, places, keys, {}, tuple(labels))
    numbered = number_labels([cells[label][row].strip() for row in rows], labels, path)
    return CsvTexts(path, table, places, keys, dict(zip(keys, numbered.values, strict=True)), numbered.classes)


def _find_place(path: Path, feature: Feature, columns: Sequence[str], *, alone: bool) -> str:
    name = feature.name if feature.name in columns else find_column(columns, TEXTS) if alone else None
    if name is None:
        raise InputError(path, f"it has no column {feature.name!r}; it has {', '.join(columns[:20])}", f"Call the column of texts {feature.name!r}.")
    return name
