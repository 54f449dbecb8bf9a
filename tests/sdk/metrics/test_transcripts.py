"""The word error rate."""

import jiwer
import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.metrics.base import Answers
from edgekit.metrics.transcripts import WER, measure_items

SAID = ["turn the light on", "stop", "no", "one two three four five"]
FOUND = ["turn light on please", "stop", "", "one too three four five"]


def read(texts: list[str]) -> Answers:
    return Answers(None, [{"text": np.array([text.encode()])} for text in texts])


@pytest.mark.parametrize("answers", [read(FOUND), Answers({"y": np.array([[text.encode()] for text in FOUND])})], ids=["reading", "output"])
def test_it_is_the_rate_of_all_words_together(answers: Answers) -> None:
    """It is jiwer's: long sentences weigh more than short ones."""
    assert WER.measure(answers, SAID) == pytest.approx(jiwer.wer(SAID, FOUND)) == pytest.approx(4 / 11)
    assert WER.find_drop(source=0.1, value=0.3) == pytest.approx(0.2)


def test_items_drawn_again_are_counted_anew() -> None:
    """The rate of some sentences, some of them twice, is that of their own words."""
    tell = WER.prepare_figure(read(FOUND), SAID)
    assert tell(np.array([1, 1, 2])) == pytest.approx(1 / 3)


def test_each_sentence_has_a_rate_of_its_own() -> None:
    """Where nothing was said, each word that was answered is an error."""
    assert measure_items(read([*FOUND, "", "two words"]), [*SAID, "", ""]).tolist() == pytest.approx([0.5, 0, 1, 0.2, 0, 2])


def test_silence_alone_has_no_rate() -> None:
    """Nothing can be divided by no words: the data are named, and of sentences drawn again others tell."""
    with pytest.raises(InputError, match="wer without a value"):
        WER.measure(read([""]), [""])


@pytest.mark.parametrize("truths", [[0], [None]])
def test_truths_that_are_no_texts_are_refused(truths: list[object]) -> None:
    """Classes are not what was said."""
    with pytest.raises(InputError, match=r"no texts.*column text"):
        WER.measure(read(["a"]), truths)


def test_answers_without_a_text_are_refused() -> None:
    """Scores of letters are no text before a contract reads them."""
    with pytest.raises(InputError, match=r"no text.*ctc"):
        WER.measure(Answers({"y": np.zeros((1, 50, 29))}), ["a"])
