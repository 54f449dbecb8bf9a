"""Small sets of data in real files: pictures and sounds that differ, and the same objects in COCO's and in YOLO's form."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

# A machine may lack what reads pictures and sounds, and then these tests have nothing to read.
Image = pytest.importorskip("PIL.Image")
soundfile = pytest.importorskip("soundfile")

#: The objects of each picture of the detection set: class, and x, y of two corners in pixels of 64 x 48.
OBJECTS = {
    "images/a.png": [(0, (4.0, 6.0, 20.0, 30.0)), (1, (32.0, 12.0, 64.0, 48.0))],
    "images/b.png": [],
    "images/deep/c.jpg": [(1, (0.0, 0.0, 16.0, 12.0))],
}
NAMES = ("cat", "dog")


@pytest.fixture
def draw() -> Callable[..., bytes]:
    """Draws a picture at a path: smooth patches by *seed*, so that no two look the same. Gives its bytes."""

    def make(path: Path, seed: int = 0, size: tuple[int, int] = (64, 48), mode: str = "RGB") -> bytes:
        rng = np.random.default_rng(seed)
        patches = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        path.parent.mkdir(parents=True, exist_ok=True)
        patches.resize(size, Image.Resampling.BICUBIC).convert(mode).save(path)
        return path.read_bytes()

    return make


@pytest.fixture
def play() -> Callable[..., bytes]:
    """Writes a WAV of a falling tone by *seed* at a path. Gives its bytes."""

    def make(path: Path, seed: int = 0, rate: int = 16_000, seconds: float = 0.5) -> bytes:
        rng = np.random.default_rng(seed)
        time = np.arange(int(rate * seconds)) / rate
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.3 * np.sin(2 * np.pi * rng.uniform(200, 900) * time * (1 - time / 4)), rate)
        return path.read_bytes()

    return make


@pytest.fixture
def detection(tmp_path: Path, draw: Callable[..., bytes]) -> Path:
    """A folder with the pictures of OBJECTS, ``instances.json`` in COCO's form and ``data.yaml`` with labels in YOLO's."""
    root = tmp_path / "detection"
    for seed, key in enumerate(OBJECTS):
        draw(root / key, seed)
    images = [{"id": 10 + place, "file_name": key, "width": 64, "height": 48} for place, key in enumerate(OBJECTS)]
    annotations = [
        {"id": len(OBJECTS), "image_id": 10 + place, "category_id": 3 + 4 * number, "bbox": [x, y, right - x, bottom - y], "iscrowd": 0}
        for place, objects in enumerate(OBJECTS.values())
        for number, (x, y, right, bottom) in objects
    ]
    categories = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}]
    (root / "instances.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    for key, objects in OBJECTS.items():
        text = root / key.replace("images/", "labels/").rpartition(".")[0]
        text.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{number} {(x + r) / 128} {(y + b) / 96} {(r - x) / 64} {(b - y) / 48}" for number, (x, y, r, b) in objects]
        text.with_suffix(".txt").write_text("\n".join(lines))
    (root / "data.yaml").write_text("train: images\nnames:\n  0: cat\n  1: dog\n")
    return root
