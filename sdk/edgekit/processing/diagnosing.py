"""Which mistake a contract looks like: the usual ones are tried one by one, and those that answer better are named."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

from edgekit.contract import Processing
from edgekit.errors import InputError
from edgekit.processing.alternatives import list_alternatives

#: How much better another contract must be to be named, whatever the number of items.
LEAST_GAIN = 0.05
#: And in standard errors of the difference between two shares: by luck one of some twenty guesses would pass two of them.
_ERRORS = 3.0


@dataclass(frozen=True)
class Suspect:
    """Another contract that is clearly better: *score* against *declared*, each a share of the items, and a *sentence* that says so."""

    name: str
    contract: Processing
    score: float
    declared: float
    sentence: str


def name_suspects(
    contract: Processing, judge: Callable[[Processing], float], items: int, meaning: str = "of answers are right"
) -> tuple[Suspect, ...]:
    """The mistakes that *contract* looks like, the likeliest first; nothing where none is clearly better.

    Args:
        contract: the one that is declared.
        judge: gives a contract's share of *items* that come out right, from 0 to 1; InputError where it cannot be carried
            out for the model, which rules it out.
        items: on how many items it judges.
        meaning: what the share is of, as it follows "91 %".

    Raises:
        InputError: what is declared cannot be carried out itself.
    """
    declared = judge(contract)
    found = []
    for guess, other in list_alternatives(contract):
        score = _try(judge, other)
        if score is not None and _is_clear(declared, score, items):
            sentence = f"looks like {guess}: {_percent(score)} {meaning} instead of {_percent(declared)}"
            found.append(Suspect(guess, other, score, declared, sentence))
    return tuple(sorted(found, key=lambda suspect: -suspect.score))


def _try(judge: Callable[[Processing], float], contract: Processing) -> float | None:
    """The share of *contract*; None where the model cannot be fed by it, so that it is no mistake that was made."""
    try:
        return judge(contract)
    except InputError:
        return None


def _is_clear(declared: float, score: float, items: int) -> bool:
    """Whether *score* is better than *declared* by more than luck gives."""
    error = sqrt((declared * (1 - declared) + score * (1 - score)) / max(items, 1))
    return score - declared >= max(LEAST_GAIN, _ERRORS * error)


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"
