"""CSVs that name files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit.contract import Feature
from edgekit.datasets.listings import find_column, open_listing
from edgekit.errors import InputError

SOUND = Feature(name="sound", kind="audio")


def _write(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def test_words(tmp_path: Path, play: Callable[..., bytes]) -> None:
    """Each WAV has the class that stands beside its path, and comes in the order of the rows."""
    second, first = play(tmp_path / "b.wav", 1), play(tmp_path / "wavs" / "a.wav", 0)
    dataset = open_listing(_write(tmp_path / "labels.csv", "Path,Label\nb.wav,yes\nwavs/a.wav,no\n"), SOUND)
    assert dataset.keys == ("b.wav", "wavs/a.wav")
    assert dataset.classes == ("no", "yes")
    assert [dataset.read(key).truth for key in dataset.keys] == [1, 0]
    assert [dataset.read(key).raws["sound"] for key in dataset.keys] == [second, first]
    assert dataset.files == (tmp_path / "labels.csv",)


def test_transcripts(tmp_path: Path) -> None:
    """What is said stands in a column of texts, with its commas."""
    dataset = open_listing(_write(tmp_path / "labels.csv", 'path,text\na.wav,"go, now"\nb.wav,stop\n'), SOUND)
    assert dict(dataset.truths) == {"a.wav": "go, now", "b.wav": "stop"}
    assert dataset.find_class("a.wav") is None


def test_split(tmp_path: Path) -> None:
    """Of a column of parts the rows of one are taken, and its classes are numbered by the contract."""
    path = _write(tmp_path / "labels.csv", "path,label,split\na.wav,yes,train\nb.wav,no,test\n")
    dataset = open_listing(path, SOUND, ("yes", "no"), "test")
    assert (dataset.keys, dataset.find_class("b.wav")) == (("b.wav",), 1)


def test_unlabelled(tmp_path: Path) -> None:
    """Paths alone are enough to calibrate by."""
    dataset = open_listing(_write(tmp_path / "labels.csv", "file\na.wav\nb.wav\n"), SOUND)
    assert dataset.keys == ("a.wav", "b.wav")
    assert dataset.find_class("a.wav") is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,label\n../a.wav,yes\n", r"labels.csv: it names the file '../a.wav', which leaves the folder"),
        ("path,label\n/etc/passwd,yes\n", "leaves the folder"),
        ("path,label\na.wav,yes\na.wav,no\n", "names a.wav more than once"),
        ("sound_file,label\na.wav,yes\n", "names no files: its columns are sound_file, label"),
        ("path,label\n", "names no files"),
        ("path,label\na.wav,\n", "no label"),
        ("path,label\na.wav,9\n", "a label 9"),
    ],
)
def test_wrong(tmp_path: Path, content: str, message: str) -> None:
    """A table that names what is outside, twice or nowhere, or a label that is none, is refused."""
    with pytest.raises(InputError, match=message):
        open_listing(_write(tmp_path / "labels.csv", content), SOUND, ("yes", "no"))


def test_find_column() -> None:
    """Columns are found in whatever case they are written, the more telling name first."""
    assert find_column(("File", "PATH"), ("path", "file")) == "PATH"
    assert find_column(("x",), ("path",)) is None
