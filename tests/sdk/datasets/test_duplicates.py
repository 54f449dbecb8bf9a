"""Samples that are there twice."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.datasets.base import Sample
from edgekit.datasets.describing import HASH_SIDE, Description, describe_sample
from edgekit.datasets.duplicates import NEAR_BITS, find_alike, find_same

pytest.importorskip("imagehash")


def _describe(data: bytes, number: int | None = None) -> Description:
    return describe_sample(Sample("a", {"photo": data}, number))


def _save_again(data: bytes, scale: float = 1.0) -> bytes:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    file = io.BytesIO()
    image.resize((round(image.width * scale), round(image.height * scale))).save(file, "JPEG", quality=80)
    return file.getvalue()


@pytest.fixture
def pictures(tmp_path: Path, draw: Callable[..., bytes]) -> dict[str, bytes]:
    return {str(seed): draw(tmp_path / f"{seed}.png", seed, (96, 72)) for seed in range(40)}


def test_same(pictures: dict[str, bytes]) -> None:
    """The same bytes are found within a set and in another one, and a label that differs is noticed."""
    first = {key: _describe(data, 0) for key, data in pictures.items()}
    assert find_same(first) == []
    again = {"x": _describe(pictures["3"], 1), "y": _describe(pictures["5"], 0)}
    assert [(pair.first, pair.second, pair.how, pair.classes_differ) for pair in find_same(first, again)] == [
        ("3", "x", "same", True),
        ("5", "y", "same", False),
    ]
    assert [(pair.first, pair.second) for pair in find_same({**first, **again})] == [("3", "x"), ("5", "y")]


def test_alike(pictures: dict[str, bytes]) -> None:
    """A picture that was saved as JPEG, or made smaller, is found again; no two others are taken for one another."""
    first = {key: _describe(data) for key, data in pictures.items()}
    assert find_alike(first) == []
    again = {"x": _describe(_save_again(pictures["3"])), "y": _describe(_save_again(pictures["5"], 0.6))}
    assert [(pair.first, pair.second) for pair in find_alike(first, again)] == [("3", "x"), ("5", "y")]
    assert [(pair.first, pair.second) for pair in find_alike({**first, **again})] == [("3", "x"), ("5", "y")]


def test_same_is_not_alike(pictures: dict[str, bytes]) -> None:
    """Pictures of the same bytes are the same, and not told once more as alike."""
    first = {key: _describe(data) for key, data in pictures.items()}
    assert find_alike(first, {"x": first["3"]}) == []


def test_other_kinds() -> None:
    """Where there are no pictures, or no samples, nothing looks alike."""
    rows = {str(place): describe_sample(Sample("a", {"x": np.full((3, 2), place)})) for place in range(3)}
    assert find_alike(rows) == find_alike(rows, rows) == find_alike({}) == find_same({}) == []


def test_blocks() -> None:
    """Many pictures are compared piece by piece, across the pieces too."""
    rng = np.random.default_rng(0)
    looks = rng.integers(0, 2, (5000, HASH_SIDE**2)).astype(bool)
    looks[4999] = looks[1]
    looks[4999, :NEAR_BITS] ^= True
    looks[4998] = looks[2]
    looks[4998, : NEAR_BITS + 1] ^= True
    described = {str(place): Description(str(place).encode(), looks=row) for place, row in enumerate(looks)}
    assert [(pair.first, pair.second) for pair in find_alike(described)] == [("1", "4999")]
