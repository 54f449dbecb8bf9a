"""Which devices are meant: ``class=raspberry-pi-4,site=roof,gpu!=none``. Pure.

A comma means *and*. ``device``, ``class`` and ``accelerator`` are what the device is, every other name is a label. The empty
text selects all.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from edgekit.errors import InputError

MAX_LENGTH = 500
_TERM = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,63})\s*(!?=)\s*([^,=!]*)\Z")
_REMEDY = "Write NAME=VALUE or NAME!=VALUE, with commas between them: class=raspberry-pi-4,site=roof."


class Facts(NamedTuple):
    """What a selection looks at in one device."""

    device: str
    device_class: str
    accelerators: frozenset[str]
    labels: Mapping[str, str]


class Term(NamedTuple):
    """One condition. A label that a device does not have is equal to nothing, and so differs from every value."""

    name: str
    value: str
    negated: bool = False

    def matches(self, facts: Facts) -> bool:
        """Whether the device is one that is meant."""
        return self._is_equal(facts) is not self.negated

    def _is_equal(self, facts: Facts) -> bool:
        if self.name == "device":
            return facts.device == self.value
        if self.name == "class":
            return facts.device_class == self.value
        if self.name == "accelerator":
            return self.value in facts.accelerators or (self.value == "none" and not facts.accelerators)
        return facts.labels.get(self.name) == self.value

    def __str__(self) -> str:
        return f"{self.name}{'!=' if self.negated else '='}{self.value}"


class Selection(NamedTuple):
    """All of *terms* at once; no terms select every device."""

    terms: tuple[Term, ...] = ()

    def matches(self, facts: Facts) -> bool:
        """Whether the device is one that is meant."""
        return all(term.matches(facts) for term in self.terms)

    @property
    def is_everybody(self) -> bool:
        """Whether it leaves nobody out."""
        return not self.terms

    def __str__(self) -> str:
        return ",".join(map(str, self.terms))


def parse_selection(text: str) -> Selection:
    """The selection that *text* says; InputError names the part that cannot be read."""
    if len(text) > MAX_LENGTH:
        raise InputError("selection", f"it has {len(text)} characters, and {MAX_LENGTH} is the most", _REMEDY)
    if not text.strip():
        return Selection()
    return Selection(tuple(_parse_term(part.strip(), text) for part in text.split(",")))


def _parse_term(part: str, text: str) -> Term:
    match = _TERM.match(part)
    if match is None or not match[3].strip():
        raise InputError(f"selection {text!r}", f"{part!r} is no condition", _REMEDY)
    return Term(match[1], match[3].strip(), match[2] == "!=")
