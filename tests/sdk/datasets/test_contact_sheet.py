"""The contact sheet."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.arrays import Array
from edgekit.datasets.contact_sheet import _NAME_WIDTH, CELL, COLUMNS, choose_samples, draw_sheet
from edgekit.datasets.registry import open_dataset
from edgekit.datasets.surveying import survey_dataset

pytest.importorskip("imagehash")
_STEP = CELL + 6


def _draw(path: Path) -> Array:
    dataset = open_dataset(path)
    data = draw_sheet(dataset, choose_samples(survey_dataset(dataset, dataset.keys)))
    return np.asarray(Image.open(io.BytesIO(data)))


def _cell(sheet: Array, row: int, column: int) -> Array:
    top, left = 6 + row * _STEP, _NAME_WIDTH + column * _STEP
    return sheet[top : top + CELL, left : left + CELL]


def test_classes(tmp_path: Path) -> None:
    """Each class has a row, in order, with its name before it and its samples in it."""
    for place, (name, colour) in enumerate((("apple", "red"), ("lime", "lime"))):
        for number in range(3 + place):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.new("RGB", (40, 20), colour).save(tmp_path / name / f"{number}.png")
    sheet = _draw(tmp_path)
    assert sheet.shape == (2 * _STEP + 6, _NAME_WIDTH + COLUMNS * _STEP + 6, 3)
    assert _cell(sheet, 0, 2)[CELL // 2, CELL // 2].tolist() == [255, 0, 0]
    assert _cell(sheet, 1, 3)[CELL // 2, CELL // 2].tolist() == [0, 255, 0]
    assert (_cell(sheet, 0, 3) == 255).all()
    assert (sheet[:_STEP, :_NAME_WIDTH] < 100).any()


def test_boxes(tmp_path: Path) -> None:
    """Boxes are drawn at their places, in the colour of their class."""
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    Image.new("RGB", (CELL, CELL), "white").save(tmp_path / "images" / "a.png")
    (tmp_path / "labels" / "a.txt").write_text("1 0.5 0.5 0.5 0.25")
    sheet = _draw(tmp_path)
    drawn = np.argwhere((_cell(sheet, 0, 0) != 255).any(axis=2))
    assert drawn.min(axis=0).tolist() == pytest.approx([CELL * 3 / 8, CELL / 4], abs=1)
    assert drawn.max(axis=0).tolist() == pytest.approx([CELL * 5 / 8, CELL * 3 / 4], abs=1)
    assert _cell(sheet, 0, 0)[drawn[0][0], drawn[0][1]].tolist() == [230, 159, 0]


def test_thinned(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """Of many samples those that are shown are spread over all, and those without a class have rows of their own."""
    for place in range(50):
        draw(tmp_path / f"{place:02}.png", place)
    dataset = open_dataset(tmp_path)
    rows = choose_samples(survey_dataset(dataset, dataset.keys))
    keys = [key for row in rows.values() for key in row]
    assert len(keys) == len(set(keys)) == 50
    assert max(map(len, rows.values())) == COLUMNS


def test_other_kinds(tmp_path: Path, play: Callable[..., bytes]) -> None:
    """Sounds and tables are curves, texts words, and nothing stops the sheet: a sample that has gone is said to have."""
    play(tmp_path / "sounds" / "a.wav")
    np.savez(tmp_path / "a.npz", x=np.arange(40).reshape(2, 10, 2))
    (tmp_path / "texts.csv").write_text("text,label\nhello \N{SNOWMAN},x\n")
    for path in (tmp_path / "sounds", tmp_path / "a.npz", tmp_path / "texts.csv"):
        assert len(np.unique(_cell(_draw(path), 0, 0).reshape(-1, 3), axis=0)) > 1
    dataset = open_dataset(tmp_path / "sounds")
    rows = choose_samples(survey_dataset(dataset, dataset.keys))
    (tmp_path / "sounds" / "a.wav").unlink()
    assert draw_sheet(dataset, rows).startswith(b"\x89PNG")
