"""Samples on which two models differ."""

from pathlib import Path

import numpy as np
import pytest

from edgekit.datasets.base import Boxes
from edgekit.datasets.registry import open_dataset
from edgekit.errors import InputError
from edgekit.flips import Flip, check_place, describe_flips, judge_pairs, word_answers, write_flips
from edgekit.metrics.base import Answers, Metric, make_mean
from edgekit.metrics.classes import TOP1
from edgekit.metrics.transcripts import WER

TRUTHS = [0, 1, 0, 1]
FIGURES = make_mean("figure", lambda answers, _truths: answers.outputs["y"])


def _answer(*classes: int) -> Answers:
    return Answers({"scores": np.eye(2, dtype=np.float32)[list(classes)]}, classes=("cat", "dog"))


def _say(*texts: str) -> Answers:
    return Answers(None, [{"text": np.array([text.encode()])} for text in texts])


def test_flips_are_counted_and_described() -> None:
    """What was right and is wrong is lost, and the other way round won; each has its truth and both answers in words."""
    first, second = (_answer(0, 1, 1, 1), TRUTHS), (_answer(0, 0, 0, 1), TRUTHS)
    pairs = judge_pairs(TOP1, first, second)
    assert (pairs.lost, pairs.won, pairs.word()) == (1, 1, "2 of 4 flipped: 1 lost, 1 won")
    lost, won = describe_flips(("a", "b", "c", "d"), pairs, first, second)
    assert lost == Flip(key="b", before=1, after=0, change=-1, truth="dog", answer_before="dog", answer_after="cat")
    assert (won.key, won.change) == ("c", 1)


def test_what_differs_most_comes_first_and_what_hardly_differs_not_at_all() -> None:
    """Figures between right and wrong are told apart from a hundredth on."""
    first, second = (Answers({"y": np.array([0.5, 0.5, 0.5])}), [0] * 3), (Answers({"y": np.array([0.505, 0.4, 0.9])}), [0] * 3)
    pairs = judge_pairs(FIGURES, first, second)
    assert pairs.word() == "2 of 3 differ by more than 0.01: 1 lost, 1 won"
    assert [flip.key for flip in describe_flips(("a", "b", "c"), pairs, first, second)] == ["c", "b"]


def test_fewer_errors_are_won() -> None:
    """Of a metric of which less is better, what falls is better."""
    said = ["stop now", "go"]
    pairs = judge_pairs(WER, (_say("stop", "go"), said), (_say("stop now", "no"), said))
    assert pairs.change.tolist() == [0.5, -1.0]


def test_a_metric_of_all_items_tells_of_none() -> None:
    """Where single items have no figure none is said to have flipped."""
    assert judge_pairs(Metric("plain", lambda _answers, _truths: 0.0), (_answer(0), [0]), (_answer(1), [0])) is None


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (_answer(1, 0), ["dog", "cat"]),
        (Answers({"scores": np.eye(3)[[2]]}), ["2"]),
        (Answers(None, [{"classes": np.zeros(0, int)}, {"classes": np.array([1])}], ("cat", "dog")), ["none", "dog"]),
        (_say("hello", "x" * 300), ["hello", "x" * 200 + "…"]),
        (Answers(None, [{"boxes": np.zeros((n, 4)), "classes": np.zeros(n, int)} for n in (1, 3)]), ["1 box", "3 boxes"]),
        (Answers(None, [{"score": np.array([0.123456])}]), ["0.1235"]),
        (Answers(None, [{"mask": np.zeros((2, 2))}]), [""]),
        (Answers({"y": np.zeros((2, 3, 3))}), ["", ""]),
        (Answers(None), []),
    ],
)  # fmt: skip
def test_answers_are_told_in_a_few_words(answers: Answers, words: list[str]) -> None:
    """A class by its name, a text cut to a line, boxes by their number, and nothing where no few words say it."""
    assert word_answers(answers) == words


def test_truths_are_told_in_a_few_words() -> None:
    """A class, a text, a figure and boxes are told, and a mask is not."""
    boxes = Boxes(np.zeros((2, 4)), np.zeros(2, int), np.zeros(2, bool))
    truths = [1, "stop", 0.5, boxes, np.zeros((2, 2))]
    first, second = (Answers({"y": np.zeros(5)}, classes=("cat", "dog")), truths), (Answers({"y": np.ones(5)}), truths)
    flips = describe_flips("abcde", judge_pairs(FIGURES, first, second), first, second)
    assert [flip.truth for flip in flips] == ["dog", "stop", "0.5", "2 boxes", ""]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures in two folders."""
    from PIL import Image

    for place in range(6):
        file = tmp_path / "data" / ("cat", "dog")[place % 2] / f"{place}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10), (place * 40, 0, 0)).save(file)
    return tmp_path / "data"


def _measure(picture: Path) -> int:
    """The height of a picture."""
    from PIL import Image

    with Image.open(picture) as image:
        return image.height


FLIPS = (Flip(key="dog/1.png", before=1, after=0, change=-1), Flip(key="cat/2.png", before=0, after=1, change=1))


def test_files_are_copied_lost_and_won_apart(folder: Path, tmp_path: Path) -> None:
    """Each sample that changed has a copy under its own name, so that it can be looked at."""
    write_flips(open_dataset(folder), FLIPS, tmp_path / "out")
    assert (tmp_path / "out/lost/dog/1.png").read_bytes() == (folder / "dog/1.png").read_bytes()
    assert [path.name for path in (tmp_path / "out").rglob("*.png")] in (["1.png", "2.png"], ["2.png", "1.png"])


def test_a_sheet_has_a_row_for_each(folder: Path, tmp_path: Path) -> None:
    """A picture shows them at a glance: two rows, and none for what did not change."""
    write_flips(open_dataset(folder), FLIPS, tmp_path / "flips.png")
    two = _measure(tmp_path / "flips.png")
    write_flips(open_dataset(folder), FLIPS[:1], tmp_path / "flips.png")
    assert two > _measure(tmp_path / "flips.png")


def test_many_flips_fill_several_rows(folder: Path, tmp_path: Path) -> None:
    """Eleven that were lost are two rows."""
    write_flips(open_dataset(folder), FLIPS[:1], tmp_path / "one.png")
    write_flips(open_dataset(folder), FLIPS[:1] * 11, tmp_path / "many.png")
    assert _measure(tmp_path / "many.png") > 1.5 * _measure(tmp_path / "one.png")


def test_rows_of_one_file_cannot_be_copied(tmp_path: Path) -> None:
    """Samples in an .npz have no files, and the message says what shows them; nothing half-made is left."""
    np.savez(tmp_path / "rows.npz", x=np.zeros((3, 2), np.float32), labels=np.arange(3))
    with pytest.raises(InputError, match=r"no files of their own.*\.png"):
        write_flips(open_dataset(tmp_path / "rows.npz"), (Flip(key="1", before=1, after=0, change=-1),), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    """Copies never lie among other files, and this is said before any work; a picture may be written again."""
    (tmp_path / "old.png").write_bytes(b"")
    check_place(tmp_path / "old.png")
    check_place(tmp_path / "new")
    with pytest.raises(InputError, match="it is there already"):
        check_place(tmp_path)
