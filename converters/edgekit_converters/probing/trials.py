"""A trial: one small model with inputs and the answers that are right, whatever operators it is written in."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from edgekit.arrays import Arrays
from edgekit.operator_support import Form


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One operator in one form, with *inputs* by name and the answers that are *expected*.

    An answer is right where it is within *rtol*, relative, or *atol*, absolute. What *is_random* gives answers that nobody
    can foretell. The meaning of an older version may differ from the one that the answers are of: then it *is_restated*,
    and a wrong answer proves nothing. *suffix* is how runtimes know the file.
    """

    name: str
    form: Form
    inputs: Arrays
    expected: Arrays
    rtol: float = 1e-3
    atol: float = 1e-7
    is_random: bool = False
    is_restated: bool = False

    suffix: ClassVar[str]

    @property
    def id(self) -> str:
        """The trial among all of its kind."""
        return f"{self.name}/{self.form.since}/{self.form.dtype}/{self.form.constants}"

    @abstractmethod
    def encode(self) -> bytes:
        """The model's file."""
