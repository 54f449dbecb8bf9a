"""The kind of data is seen by what lies there."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgekit.contract import Feature, Processing, Transcribe
from edgekit.datasets.registry import open_dataset
from edgekit.errors import InputError, UnknownName

PHOTOS = Processing(inputs=(Feature(name="photo", kind="image", feeds="x"),), labels=("dog", "cat"))


def test_files(tmp_path: Path, detection: Path) -> None:
    """A file is known by how its name ends, and a CSV by its columns."""
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 3), np.float32))
    (tmp_path / "list.csv").write_text("path,label\na.wav,yes\n")
    (tmp_path / "texts.csv").write_text("text,label\nhello,yes\n")
    (tmp_path / "rows.csv").write_text("x,y,label\n1,2,yes\n")
    kinds = {
        tmp_path / "a.npz": "npz",
        detection / "instances.json": "coco",
        detection / "data.yaml": "yolo",
        tmp_path / "list.csv": "listing",
        tmp_path / "texts.csv": "csv-texts",
        tmp_path / "rows.csv": "csv-windows",
    }
    assert {path: open_dataset(path).kind for path in kinds} == kinds


def test_folders(tmp_path: Path, detection: Path, draw: Callable[..., bytes], play: Callable[..., bytes]) -> None:
    """A folder is known by what lies in it."""
    draw(tmp_path / "classes" / "cat" / "a.png")
    draw(tmp_path / "plain" / "a.png")
    play(tmp_path / "sounds" / "yes" / "a.wav")
    play(tmp_path / "listed" / "a.wav")
    (tmp_path / "listed" / "labels.csv").write_text("path,label\na.wav,yes\n")
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.csv").write_text("x,y\n1,2\n")
    kinds = {"classes": "class-folders", "plain": "files", "sounds": "class-folders", "listed": "listing", "rows": "csv-windows"}
    assert {name: open_dataset(tmp_path / name).kind for name in kinds} == kinds
    assert open_dataset(tmp_path / "sounds").read("yes/a.wav").raws.keys() == {"audio"}
    assert open_dataset(detection).kind == "yolo"
    (detection / "data.yaml").unlink()
    (detection / "labels").rename(detection / "texts")
    assert open_dataset(detection).kind == "coco"


def test_contract(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """The contract says what a sample is given for, and how classes are numbered."""
    draw(tmp_path / "cat" / "a.png")
    dataset = open_dataset(tmp_path, contract=PHOTOS)
    sample = dataset.read("cat/a.png")
    assert (list(sample.raws), sample.truth) == (["photo"], 1)


def test_transcripts(tmp_path: Path) -> None:
    """Where the contract writes down what is said, strings are what was said."""
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 3), np.float32), labels=np.array(["go", "stop"]))
    assert open_dataset(tmp_path / "a.npz", contract=Processing(answer=Transcribe(output="y"))).read("1").truth == "stop"
    assert open_dataset(tmp_path / "a.npz").read("1").truth == 1


def test_wrong_contract(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """A set that gives one thing is refused to a contract that takes another, or more."""
    draw(tmp_path / "cat" / "a.png")
    for inputs in ((Feature(name="words", kind="text"),), (*PHOTOS.inputs, Feature(name="other", kind="image", feeds="z"))):
        with pytest.raises(InputError, match="the contract takes '"):
            open_dataset(tmp_path, contract=Processing(inputs=inputs))


def test_parts(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """Folders called train and test are parts and no classes; one of them is given as a path, or behind a mark."""
    for part in ("train", "test"):
        draw(tmp_path / part / "cat" / "a.png")
    with pytest.raises(InputError, match=r"parts of a set: test, train. Give one of them, as in .*/test"):
        open_dataset(tmp_path)
    assert open_dataset(tmp_path / "train").keys == ("cat/a.png",)
    assert open_dataset(Path(f"{tmp_path}#test")).path == tmp_path / "test"
    with pytest.raises(InputError, match="no parts, and 'val' is asked for"):
        open_dataset(tmp_path / "train", split="val")


def test_unknown(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """Where no kind is seen, the message says what is there."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "notes.txt").touch()
    with pytest.raises(InputError, match=r"it has 1 files \(.txt\) in 1 folders, and no pictures"):
        open_dataset(tmp_path)
    with pytest.raises(InputError, match="it has no files and no folders"):
        open_dataset(tmp_path / "a" / "b")
    with pytest.raises(InputError, match="no such file or folder"):
        open_dataset(tmp_path / "absent")
    with pytest.raises(InputError, match=r"ends in '\.txt'"):
        open_dataset(tmp_path / "a" / "notes.txt")
    with pytest.raises(UnknownName, match="Known here: class-folders"):
        open_dataset(tmp_path, kind="folders")


def test_mixture(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """Pictures beside folders with pictures may be either, so the user says which; several files of annotations likewise."""
    draw(tmp_path / "set" / "a.png")
    draw(tmp_path / "set" / "cat" / "b.png", 1)
    with pytest.raises(InputError, match="1 files beside 1 folders"):
        open_dataset(tmp_path / "set")
    assert open_dataset(tmp_path / "set", kind="files").keys == ("a.png", "cat/b.png")
    assert open_dataset(tmp_path / "set", kind="class-folders").keys == ("cat/b.png",)
    (tmp_path / "coco" / "annotations").mkdir(parents=True)
    for part in ("train", "val"):
        (tmp_path / "coco" / "annotations" / f"instances_{part}.json").write_text("{}")
    with pytest.raises(InputError, match=r"2 files of annotations: annotations/instances_train.json, annotations/instances_val.json"):
        open_dataset(tmp_path / "coco")


def test_lazy(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """Nothing that lies behind a key is opened before it is read."""
    draw(tmp_path / "cat" / "a.png")
    (tmp_path / "cat" / "b.png").symlink_to("/dev/zero")
    assert open_dataset(tmp_path).keys == ("cat/a.png", "cat/b.png")
    with pytest.raises(InputError, match="leaves the folder"):
        open_dataset(tmp_path).read("cat/b.png")
