"""Texts by the best path."""

import numpy as np
import pytest

from edgekit.contract import Processing, Transcribe
from edgekit.errors import InputError
from edgekit.processing.base import Fed
from edgekit.processing.transcripts import MAX_STEPS, prepare_transcripts
from edgekit.tensors import TensorSpec

LABELS = ("-", "|", "a", "b", "ü")


def read(*windows: str, labels: tuple[str, ...] = LABELS, **options: object) -> bytes:
    """The text of windows that are spelled by their highest labels."""
    scores = np.eye(len(labels), dtype=np.float32)[[[labels.index(letter) for letter in window] for window in windows]]
    return transcribe(scores, labels, **options)


def transcribe(scores: np.ndarray, labels: tuple[str, ...] = LABELS, **options: object) -> bytes:
    reading = Transcribe(output="y", space="|", **options)
    spec = TensorSpec(name="y", dtype="float32", shape=("n", "steps", len(labels)))
    (text,) = prepare_transcripts(reading, Processing(answer=reading, labels=labels), [spec])({"y": scores}, Fed({}))["text"].tolist()
    return text


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("aab", b"ab"),
        ("a-ab", b"aab"),
        ("--a--", b"a"),
        ("|a||b-|", b"a b"),
        ("a|-|b", b"a  b"),
        ("ü", "ü".encode()),
        ("---", b""),
        ("", b""),
    ],
)
def test_repetitions_are_one_and_blanks_are_left_out(path: str, text: bytes) -> None:
    """Equal neighbours are one letter unless a blank lies between them, the label for a space is one, and texts are UTF-8."""
    assert read(path) == text


def test_the_windows_of_one_item_are_one_path() -> None:
    """A letter that goes on from one window into the next is not doubled."""
    assert read("-a", "ab") == b"ab"


def test_the_blank_may_be_any_label() -> None:
    """A blank that is not the first label is left out just so."""
    assert read("aüab", blank=4) == b"aab"


def test_a_step_with_what_is_no_number_is_a_blank() -> None:
    """One NaN among a step's scores makes it a blank, and no other step."""
    scores = np.eye(5, dtype=np.float32)[[[2, 2, 2, 3]]]
    scores[0, 1, 4] = np.nan
    assert transcribe(scores) == b"aab"


def test_too_many_steps_are_refused() -> None:
    """An answer without an end is refused before it is read."""
    endless = np.broadcast_to(np.zeros((1, 1, 5), np.float32), (1, MAX_STEPS + 1, 5))
    with pytest.raises(InputError, match=f"more than {MAX_STEPS} steps"):
        transcribe(endless)


@pytest.mark.parametrize(
    ("labels", "blank", "message"),
    [((), 0, r"answer\.blank: it is 0, and there are 0 labels"), (LABELS, 5, r"answer\.blank"), (LABELS[:3], 0, "labels: there are 3")],
)
def test_labels_must_be_those_of_the_output(labels: tuple[str, ...], blank: int, message: str) -> None:
    """Without labels, with another number of them, or without the blank among them there is no text."""
    reading = Transcribe(output="y", blank=blank)
    with pytest.raises(InputError, match=message):
        prepare_transcripts(reading, Processing(answer=reading, labels=labels), [TensorSpec(name="y", dtype="float32", shape=("n", "t", 5))])


def test_an_answer_with_other_labels_is_refused() -> None:
    """Where the model leaves open how many labels it has, what comes must be as many as the contract's."""
    reading = Transcribe(output="y")
    spec = TensorSpec(name="y", dtype="float32", shape=("n", "t", "labels"))
    read_text = prepare_transcripts(reading, Processing(answer=reading, labels=LABELS), [spec])
    with pytest.raises(InputError, match=r"output 'y': it has 6 labels for each step\. The contract has 5"):
        read_text({"y": np.zeros((1, 2, 6))}, Fed({}))
