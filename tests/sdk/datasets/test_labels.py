"""Labels by name and by number."""

import pytest

from edgekit.datasets.labels import find_class_names, number_labels
from edgekit.errors import InputError


def test_words() -> None:
    """Words are numbered in the order of the alphabet."""
    numbered = number_labels(["no", "yes", "go"], (), "x.csv")
    assert (numbered.values, numbered.classes) == ((1, 2, 0), ("go", "no", "yes"))


def test_numbers() -> None:
    """Whole numbers are classes as they stand, and others are figures."""
    assert number_labels(["3", "0", "3"], (), "x.csv").values == (3, 0, 3)
    assert number_labels(["0.5", "1", "-2e3"], (), "x.csv").values == (0.5, 1.0, -2000.0)


def test_known() -> None:
    """A contract's labels number names by their places, also names that are numbers."""
    assert number_labels(["b", "a"], ("a", "b", "c"), "x.csv").values == (1, 0)
    assert number_labels(["3", "1"], ("1", "2", "3"), "x.csv").values == (2, 0)
    assert number_labels(["2", "0"], ("a", "b", "c"), "x.csv").values == (2, 0)


@pytest.mark.parametrize(
    ("texts", "known", "message"),
    [
        (["a", "d"], ("a", "b"), "'d' are none of the contract's"),
        (["0", "7"], ("a", "b"), "a label 7, and the classes are 0 to 1"),
        (["0", "-1"], (), "a label -1"),
        (["a", ""], (), "sample 2 has no label"),
    ],
)
def test_wrong(texts: list[str], known: tuple[str, ...], message: str) -> None:
    """A label that is missing, unknown or out of range is refused, and the message says which."""
    with pytest.raises(InputError, match=message):
        number_labels(texts, known, "x.csv")


def test_folders() -> None:
    """Folders with numbers are the classes of these numbers, so that one that is missing does not move the others."""
    assert find_class_names(["0", "1", "3"], (), "x").values == (0, 1, 3)
    assert find_class_names(["1.5", "b"], (), "x").classes == ("1.5", "b")
