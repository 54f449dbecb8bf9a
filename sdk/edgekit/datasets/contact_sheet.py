"""A contact sheet: one picture of many samples, a row for each class, to be looked at before anything is measured."""

import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.arrays import Array
from edgekit.datasets.base import VOID, Boxes, Dataset, Sample
from edgekit.datasets.describing import is_picture, is_sound
from edgekit.datasets.surveying import Survey
from edgekit.errors import InputError
from edgekit.processing.base import Raw
from edgekit.processing.libraries import load_library
from edgekit.processing.pictures import open_picture
from edgekit.processing.sounds import read_sound

if TYPE_CHECKING:
    from PIL.Image import Image

#: A row has so many samples, each in a square of so many pixels; a sheet has so many rows.
COLUMNS, CELL, MAX_ROWS = 10, 112, 40
_GAP, _NAME_WIDTH, _LETTERS, _FONT_SIZE = 6, 150, 20, 14
_PAPER, _INK, _FAINT = (255, 255, 255), (32, 32, 32), (226, 230, 236)
#: Okabe and Ito's colours, which those with colour blindness tell apart.
_COLOURS = ((0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (213, 94, 0), (240, 228, 66))
UNLABELLED, EMPTY = "no class", "no object"
_VEIL = 0.45


def choose_samples(survey: Survey) -> dict[str, list[str]]:
    """For each row of a sheet, by the name of its class, the keys of up to COLUMNS samples, spread over those that have it.

    Samples without a class fill rows of their own.
    """
    groups: dict[int | None, list[str]] = {number.number: [] for number in survey.list_classes()}
    for key, described in survey.described.items():
        for number in described.classes or (None,):
            groups.setdefault(number, []).append(key)
    rows = {survey.name_class(number): _thin(keys, COLUMNS) for number, keys in groups.items() if number is not None}
    rest = _thin(groups.get(None, []), COLUMNS * (2 if rows else MAX_ROWS // 4))
    name = EMPTY if survey.has_objects else UNLABELLED
    for start in range(0, len(rest), COLUMNS):
        rows[name + " " * (start // COLUMNS)] = rest[start : start + COLUMNS]
    return dict(list(rows.items())[:MAX_ROWS])


def draw_sheet(dataset: Dataset, rows: Mapping[str, Sequence[str]]) -> bytes:
    """The PNG of a sheet with the samples of *rows*, each row with its name before it.

    Pictures have their boxes drawn and their masks laid over them, sounds and tables are curves, and of texts the first words are shown.

    Raises:
        DeviceError: Pillow is not installed.
    """
    pillow = load_library("PIL.Image", "images")
    step = CELL + _GAP
    sheet = pillow.new("RGB", (_NAME_WIDTH + COLUMNS * step + _GAP, max(1, len(rows)) * step + _GAP), _PAPER)
    for line, (name, keys) in enumerate(rows.items()):
        top = _GAP + line * step
        _write(sheet, (_GAP, top + CELL // 2 - 8), name.strip()[:_LETTERS])
        for place, cell in enumerate(_draw_row(dataset, keys)):
            sheet.paste(cell, (_NAME_WIDTH + place * step, top))
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


def _thin(keys: Sequence[str], count: int) -> list[str]:
    """At most *count* of *keys*, evenly spread."""
    places = np.linspace(0, len(keys) - 1, min(count, len(keys)))
    return [keys[round(place)] for place in places]


def _draw_row(dataset: Dataset, keys: Sequence[str]) -> "Iterator[Image]":
    for key in keys:
        try:
            sample = dataset.read(key)
            yield _draw_sample(sample)
        except InputError as error:
            # It was read before, so it has changed since: the sheet says so at its place.
            yield _draw_words(error.problem)


def _draw_sample(sample: Sample) -> "Image":
    raw = next(iter(sample.raws.values()))
    if isinstance(raw, str):
        return _draw_words(raw)
    if isinstance(raw, np.ndarray) and not is_picture(raw):
        return _draw_curves(raw)
    if isinstance(raw, bytes) and is_sound(raw):
        return _draw_curves(read_sound(raw, sample.key).samples)
    return _draw_picture(sample, raw)


def _draw_picture(sample: Sample, raw: Raw) -> "Image":
    picture = open_picture(raw, sample.key).to_image()
    if isinstance(sample.truth, np.ndarray) and sample.truth.shape == picture.size[::-1]:
        picture = _veil(picture, sample.truth)
    share = CELL / max(picture.size)
    width, height = (max(1, round(side * share)) for side in picture.size)
    smooth = load_library("PIL.Image", "images").Resampling
    cell = _new_cell()
    offset = ((CELL - width) // 2, (CELL - height) // 2)
    cell.paste(picture.resize((width, height), smooth.NEAREST if share > 1 else smooth.BOX), offset)
    if isinstance(sample.truth, Boxes):
        _draw_boxes(cell, sample.truth, share, offset)
    return cell


def _veil(picture: Any, mask: Array) -> "Image":
    """*picture* with the colour of its class over each pixel, but for class 0, which mostly is the background, and VOID."""
    pixels, counted = np.asarray(picture, np.float32), (mask != 0) & (mask != VOID)
    colours = np.array(_COLOURS, np.float32)[mask[counted].astype(np.int64) % len(_COLOURS)]
    veiled = pixels.copy()
    veiled[counted] = (1 - _VEIL) * pixels[counted] + _VEIL * colours
    image: Image = load_library("PIL.Image", "images").fromarray(veiled.astype(np.uint8))
    return image


def _draw_boxes(cell: Any, boxes: Boxes, share: float, offset: tuple[int, int]) -> None:
    pen = load_library("PIL.ImageDraw", "images").Draw(cell)
    for corners, number in zip(boxes.corners, boxes.classes, strict=True):
        placed = np.clip(corners * share + [*offset, *offset], 0, CELL - 1)
        pen.rectangle([float(value) for value in placed], outline=_COLOURS[int(number) % len(_COLOURS)], width=2)


def _draw_curves(values: Array) -> "Image":
    """The columns of *values* (rows, columns) from left to right, each between its lowest and its highest values, in one scale."""
    cell = _new_cell()
    figures = np.asarray(values, np.float64).reshape(len(values), -1) if values.ndim else np.zeros((1, 1))
    low, high = float(figures.min(initial=0)), float(figures.max(initial=0))
    pen = load_library("PIL.ImageDraw", "images").Draw(cell)
    for column, curve in enumerate(figures.T[: len(_COLOURS)]):
        heights = (CELL - 4) * (1 - (curve - low) / (high - low or 1)) + 2
        pieces = [piece for piece in np.array_split(heights, CELL) if piece.size]
        width = (CELL - 1) / max(1, len(pieces) - 1)
        points = [(place * width, float(end)) for place, piece in enumerate(pieces) for end in (piece.min(), piece.max())]
        pen.line(points, fill=_COLOURS[column])
    return cell


def _draw_words(text: str) -> "Image":
    cell = _new_cell()
    _write(cell, (4, 4), "\n".join(textwrap.wrap(text[:400], 14)[:6]))
    return cell


def _new_cell() -> "Image":
    cell: Image = load_library("PIL.Image", "images").new("RGB", (CELL, CELL), _FAINT)
    return cell


def _write(image: Any, place: tuple[int, int], text: str) -> None:
    """Draw *text* in Pillow's own font, which has Latin letters alone."""
    shown = text.encode("latin-1", "replace").decode("latin-1")
    font = load_library("PIL.ImageFont", "images").load_default(_FONT_SIZE)
    load_library("PIL.ImageDraw", "images").Draw(image).text(place, shown, fill=_INK, font=font)
