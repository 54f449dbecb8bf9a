"""A folder for each class."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit.datasets.class_folders import open_class_folders, open_file_folder
from edgekit.datasets.folders import PICTURES, SOUNDS
from edgekit.errors import InputError


def test_classes(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """Each file is of the class of its folder, however deep it lies, and comes as its own bytes."""
    first = draw(tmp_path / "cat" / "a.png")
    draw(tmp_path / "dog" / "more" / "b.jpg", 1)
    (tmp_path / "dog" / "notes.txt").write_text("no picture")
    dataset = open_class_folders(tmp_path, "photo", PICTURES)
    assert dataset.keys == ("cat/a.png", "dog/more/b.jpg")
    assert dataset.classes == ("cat", "dog")
    sample = dataset.read("cat/a.png")
    assert (sample.raws, sample.truth) == ({"photo": first}, 0)
    assert dataset.find_class("dog/more/b.jpg") == 1
    assert dataset.find_file("cat/a.png") == (tmp_path / "cat" / "a.png").resolve()


def test_contract_labels(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """The contract's labels number the folders, and a folder that is none of them is refused."""
    draw(tmp_path / "cat" / "a.png")
    draw(tmp_path / "dog" / "b.png", 1)
    assert open_class_folders(tmp_path, "photo", PICTURES, ("dog", "bird", "cat")).find_class("cat/a.png") == 2
    with pytest.raises(InputError, match="'dog' are none of the contract's"):
        open_class_folders(tmp_path, "photo", PICTURES, ("cat", "bird"))


def test_empty_class(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """An empty folder keeps its number, so that the classes behind it do not move."""
    (tmp_path / "bird").mkdir()
    draw(tmp_path / "cat" / "a.png")
    dataset = open_class_folders(tmp_path, "photo", PICTURES)
    assert dataset.classes == ("bird", "cat")
    assert dataset.find_class("cat/a.png") == 1


def test_no_classes(tmp_path: Path, draw: Callable[..., bytes], play: Callable[..., bytes]) -> None:
    """A plain folder has files of which nothing is known to be true, and one without any of the kind is refused."""
    draw(tmp_path / "a.png")
    play(tmp_path / "b.wav")
    dataset = open_file_folder(tmp_path, "photo", PICTURES)
    assert dataset.keys == ("a.png",)
    assert dataset.read("a.png").truth is None
    assert dataset.find_class("a.png") is None
    assert open_file_folder(tmp_path, "sound", SOUNDS).keys == ("b.wav",)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no files of"):
        open_file_folder(tmp_path / "empty", "photo", PICTURES)


def test_lost_file(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """A file that is gone, or became a link to elsewhere, is a bad sample, and no file is found for it."""
    draw(tmp_path / "set" / "cat" / "a.png")
    draw(tmp_path / "elsewhere.png")
    dataset = open_class_folders(tmp_path / "set", "photo", PICTURES)
    (tmp_path / "set" / "cat" / "a.png").unlink()
    (tmp_path / "set" / "cat" / "a.png").symlink_to(tmp_path / "elsewhere.png")
    assert dataset.find_file("cat/a.png") is None
    with pytest.raises(InputError, match="leaves the folder"):
        dataset.read("cat/a.png")
