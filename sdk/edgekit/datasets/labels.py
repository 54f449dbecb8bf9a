"""Labels as people write them, by name or by number, made into the numbers of classes."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import InputError

_MANY = 5
_INTEGER = re.compile(r"[+-]?[0-9]{1,15}")


@dataclass(frozen=True)
class Labelled:
    """What *values* say of the samples, in their order: numbers of classes, or figures. *classes* names classes by number, if they have names."""

    values: tuple[int, ...] | tuple[float, ...]
    classes: tuple[str, ...] = ()


def number_labels(texts: Sequence[str], known: Sequence[str], subject: str | Path) -> Labelled:
    """The classes that *texts* name.

    With *known* labels, those of the contract, each text is one of them, or all are numbers of them. Without, whole numbers
    are classes as they stand, other numbers are figures, and words are numbered in the order of the alphabet.

    Raises:
        InputError: a label is missing, unknown, or a number beyond *known*; the message names *subject* and the labels.
    """
    if "" in texts:
        raise InputError(subject, f"sample {texts.index('') + 1} has no label", "Label it, or take it away.")
    if known:
        return Labelled(_find_known(texts, known, subject), tuple(known))
    different = sorted(set(texts))
    if all(map(_INTEGER.fullmatch, different)):
        return Labelled(_read_numbers(texts, subject))
    if all(map(_is_figure, different)):
        return Labelled(tuple(map(float, texts)))
    numbers = {text: number for number, text in enumerate(different)}
    return Labelled(tuple(numbers[text] for text in texts), tuple(different))


def find_class_names(names: Sequence[str], known: Sequence[str], subject: str | Path) -> Labelled:
    """The classes of *names*, each there once, as folders are: as number_labels does it, and words are never figures."""
    if not known and not all(map(_INTEGER.fullmatch, names)):
        return Labelled(tuple(range(len(names))), tuple(names))
    return number_labels(names, known, subject)


def _find_known(texts: Sequence[str], known: Sequence[str], subject: str | Path) -> tuple[int, ...]:
    numbers = {label: number for number, label in enumerate(known)}
    unknown = sorted({text for text in texts if text not in numbers})
    if not unknown:
        return tuple(numbers[text] for text in texts)
    if all(_INTEGER.fullmatch(text) for text in set(texts)):
        return _check_range(_read_numbers(texts, subject), len(known), subject)
    raise InputError(subject, f"its labels {_list(unknown)} are none of the contract's, which are {_list(known)}", "Correct the one or the other.")


def _read_numbers(texts: Sequence[str], subject: str | Path) -> tuple[int, ...]:
    numbers = tuple(map(int, texts))
    if min(numbers, default=0) < 0:
        raise InputError(subject, f"there is a label {min(numbers)}, and classes are counted from 0", "Correct the labels.")
    return numbers


def _check_range(numbers: tuple[int, ...], count: int, subject: str | Path) -> tuple[int, ...]:
    wrong = sorted({number for number in numbers if number >= count})
    if wrong:
        raise InputError(subject, f"there is a label {wrong[-1]}, and the classes are 0 to {count - 1}", "Correct the labels.")
    return numbers


def _is_figure(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
    return ", ".join(map(repr, names[:_MANY])) + more
