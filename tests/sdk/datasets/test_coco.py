"""COCO's form."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.datasets.base import BadSample, Boxes
from edgekit.datasets.coco import open_coco
from edgekit.errors import InputError


def _edit(root: Path, change: Callable[[Any], None]) -> Path:
    content = json.loads((root / "instances.json").read_text())
    change(content)
    (root / "instances.json").write_text(json.dumps(content))
    return root / "instances.json"


def _read(path: Path, key: str, labels: tuple[str, ...] = ()) -> Boxes:
    truth = open_coco(path, "image", labels).read(key).truth
    assert isinstance(truth, Boxes)
    return truth


def test_objects(detection: Path) -> None:
    """Each picture has its objects as corners, and classes in the order of the categories' ids."""
    dataset = open_coco(detection / "instances.json", "image")
    assert dataset.classes == ("cat", "dog")
    assert dataset.keys == ("images/a.png", "images/b.png", "images/deep/c.jpg")
    boxes = _read(detection / "instances.json", "images/a.png")
    assert boxes.corners.tolist() == [[4, 6, 20, 30], [32, 12, 64, 48]]
    assert boxes.classes.tolist() == [0, 1]
    assert len(_read(detection / "instances.json", "images/b.png").classes) == 0
    assert dataset.read("images/a.png").raws["image"] == (detection / "images/a.png").read_bytes()
    assert dataset.find_file("images/a.png") == (detection / "images/a.png").resolve()


def test_contract_labels(detection: Path) -> None:
    """The contract's labels number the categories by their names."""
    assert _read(detection / "instances.json", "images/a.png", ("dog", "bird", "cat")).classes.tolist() == [2, 0]
    with pytest.raises(InputError, match="categories dog are none"):
        open_coco(detection / "instances.json", "image", ("cat",))


def test_crowds(detection: Path) -> None:
    """A crowd is marked, and an annotation without a box is left out."""

    def change(content: Any) -> None:
        content["annotations"][0]["iscrowd"] = 1
        content["annotations"].append({"image_id": 11, "category_id": 3, "keypoints": []})

    path = _edit(detection, change)
    assert _read(path, "images/a.png").crowds.tolist() == [True, False]
    assert len(_read(path, "images/b.png").crowds) == 0


def test_places(detection: Path) -> None:
    """Pictures are found beside the annotations, in images/ and in the folder of their part, as COCO itself lies on disk."""

    def change(content: Any) -> None:
        content["images"] = [{"id": 10, "file_name": "a.png"}]
        content["annotations"] = []

    _edit(detection, change)
    (detection / "annotations").mkdir()
    moved = (detection / "instances.json").rename(detection / "annotations" / "instances_val.json")
    assert open_coco(moved, "image").root == detection / "images"
    (detection / "images").rename(detection / "val")
    assert open_coco(moved, "image").root == detection / "val"
    (detection / "val").rename(detection / "nowhere")
    with pytest.raises(InputError, match=r"its pictures, as a\.png, are in none of"):
        open_coco(moved, "image")


@pytest.mark.parametrize(
    ("box", "message"),
    [([60, 40, 20, 20], "outside the picture of 64 x 48"), ([1, 1, 0, 5], "no area"), ([1, 1, -3, 5], "no area"), ([1e308] * 4, "no area")],
)
def test_wrong_box(detection: Path, box: list[float], message: str) -> None:
    """A picture with a box that cannot be is a bad sample, and the others are not."""
    path = _edit(detection, lambda content: content["annotations"][0].update(bbox=box))
    with pytest.raises(BadSample, match=message):
        _read(path, "images/a.png")
    assert len(_read(path, "images/deep/c.jpg").classes) == 1


def test_other_size(detection: Path) -> None:
    """A picture of another size than the annotations say is a bad sample: its boxes are those of another."""
    path = _edit(detection, lambda content: content["images"][0].update(width=640, height=480))
    with pytest.raises(BadSample, match=r"64 x 48 pixels large, and instances\.json says 640 x 480"):
        _read(path, "images/a.png")


def test_damaged_picture(detection: Path) -> None:
    """A damaged picture is a bad sample."""
    (detection / "images/a.png").write_bytes(b"\x89PNG damaged")
    with pytest.raises(BadSample, match=r"images/a\.png"):
        _read(detection / "instances.json", "images/a.png")


def _leave(content: Any) -> None:
    content["images"][0]["file_name"] = "../../secret.png"


def _repeat_id(content: Any) -> None:
    content["images"][1]["id"] = content["images"][0]["id"]


def _repeat_file(content: Any) -> None:
    content["images"][1]["file_name"] = content["images"][0]["file_name"]


def _lose_image(content: Any) -> None:
    content["annotations"][0]["image_id"] = 99


def _lose_category(content: Any) -> None:
    content["annotations"][0]["category_id"] = 99


def _shorten_box(content: Any) -> None:
    content["annotations"][0]["bbox"] = [1, 2, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_leave, "'../../secret.png', which leaves the folder"),
        (_repeat_id, "2 of its images have the id 10"),
        (_repeat_file, "2 of its images have the file images/a.png"),
        (_lose_image, "image 99 and category"),
        (_lose_category, "category 99"),
        (_shorten_box, r"\$.annotations\[0\].bbox"),
        (lambda content: content.pop("categories"), "missing required field `categories`"),
        (lambda content: content.update(images=[]), "names no pictures"),
        (lambda content: content.update(categories=[]), "categories are none"),
    ],
)
def test_contradictions(detection: Path, change: Callable[[Any], None], message: str) -> None:
    """A file that contradicts itself, or names what is outside, is refused with the entry."""
    with pytest.raises(InputError, match=message):
        open_coco(_edit(detection, change), "image")


@pytest.mark.parametrize("content", ["", "[]", "[" * 1_000_000, '{"a":' * 1_000_000, '{"images": [1e999]}', "\udcff"])
def test_bombs(tmp_path: Path, content: str) -> None:
    """What is no COCO file ends in a refusal, however deep it is nested."""
    (tmp_path / "instances.json").write_text(content, errors="surrogateescape")
    with pytest.raises(InputError, match="it is no COCO file"):
        open_coco(tmp_path / "instances.json", "image")


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file over the limit is not read."""
    monkeypatch.setattr("edgekit.datasets.coco.MAX_BYTES", 10)
    (tmp_path / "instances.json").write_text("{" + " " * 100 + "}")
    with pytest.raises(InputError, match="it has more than"):
        open_coco(tmp_path / "instances.json", "image")


def test_many_images(detection: Path) -> None:
    """Two hundred thousand entries take seconds at most, and objects find their pictures in any order."""

    def change(content: Any) -> None:
        content["images"] += [{"id": 1000 + place, "file_name": f"images/{place}.png"} for place in range(200_000)]
        content["annotations"] = [{"image_id": 1000 + 7 * place % 200_000, "category_id": 3, "bbox": [0, 0, 1, 1]} for place in range(200_000)]

    dataset = open_coco(_edit(detection, change), "image")
    assert np.diff(dataset.starts).tolist() == [0, 0, 0] + [1] * 200_000
