"""How many words of what was said are wrong."""

import numpy as np

from edgekit.arrays import Array, is_text, to_plain
from edgekit.errors import InputError
from edgekit.metrics.base import Answers, Figure, Truths, make_whole, refuse_answers
from edgekit.processing.libraries import load_library


def prepare_wer(answers: Answers, truths: Truths) -> Figure:
    """Tells the word error rate, by jiwer: words that are replaced, missing or too many, over those that were said, of all items together.

    Words are what spaces part, as they are written: small letters and capitals differ, and so do words with a comma.
    """
    errors, words = count_errors(answers, truths)

    def tell(rows: Array) -> float:
        said = words[rows].sum()
        return float(errors[rows].sum() / said) if said else float("nan")

    return tell


def measure_items(answers: Answers, truths: Truths) -> Array:
    """The word error rate of each item alone; where nothing was said, how many words were answered."""
    errors, words = count_errors(answers, truths)
    figures: Array = errors / np.maximum(words, 1)
    return figures


def count_errors(answers: Answers, truths: Truths) -> tuple[Array, Array]:
    """For each item the number of errors, and of the words that were said."""
    align = load_library("jiwer", "evaluate").process_words
    counts = [align(true, found) for true, found in zip(_check_texts(truths), find_texts(answers), strict=True)]
    errors = [one.substitutions + one.deletions + one.insertions for one in counts]
    return np.array(errors, np.int64), np.array([one.hits + one.substitutions + one.deletions for one in counts], np.int64)


def find_texts(answers: Answers) -> list[str]:
    """The text of each item, by the contract, or from the one output that is a text."""
    read = answers.list_read("text")
    if read is None:
        texts = [array for array in (answers.outputs or {}).values() if is_text(array) and array.size == len(array)]
        if len(texts) != 1:
            raise refuse_answers("wer", "text", "Let the contract read one: an answer of the kind ctc")
        read = list(to_plain(texts[0]).reshape(-1, 1))
    return [bytes(text[0]).decode("utf-8", "replace") for text in read]


def _check_texts(truths: Truths) -> list[str]:
    texts = [truth for truth in truths if isinstance(truth, str)]
    if len(texts) != len(truths):
        raise InputError("labels", "they are no texts, which this metric is about", "Give what was said in a column text, or another --metric.")
    return texts


WER = make_whole("wer", prepare_wer, measure_items, better="lower")
