"""The samples on which two models differ: found, told in words, and copied to where they can be looked at."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.arrays import Array
from edgekit.datasets.base import Boxes, Dataset, Truth
from edgekit.datasets.contact_sheet import COLUMNS, MAX_ROWS, draw_sheet
from edgekit.errors import InputError
from edgekit.files import replacing_directory, write_file
from edgekit.metrics.base import Answers, Metric, take_truths
from edgekit.metrics.classes import NO_CLASS, find_likeliest, list_scores
from edgekit.metrics.intervals import Told, is_share
from edgekit.records import Record

#: Items whose figures are nearer than this are not told apart.
APART = 0.01
_LONGEST_TEXT = 200


class Flip(Record, frozen=True, kw_only=True):
    """A sample on which two models differ: *change* is by how much the second's figure is better, so one that is below 0 was lost.

    What is true and what each answered stands there in words, and is empty where a few words do not say it.
    """

    key: str
    before: float
    after: float
    change: float
    truth: str = ""
    answer_before: str = ""
    answer_after: str = ""


@dataclass(frozen=True)
class JudgedPairs:
    """The figures of two models for the same items, and by how much the second's is better: 0 where the two are not told apart."""

    before: Array
    after: Array
    change: Array

    @property
    def lost(self) -> int:
        """How many items the first answered better."""
        return int((self.change < 0).sum())

    @property
    def won(self) -> int:
        """How many items the second answered better."""
        return int((self.change > 0).sum())

    def word(self) -> str:
        """How many changed: ``8 of 500 flipped: 5 lost, 3 won``."""
        changed = self.lost + self.won
        how = "flipped" if is_share(self.before) and is_share(self.after) else f"differ by more than {APART:g}"
        return f"{changed or 'none'} of {len(self.change)} {how}{f': {self.lost} lost, {self.won} won' if changed else ''}"


def judge_pairs(metric: Metric, first: Told, second: Told) -> JudgedPairs | None:
    """What two models' answers to the same items are by *metric*, item by item; None where it says nothing of one item."""
    before, after = (metric.judge_items(*told) for told in (first, second))
    if before is None or after is None:
        return None
    change = after - before if metric.better == "higher" else before - after
    return JudgedPairs(before, after, np.where(np.abs(change) > APART, change, 0.0))


def describe_flips(keys: Sequence[str], pairs: JudgedPairs, first: Told, second: Told) -> tuple[Flip, ...]:
    """The items that changed, those that did most first; *keys* names all items."""
    rows = np.argsort(-np.abs(pairs.change), kind="stable")[: pairs.lost + pairs.won]
    figures = (figures[rows].tolist() for figures in (pairs.before, pairs.after, pairs.change))
    truths = [_word_truth(truth, first[0].classes) for truth in take_truths(first[1], rows)]
    words = (word_answers(answers.take(rows)) for answers, _ in (first, second))
    columns = zip([keys[row] for row in rows.tolist()], *figures, truths, *words, strict=True)
    return tuple(Flip(**dict(zip(Flip.__struct_fields__, column, strict=True))) for column in columns)


def word_answers(answers: Answers) -> list[str]:
    """Each answer in a few words: the likeliest class, the text, the number of boxes, the score; empty where a few words do not say it."""
    count = len(answers.readings) or len(next(iter((answers.outputs or {}).values()), ()))
    for name, word in _WORDS.items():
        read = answers.list_read(name)
        if read is not None:
            return [word(values) for values in read]
    if count and (answers.list_read("classes") or len(list_scores(answers)) == 1):
        return [_name_class(number, answers.classes) for number in find_likeliest(answers, 1)[0][:, 0].tolist()]
    return [""] * count


def write_flips(dataset: Dataset, flips: Sequence[Flip], path: Path) -> None:
    """Show *flips* at *path*: on a contact sheet where it ends in ``.png``, else as copies of their files in a new folder, lost and won apart.

    Raises:
        InputError: the folder is there already, or samples have no files of their own to copy.
        DeviceError: Pillow is missing, or the disk is full.
    """
    check_place(path)
    lost, won = ([flip.key for flip in flips if (flip.change < 0) == wanted] for wanted in (True, False))
    if _is_picture(path):
        write_file(path, draw_sheet(dataset, _lay_out({"lost": lost, "won": won})))
        return
    with replacing_directory(path) as folder:
        for name, keys in (("lost", lost), ("won", won)):
            for key in keys:
                _copy(dataset, key, folder / name)


def check_place(path: Path) -> None:
    """Refuse a folder that is there already: what was copied would lie among other files."""
    if path.exists() and not _is_picture(path):
        raise InputError(path, "it is there already", "Name a new folder, or a picture that ends in .png.")


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() == ".png"


def _lay_out(groups: dict[str, list[str]]) -> dict[str, list[str]]:
    """The rows of a sheet: of each group as many as half of it holds. Blanks tell rows of one name apart."""
    rows = {}
    for name, keys in groups.items():
        for row, start in enumerate(range(0, min(len(keys), COLUMNS * MAX_ROWS // 2), COLUMNS)):
            rows[name + " " * row] = keys[start : start + COLUMNS]
    return rows


def _copy(dataset: Dataset, key: str, folder: Path) -> None:
    file = dataset.find_file(key)
    if file is None:
        raise InputError(dataset.path, "its samples have no files of their own that could be copied", "Name a picture that ends in .png.")
    target = folder / key
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)


def _word_truth(truth: Truth, classes: Sequence[str]) -> str:
    if isinstance(truth, int):
        return _name_class(truth, classes)
    if isinstance(truth, Boxes):
        return _count_boxes(truth.corners)
    return _shorten(str(truth)) if isinstance(truth, str | float) else ""


def _name_class(number: int, classes: Sequence[str]) -> str:
    if number == NO_CLASS:
        return "none"
    return classes[number] if number < len(classes) else str(number)


def _count_boxes(boxes: Array) -> str:
    return f"{len(boxes)} box{'' if len(boxes) == 1 else 'es'}"


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


#: How an answer is told by what the contract reads.
_WORDS: dict[str, Callable[[Array], str]] = {
    "boxes": _count_boxes,
    "text": lambda text: _shorten(bytes(text[0]).decode("utf-8", "replace")),
    "score": lambda score: f"{score[0]:.4g}",
}
