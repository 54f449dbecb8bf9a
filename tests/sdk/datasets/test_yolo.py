"""YOLO's form."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgekit.datasets.base import BadSample, Boxes
from edgekit.datasets.coco import open_coco
from edgekit.datasets.yolo import find_labels, open_yolo
from edgekit.errors import InputError, UnknownName


def _read(path: Path, key: str, labels: tuple[str, ...] = ()) -> Boxes:
    truth = open_yolo(path, "image", labels).read(key).truth
    assert isinstance(truth, Boxes)
    return truth


def test_same_as_coco(detection: Path) -> None:
    """The same objects read the same in both forms."""
    coco, yolo = open_coco(detection / "instances.json", "image"), open_yolo(detection / "data.yaml", "image")
    assert (coco.keys, coco.classes) == (yolo.keys, yolo.classes)
    for key in coco.keys:
        wanted, found = coco.read(key), yolo.read(key)
        assert wanted.raws == found.raws
        assert isinstance(wanted.truth, Boxes)
        assert isinstance(found.truth, Boxes)
        np.testing.assert_allclose(wanted.truth.corners, found.truth.corners, atol=1e-9)
        assert wanted.truth.classes.tolist() == found.truth.classes.tolist()


def test_folder(detection: Path) -> None:
    """A folder with images/ and labels/ needs no description where the contract has the names."""
    (detection / "data.yaml").unlink()
    dataset = open_yolo(detection, "image", ("cat", "dog"))
    assert (len(dataset.keys), dataset.classes) == (3, ("cat", "dog"))
    assert open_yolo(detection, "image", split="deep").keys == ("images/deep/c.jpg",)


def test_contract_labels(detection: Path) -> None:
    """The contract's labels number the names."""
    assert _read(detection / "data.yaml", "images/a.png", ("dog", "bird", "cat")).classes.tolist() == [2, 0]
    with pytest.raises(InputError, match="names dog are none"):
        open_yolo(detection / "data.yaml", "image", ("cat",))


def test_parts(detection: Path, draw: Callable[..., bytes]) -> None:
    """A part is chosen by its name, and may be folders, a text with names, or named as if the description lay deeper."""
    draw(detection / "valid/images/x.png", 9)
    (detection / "few.txt").write_text("./images/b.png\nimages/a.png\n")
    (detection / "data.yaml").write_text("path: /somewhere/else\ntrain: few.txt\nval: [../valid/images, images/deep]\ntest:\nnames: [cat, dog]\n")
    assert open_yolo(detection / "data.yaml", "image", split="train").keys == ("images/a.png", "images/b.png")
    assert open_yolo(detection / "data.yaml", "image", split="val").keys == ("images/deep/c.jpg", "valid/images/x.png")
    assert len(open_yolo(detection / "data.yaml", "image").keys) == 4
    with pytest.raises(UnknownName, match="Known here: train, val"):
        open_yolo(detection / "data.yaml", "image", split="test")


def test_polygon(detection: Path) -> None:
    """An outline counts by the box round it, and a picture without a text has no objects."""
    (detection / "labels/a.txt").write_text("1 0.25 0.5 0.5 0.25 0.75 0.5 0.5 0.75\n\n")
    assert _read(detection / "data.yaml", "images/a.png").corners.tolist() == [[16, 12, 48, 36]]
    (detection / "labels/a.txt").unlink()
    assert len(_read(detection / "data.yaml", "images/a.png").classes) == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 0.5 0.5 0.1 0.1", "the class 2, and there are 2"),
        ("-1 0.5 0.5 0.1 0.1", "the class -1"),
        ("0.5 0.5 0.5 0.1 0.1", "no number"),
        ("cat 0.5 0.5 0.1 0.1", "no number"),
        ("0 0.5 0.5 0.1", "4 numbers"),
        ("0 0.9 0.5 0.9 0.1", "outside the picture"),
        ("0 0.5 0.5 0 0.1", "no area"),
        ("0 nan 0.5 0.1 0.1", "no area"),
    ],
)
def test_wrong_line(detection: Path, line: str, message: str) -> None:
    """A line that is of no object makes a bad sample of its picture."""
    (detection / "labels/a.txt").write_text(line)
    with pytest.raises(BadSample, match=message):
        _read(detection / "data.yaml", "images/a.png")


def test_nameless_class(detection: Path) -> None:
    """Where nothing names the classes, a number that none could have is refused all the same."""
    (detection / "data.yaml").unlink()
    (detection / "labels/a.txt").write_text("99999999999999999999 0.5 0.5 0.1 0.1")
    with pytest.raises(BadSample, match="the class 99999999999999999999"):
        _read(detection, "images/a.png")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("train: ../../secrets\nnames: [cat]", "leaves the folder"),
        ("train: /etc\nnames: [cat]", "leaves the folder"),
        ("train: absent\nnames: [cat]", "'absent', and there is no such folder"),
        ("train: labels\nnames: [cat]", "have no pictures"),
        ("train: images\nnames: {0: cat, 2: dog}", r"names have the numbers \[0, 2\]"),
        ("train: images\nnames: {a: cat}", "no description"),
        ("train: {a: b}", "no description"),
        ("[" * 100_000, "no description"),
        ("- " * 100_000, "no description"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nnames: *b", "no description"),
        ("%" * 100, "no description"),
        ("x: " + "y" * 300_000, "more than"),
    ],
)
def test_wrong_description(detection: Path, content: str, message: str) -> None:
    """A description that names what is outside or not there, or is none, is refused."""
    (detection / "data.yaml").write_text(content)
    with pytest.raises(InputError, match=message):
        open_yolo(detection / "data.yaml", "image")


def test_merge_bomb(detection: Path) -> None:
    """Merged keys, which double with each line in other readers, stay as small as the file."""
    lines = ["a0: &a0 {k: v}"] + [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)]
    (detection / "data.yaml").write_text("\n".join([*lines, "train: images", "names: [cat, dog]"]))
    assert len(open_yolo(detection / "data.yaml", "image").keys) == 3


def test_link(detection: Path, tmp_path: Path) -> None:
    """A folder of pictures that is a link to elsewhere is refused, and so is a link among the labels."""
    (tmp_path / "elsewhere").mkdir()
    (detection / "outside").symlink_to(tmp_path / "elsewhere")
    (detection / "data.yaml").write_text("train: outside\nnames: [cat]")
    with pytest.raises(InputError, match="no such folder"):
        open_yolo(detection / "data.yaml", "image")
    (tmp_path / "secret.txt").write_text("0 0.5 0.5 0.1 0.1")
    (detection / "data.yaml").write_text("train: images\nnames: [cat, dog]")
    (detection / "labels/a.txt").unlink()
    (detection / "labels/a.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(BadSample, match="leaves the folder"):
        _read(detection / "data.yaml", "images/a.png")


def test_find_labels() -> None:
    """Labels lie where Ultralytics looks for them: the last folder images is exchanged."""
    assert find_labels("images/train/a.b.jpg") == "labels/train/a.b.txt"
    assert find_labels("images/images/a.jpg") == "images/labels/a.txt"
    assert find_labels("photos/a.jpg") == "photos/a.txt"
