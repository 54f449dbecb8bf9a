"""An answer has the parts of its reading and no others, and says them in words."""

import numpy as np
import pytest

from edgekit.answers import Answer
from edgekit.contract import Anomaly, Classify, Detect, Embed, Segment, Transcribe

PARTS = ("labels", "classes", "scores", "boxes", "mask", "embedding", "score", "is_anomaly", "text")
SCORES = {"labels": np.array([b"k\xc3\xa4fer", b"cat"]), "classes": np.array([1, 0]), "scores": np.array([0.75, 0.125], np.float32)}
BOXES = np.array([[1, 2, 30.4, 40], [5, 6, 7, 8]], np.float32)


@pytest.mark.parametrize(
    ("reading", "arrays", "parts", "words"),
    [
        (Classify(output="y"), SCORES, {"labels", "classes", "scores"}, "Answer(käfer 0.75, cat 0.125)"),
        (
            Detect(boxes="b"),
            SCORES | {"boxes": BOXES},
            {"labels", "classes", "scores", "boxes"},
            "Answer(käfer 0.75 at (1, 2, 30, 40), cat 0.125 at (5, 6, 7, 8))",
        ),
        (
            Segment(output="y"),
            {"mask": np.array([[1, 1], [1, -1]], np.int32)},
            {"mask"},
            "Answer(mask of 2 x 2: class 1 75.0%, class -1 25.0%)",
        ),
        (Embed(output="y"), {"embedding": np.ones(8, np.float32)}, {"embedding"}, "Answer(embedding of 8 numbers)"),
        (Anomaly(output="y"), {"score": np.array([0.5], np.float32)}, {"score"}, "Answer(score 0.5)"),
        (
            Anomaly(output="y", threshold=0.2),
            {"score": np.array([0.5], np.float32), "is_anomaly": np.array([True])},
            {"score", "is_anomaly"},
            "Answer(score 0.5, an anomaly)",
        ),
        (Transcribe(output="y"), {"text": np.array([b"it's \xe2\x82\xac5"])}, {"text"}, 'Answer("it\'s €5")'),
        (None, {"scores": np.ones((1, 2), np.float32), "names": np.array(["a"])}, set(), "Answer(scores float32[1, 2], names bytes[1])"),
    ],
)
def test_an_answer_has_the_parts_of_its_reading(reading, arrays, parts, words):
    """What was read is there in Python's own types, all else is None, and the words name the first of it."""
    answer = Answer(arrays, reading)
    assert {part for part in PARTS if getattr(answer, part) is not None} == parts
    assert repr(answer) == words


def test_parts_are_values_of_python():
    """Labels are texts, and a score, a verdict and a text are what they are called."""
    classes = Answer(SCORES, Classify(output="y"))
    assert classes.labels == ("käfer", "cat")
    assert classes.scores.tolist() == [0.75, 0.125]
    unusual = Answer({"score": np.array([2.5], np.float32), "is_anomaly": np.array([False])}, Anomaly(output="y", threshold=3.0))
    assert (unusual.score, unusual.is_anomaly, repr(unusual)) == (2.5, False, "Answer(score 2.5, no anomaly)")
    assert Answer({"text": np.array([b""])}, Transcribe(output="y")).text == ""


def test_long_answers_are_shortened():
    """Five classes are named and the rest counted; an answer without any says so."""
    many = {"labels": np.array([b"c%d" % i for i in range(8)]), "classes": np.arange(8), "scores": np.linspace(0.8, 0.1, 8, dtype=np.float32)}
    assert repr(Answer(many, Classify(output="y"))).endswith("c4 0.4, and 3 more)")
    none = {"labels": np.array([], np.bytes_), "classes": np.array([], np.int64), "scores": np.array([], np.float32)}
    assert repr(Answer(none, Classify(output="y"))) == "Answer(no class)"
    assert repr(Answer(none | {"boxes": np.zeros((0, 4), np.float32)}, Detect(boxes="b"))) == "Answer(no box)"
