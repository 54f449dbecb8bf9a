"""Files below a folder, and nothing from outside of it."""

import os
from pathlib import Path

import pytest

from edgekit.datasets.base import BadSample
from edgekit.datasets.folders import check_path, find_inside, list_files, list_folders, read_bounded, read_inside
from edgekit.errors import InputError


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../x.png", "a/../../x.png", "a\\..\\x.png", "C:/x.png", "", "a\nb.png", "a\udcff.png", "ä" * 128, "a/" * 3001]
)
def test_outside(name: str) -> None:
    """A path that leaves the folder, or that cannot be said, is refused with its name."""
    with pytest.raises(InputError, match="it names the file"):
        check_path(name, "labels.csv")


def test_inside() -> None:
    """A path inside comes without detours, in whatever letters it is written."""
    assert check_path("./a//b c/ä.png", "labels.csv") == "a/b c/ä.png"


def test_links(tmp_path: Path) -> None:
    """A link inside the folder is followed, and one that leaves it, or goes in a circle, is refused."""
    root = tmp_path / "set"
    root.mkdir()
    (tmp_path / "secret").write_text("secret")
    (root / "real").write_text("real")
    (root / "good").symlink_to("real")
    (root / "bad").symlink_to("../secret")
    (root / "circle").symlink_to("circle")
    assert read_inside(root, "good") == b"real"
    with pytest.raises(BadSample, match="leaves the folder"):
        find_inside(root, "bad")
    with pytest.raises(BadSample, match="links"):
        find_inside(root, "circle")


def test_no_file(tmp_path: Path) -> None:
    """A folder, a pipe, nothing and an empty file are no samples, and a pipe is not waited for."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    for name, problem in (("folder", "no file"), ("pipe", "no file"), ("nothing", "No such file"), ("empty", "empty")):
        with pytest.raises(BadSample, match=problem):
            read_inside(tmp_path, name)


def test_too_large(tmp_path: Path) -> None:
    """A file over the limit is refused, whoever asks for it."""
    (tmp_path / "large").write_bytes(bytes(11))
    with pytest.raises(BadSample, match="more than"):
        read_inside(tmp_path, "large", 10)
    with pytest.raises(InputError, match="more than"):
        read_bounded(tmp_path / "large", 10)


def test_listing(tmp_path: Path) -> None:
    """Files are listed in one order, and what is hidden, or lies behind a link to a folder, is left out."""
    for name in ("b.PNG", "a/c.png", "a/d/e.jpg", ".hidden.png", "._b.png", "__MACOSX/b.png", "x.txt"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).touch()
    (tmp_path / "set" / "link").symlink_to(tmp_path / "set" / "a")
    assert list_files(tmp_path / "set", (".png", ".jpg")) == ["a/c.png", "a/d/e.jpg", "b.PNG"]
    assert list_files(tmp_path / "set", (".png",), deep=False) == ["b.PNG"]
    assert list_folders(tmp_path / "set") == ["a"]
